"""Connecting to real and unreal brokers: each way to fail is a typed error with one sentence."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edged.errors import (
    BrokerLostError,
    BrokerNotConnectedError,
    BrokerProtocolError,
    BrokerRefusedError,
    BrokerTlsError,
    BrokerUnreachableError,
)
from edged.mqtt import paho_client
from edged.mqtt.paho_client import MAX_PACKET_BYTES
from edged.settings import Secret
from scripts.lib import peers

from .conftest import CONNACK_V5, byte_broker, read_packet


async def test_nobody_there(open_door):
    port = peers.free_port()
    with pytest.raises(BrokerUnreachableError, match=f"127.0.0.1:{port} refused the connection: is mosquitto running"):
        await open_door(port)


async def test_unknown_host(open_door):
    with pytest.raises(BrokerUnreachableError, match=r"set mqtt\.host"):
        await open_door(1883, host="no-such-host.invalid")


async def test_a_name_that_is_no_name(open_door):
    with pytest.raises(BrokerUnreachableError, match=r"set mqtt\.host"):
        await open_door(1883, host="x" * 300)


async def test_somebody_who_does_not_answer(open_door, monkeypatch):
    monkeypatch.setattr(paho_client, "CONNECT_TIMEOUT_S", 0.2)

    async def answer(reader, _writer):
        await reader.read()

    async with byte_broker(answer) as port:
        with pytest.raises(BrokerProtocolError, match="does not speak MQTT"):
            await open_door(port)


async def test_somebody_who_does_not_shake_hands(open_door, monkeypatch):
    monkeypatch.setattr(paho_client, "CONNECT_TIMEOUT_S", 0.2)

    async def answer(reader, _writer):
        await reader.read()

    async with byte_broker(answer) as port:
        with pytest.raises(BrokerUnreachableError, match="does not answer"):
            await open_door(port, tls=True, keepalive_s=3600)


async def test_somebody_who_hangs_up(open_door):
    async def answer(reader, writer):
        await read_packet(reader)
        writer.close()

    async with byte_broker(answer) as port:
        with pytest.raises(BrokerProtocolError, match=r"mqtt\.tls"):
            await open_door(port)


async def test_somebody_who_speaks_http(open_door, monkeypatch):
    monkeypatch.setattr(paho_client, "CONNECT_TIMEOUT_S", 0.2)

    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with byte_broker(answer) as port:
        with pytest.raises(BrokerProtocolError, match="does not speak MQTT"):
            await open_door(port)


async def test_passwords(tmp_path, open_door):
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "farm", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    async with peers.mosquitto(extra=f"allow_anonymous false\npassword_file {passwords}") as broker:
        with pytest.raises(BrokerRefusedError, match="admits nobody without a user name"):
            await open_door(broker.port)
        with pytest.raises(BrokerRefusedError, match="refuses user 'farm'") as caught:
            await open_door(broker.port, username="farm", password=Secret("wrong"))
        assert "wrong" not in str(caught.value)
        assert caught.value.retry_after_s == 60
        await open_door(broker.port, username="farm", password=Secret("right"))


@pytest.fixture
def certificate(tmp_path):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


async def test_tls(certificate, open_door, publish, tmp_path):
    cert, key = certificate
    port = peers.free_port()
    extra = f"listener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}"
    async with peers.mosquitto(extra=extra) as broker:
        door = await open_door(port, host="localhost", tls=True, ca_file=str(cert))
        await publish(broker.port, *[("t/n", str(n)) for n in range(500)])
        await door.until(500)
        with pytest.raises(BrokerTlsError, match=r"not trusted .*mqtt\.ca_file"):
            await open_door(port, host="localhost", tls=True)
        with pytest.raises(BrokerTlsError, match="host name"):
            await open_door(port, host="127.0.0.1", tls=True, ca_file=str(cert))
        with pytest.raises(BrokerTlsError, match=r"mqtt\.port to its TLS port"):
            await open_door(broker.port, tls=True)
        with pytest.raises(BrokerProtocolError, match=r"mqtt\.tls as it needs"):
            await open_door(port)
        with pytest.raises(BrokerTlsError, match=r"mqtt\.ca_file"):
            await open_door(port, tls=True, ca_file=str(tmp_path / "missing.pem"))


async def test_a_broker_that_falls_silent_is_noticed(open_door):
    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        await reader.read()

    async with byte_broker(answer) as port:
        door = await open_door(port, subscriptions=(), keepalive_s=1)
        error = await door.ended()
        assert isinstance(error, BrokerLostError)
        assert "stopped answering" in str(error)


async def test_a_killed_broker_is_noticed_at_once(broker, open_door):
    door = await open_door(broker.port)
    broker.child.signal(signal.SIGKILL)
    assert isinstance(await door.ended(), BrokerLostError)


async def test_what_must_not_be_late_is_not_left_to_a_broker_that_stands_still(broker, open_door):
    door = await open_door(broker.port, client_id="gateway")
    device = await open_door(broker.port, client_id="device", subscriptions=(("cmd", 1),))
    device.acknowledge_at_once()
    broker.child.signal(signal.SIGSTOP)
    given_up = asyncio.create_task(door.door.publish("cmd", b"given up", expires_s=5))
    await asyncio.sleep(0)  # now it is in the socket
    given_up.cancel()
    await asyncio.wait([given_up])
    for _ in range(30):
        with pytest.raises(BrokerNotConnectedError, match="has not acknowledged"):
            await door.door.publish("cmd", b"late", expires_s=5)

    broker.child.signal(signal.SIGCONT)
    await device.until(1)
    await door.door.publish("cmd", b"without a life")
    await door.door.publish("cmd", b"again", expires_s=5)
    await device.until(3)
    assert device.payloads == [b"given up", b"without a life", b"again"]


async def test_a_stop_while_connecting_does_not_wait_for_it(open_door):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.socket() as first, socket.socket() as second:
            for filler in (first, second):
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            opening = asyncio.create_task(open_door(port))
            await asyncio.sleep(0.05)
            opening.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait([opening])


async def test_a_message_too_large_for_any_reading_is_kept_away_by_the_broker(broker, open_door, publish):
    door = await open_door(broker.port)
    await publish(broker.port, ("t/huge", b"x" * 20_000_000), ("t/n", b"x" * (MAX_PACKET_BYTES - 1000)), ("t/n", b"2"))
    await door.until(2)
    assert [len(payload) for payload in door.payloads] == [MAX_PACKET_BYTES - 1000, 1]


def test_what_is_used_of_paho_is_there():
    """A contract with the pinned version: what we rely on beyond its documentation."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="c", manual_ack=True)
    for name in (
        "loop_read",
        "loop_write",
        "loop_misc",
        "want_write",
        "socket",
        "ack",
        "on_socket_close",
        "_sock_recv",
        "_packet_queue",
    ):
        assert hasattr(client, name)
