"""The hub over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from edged.hub import server as server_module
from edged.hub.limits import AttemptLimit
from edged.hub.settings import KeySettings, LimitSettings, TokenSecretSettings
from edged.settings import Secret
from tests.edged.hub.conftest import KEY, TIMEOUT_S, Client, RunningHub, hub_settings, running_hub

SECRET = "sk_secret_" + "0123456789abcdef" * 3
TOKENS = (TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),)


def token(peer_id: str, life_s: float = 60, **claims: Any) -> str:
    payload = {"sub": peer_id, "exp": time.time() + life_s, **claims}
    return "token=" + jwt.encode(payload, SECRET, "HS256", headers={"kid": "sk_id_1"})


def joined(*ids: str, channel: str = "room") -> dict[str, Any]:
    return {"type": "presence", "channel": channel, "joined": [{"peerId": one} for one in ids], "left": []}


def left(*ids: str, channel: str = "room") -> dict[str, Any]:
    return {"type": "presence", "channel": channel, "joined": [], "left": [{"peerId": one} for one in ids]}


# Welcome and refusal --------------------------------------------------------------------------------


async def test_welcome_comes_first_and_is_complete(hub: RunningHub):
    before_ms = time.time() * 1000
    client = await hub.client()

    assert list(client.welcome) == ["type", "peerId", "expiresAt", "serverTime", "maxMessageSize"]
    assert client.welcome["expiresAt"] is None
    assert client.welcome["maxMessageSize"] == 65536
    assert before_ms - 1000 <= client.welcome["serverTime"] <= time.time() * 1000
    assert client.id != (await hub.client()).id


@pytest.mark.parametrize("query", ["", "key=wrong", "token=x.y.z", f"key={KEY}&token=x"])
async def test_bad_credential_is_accepted_then_closed_with_4001(hub: RunningHub, query: str):
    client = await hub.open(query)

    assert (await client.closed())[0] == 4001
    assert hub.server.counters.refused == 1


async def test_suspended_key_and_expired_token_have_their_codes():
    keys = (KeySettings(key=Secret("off"), suspended=True),)
    async with running_hub(hub_settings(keys=keys, token_secrets=TOKENS)) as hub:
        assert (await (await hub.open("key=off")).closed())[0] == 4012
        assert (await (await hub.open(token("a", -1))).closed())[0] == 4002


async def test_token_is_closed_with_4002_just_before_it_expires():
    async with running_hub(hub_settings(token_secrets=TOKENS)) as hub:
        client = await hub.client(token("cam", 0.6, metadata={"plan": "x"}))
        assert client.id == "cam"
        assert client.welcome["metadata"] == {"plan": "x"}
        assert client.welcome["expiresAt"] == pytest.approx(time.time(), abs=2)

        assert (await client.closed())[0] == 4002


async def test_connections_above_the_limit_are_closed_with_4010():
    async with running_hub(hub_settings(limits=LimitSettings(connections=2))) as hub:
        first, _ = await hub.client(), await hub.client()
        assert (await (await hub.open()).closed())[0] == 4010

        await first.socket.close()
        assert await hub.client()


async def test_too_many_attempts_of_an_address_are_closed_with_4010(monkeypatch: pytest.MonkeyPatch):
    class Strict(AttemptLimit):
        """Counts this machine as if it were another."""

        def allows(self, _address: str, now_s: float) -> bool:
            return super().allows("192.0.2.1", now_s)

    monkeypatch.setattr(server_module, "AttemptLimit", Strict)
    async with running_hub(hub_settings(limits=LimitSettings(attempts_per_minute=2))) as hub:
        assert await hub.client()
        assert await hub.client()
        assert (await (await hub.open()).closed())[0] == 4010


# Frames ---------------------------------------------------------------------------------------------


async def test_presence_publish_and_direct(hub: RunningHub):
    one, other = await hub.client(), await hub.client()
    assert await one.subscribe() == []
    assert await other.subscribe() == [one.id]
    assert await one.receive() == joined(other.id)

    await one.send(type="publish", channel="room", data={"grüße": [1, None]}, requestId="p")
    assert await one.receive() == {"type": "ack", "requestId": "p"}
    message = {"type": "message", "channel": "room", "from": one.id, "data": {"grüße": [1, None]}}
    assert await other.receive() == message

    await other.send(type="send", to=one.id, data="hello", requestId="s")
    assert await one.receive() == {"type": "direct", "from": other.id, "data": "hello"}
    assert await other.receive() == {"type": "ack", "requestId": "s"}


async def test_order_of_one_sender_is_kept():
    async with running_hub(hub_settings(limits=LimitSettings(messages_per_s=0))) as hub:
        one, other = await hub.client(), await hub.client()
        await other.subscribe()
        for number in range(300):
            if number % 2:
                await one.send(type="publish", channel="room", data=number)
            else:
                await one.send(type="send", to=other.id, data=number)

        assert [(await other.receive())["data"] for _ in range(300)] == list(range(300))


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ("nonsense", "malformed_message", None),
        ("[]", "malformed_message", None),
        ("[" * 30_000, "malformed_message", None),
        ('{"a":' * 5_000, "malformed_message", None),
        ('{"type":"publish","channel":"x","data":' + "9" * 20_000 + "}", "malformed_message", None),
        ('{"type":"dance","requestId":"r"}', "unknown_type", "r"),
        ('{"type":"subscribe","channel":"a\\u0000b","requestId":"r"}', "invalid_channel", "r"),
        ('{"type":"subscribe","channel":"\\ud800","requestId":"r"}', "invalid_channel", "r"),
        ('{"type":"subscribe","requestId":"r"}', "invalid_channel", "r"),
        ('{"type":"send","to":"\\u0007","data":1,"requestId":"r"}', "invalid_peer_id", "r"),
        ('{"type":"publish","channel":"x","requestId":"r"}', "missing_data", "r"),
    ],
)
async def test_hostile_text_is_answered_and_harms_nobody(hub: RunningHub, text: str, code: str, request_id: str | None):
    client = await hub.client()

    await client.socket.send(text)

    answer = await client.receive()
    assert (answer["type"], answer["code"], answer.get("requestId")) == ("error", code, request_id)
    await client.nothing_comes()


async def test_binary_message_is_dropped(hub: RunningHub):
    client = await hub.client()

    await client.socket.send(b'{"type":"ping"}')

    await client.nothing_comes()
    assert hub.server.counters.binary_dropped == 1


async def test_largest_message_passes_and_a_larger_frame_is_closed_with_1009(hub: RunningHub):
    one, other = await hub.client(), await hub.client()
    await other.subscribe()

    await one.send(type="publish", channel="room", data="x" * 65534, requestId="r" * 128)
    assert (await other.receive())["data"] == "x" * 65534
    assert (await one.receive())["type"] == "ack"

    await one.send(type="publish", channel="room", data="x" * 80_000)
    assert (await one.closed())[0] == 1009
    await other.nothing_comes()


async def test_hundred_channels_and_not_one_more(hub: RunningHub):
    client = await hub.client()
    for number in range(100):
        await client.subscribe(f"c{number}")

    await client.send(type="subscribe", channel="c100", requestId="r")
    assert (await client.receive())["code"] == "channel_limit_exceeded"


async def test_too_many_messages_are_closed_with_4011():
    async with running_hub(hub_settings(limits=LimitSettings(messages_per_s=10, message_burst=20))) as hub:
        client = await hub.client()
        for _ in range(21):
            await client.send(type="ping")
        assert [await client.receive() for _ in range(20)] == [{"type": "pong"}] * 20
        assert (await client.closed())[0] == 4011
        assert hub.server.counters.closed_over_rate == 1


async def test_a_day_has_so_many_messages_and_the_connection_stays():
    async with running_hub(hub_settings(limits=LimitSettings(messages_per_day=2))) as hub:
        client = await hub.client()
        answers = []
        for number in range(3):
            await client.send(type="publish", channel="room", data=number, requestId=f"r{number}")
            answers.append(await client.receive())
        assert [answer["type"] for answer in answers] == ["ack", "ack", "error"]
        assert (answers[2]["code"], answers[2]["requestId"]) == ("over_message_quota", "r2")
        await client.nothing_comes()


async def test_client_that_reads_too_slowly_is_closed_and_slows_nobody():
    limits = LimitSettings(messages_per_s=0, queue_bytes=262144)
    async with running_hub(hub_settings(limits=limits, hold_s=0)) as hub:
        fast, sender = await hub.client(), await hub.client()
        # It takes one message from its socket, and then no more.
        slow = await hub.client(max_queue=1)
        for client in (slow, fast):
            await client.subscribe()
        slow_id = slow.id
        await slow.receive()

        received: list[int] = []

        async def read_all() -> None:
            while hub.server.counters.closed_slow == 0 or not received or received[-1] < sent:
                frame = await fast.receive()
                if frame["type"] == "message":
                    received.append(frame["data"][0])
                else:
                    assert frame == left(slow_id)

        sent = 0
        reading = asyncio.create_task(read_all())
        while hub.server.counters.closed_slow == 0:
            sent += 1
            assert sent < 1000
            await sender.send(type="publish", channel="room", data=[sent, "x" * 60_000], requestId="r")
            await sender.receive()
        await asyncio.wait_for(reading, TIMEOUT_S)

        assert received == list(range(1, sent + 1))
        assert hub.server.counters.closed_slow == 1


# Leaving and coming back ----------------------------------------------------------------------------


async def test_clean_close_is_told_at_once_and_a_drop_after_the_hold(hub: RunningHub):
    one, clean, leaving_page, dropped = [await hub.client() for _ in range(4)]
    for client in (clean, leaving_page, dropped, one):
        await client.subscribe()

    before_s = time.monotonic()
    dropped.socket.transport.abort()
    await clean.socket.close()
    await leaving_page.socket.close(1001)

    assert await one.receive() == left(clean.id)
    assert await one.receive() == left(leaving_page.id)
    assert await one.receive() == left(dropped.id)
    assert time.monotonic() - before_s >= 0.25


async def test_client_that_closes_because_it_heard_nothing_is_expected_back(hub: RunningHub):
    one, other = await hub.client(), await hub.client()
    for client in (other, one):
        await client.subscribe()

    await other.socket.close(4000)
    await one.nothing_comes()
    assert await one.receive() == left(other.id)


async def test_same_id_within_the_hold_is_left_and_joined_in_two_frames():
    async with running_hub(hub_settings(token_secrets=TOKENS, hold_s=30)) as hub:
        viewer, camera = await hub.client(), await hub.client(token("cam"))
        for client in (camera, viewer):
            await client.subscribe()
        camera.socket.transport.abort()

        camera = await hub.client(token("cam"))
        assert await camera.subscribe() == [viewer.id]
        assert await viewer.receive() == left("cam")
        assert await viewer.receive() == joined("cam")


async def test_newest_connection_with_an_id_replaces_the_older_one():
    async with running_hub(hub_settings(token_secrets=TOKENS)) as hub:
        first = await hub.client(token("cam"))
        await first.subscribe()
        second = await hub.client(token("cam"))

        assert await first.closed() == (4020, "replaced by a newer connection with the same peer id")
        assert await second.subscribe() == []


async def test_metadata_of_a_token_is_shown_to_the_others_and_kept_from_messages_unless_asked():
    async with running_hub(hub_settings(token_secrets=TOKENS)) as hub:
        camera = await hub.client(token("cam", peerMetadata={"role": "camera"}))
        curious, plain = await hub.client(), await hub.client()
        await camera.subscribe()
        await curious.subscribe(includeSenderMetadata=True)
        await plain.subscribe()
        await curious.receive()

        await camera.send(type="publish", channel="room", data=1)
        await camera.send(type="send", to=plain.id, data=2)

        assert (await curious.receive())["fromMetadata"] == {"role": "camera"}
        assert "fromMetadata" not in await plain.receive()
        assert (await plain.receive())["fromMetadata"] == {"role": "camera"}


# Start and end --------------------------------------------------------------------------------------


async def test_stop_says_going_away_and_closes_with_1001(hub: RunningHub):
    client = await hub.client()

    await hub.end()

    assert await client.receive() == {"type": "going_away", "retryAfterMs": 1000}
    assert (await client.closed())[0] == 1001


async def test_after_a_restart_members_get_their_rosters_together(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = hub_settings(listen=f"127.0.0.1:{port}", state_dir=str(tmp_path), warm_up_s=0.4)
    async with running_hub(settings) as hub:
        first = await hub.client()
        assert await first.subscribe() == [], "a first start keeps nobody waiting"
        await hub.end()

    async with running_hub(settings) as hub:
        clients = [await hub.client(), await hub.client()]
        for client in clients:
            await client.send(type="subscribe", channel="room", requestId="r")
            assert (await client.receive())["type"] == "ack"
            await client.nothing_comes()
        assert await clients[0].receive() == joined(clients[1].id)
        assert await clients[1].receive() == joined(clients[0].id)
        for client in clients:
            await client.socket.close()

    async with running_hub(settings) as hub:
        assert await (await hub.client()).subscribe() == [], "nobody was connected at the end"


async def test_port_in_use_raises_and_leaves_the_note_of_the_hub_that_has_it(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = hub_settings(listen=f"127.0.0.1:{port}", state_dir=str(tmp_path))
    async with running_hub(settings) as hub:
        await hub.client()
        note = list(tmp_path.iterdir())
        assert len(note) == 1
        with pytest.raises(OSError, match="in use"):
            async with running_hub(settings):
                pass
        assert list(tmp_path.iterdir()) == note


async def test_localhost_is_one_address():
    async with running_hub(hub_settings(listen="localhost:0")) as hub:
        assert await hub.client()


async def test_tls(tls_files: tuple[Path, Path]):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*tls_files)
    client_side = ssl.create_default_context(cafile=str(tls_files[0]))
    async with running_hub(tls=server_side, scheme="wss", client_tls=client_side) as hub:
        assert await (await hub.client()).subscribe() == []


# Around the edges -----------------------------------------------------------------------------------


async def test_page_and_health_over_the_same_port(hub: RunningHub):
    await hub.client()
    status, headers, body = await hub.get("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>edged</title>" in body

    status, _, body = await hub.get("/healthz")
    health = json.loads(body)
    assert status == 200
    assert (health["status"], health["connections"], health["accepted"]) == ("ok", 1, 1)


@pytest.mark.parametrize(
    "path", ["/../server.py", "/page/index.html", "/%2e%2e/auth.py", "/vendor/", "//", "/v1/", "*"]
)
async def test_no_other_path_exists(hub: RunningHub, path: str):
    status, headers, body = await hub.get(path)
    assert status == 404
    assert headers["x-content-type-options"] == "nosniff"
    assert b"import" not in body


async def test_websocket_at_another_path_is_refused(hub: RunningHub):
    hub.scheme = f"ws://127.0.0.1:{hub.port}/elsewhere?x="
    with pytest.raises(InvalidStatus):
        await hub.open()


async def test_strange_requests_are_answered_without_a_word_in_the_log(
    hub: RunningHub, caplog: pytest.LogCaptureFixture
):
    assert (await hub.get("/v1"))[0] == 426
    for text in ("POST / HTTP/1.1\nHost: x\n\n", "nonsense\n\n", "GET / HTTP/1.1\n" + "a: b\n" * 500 + "\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(text.replace("\n", "\r\n").encode())
        async with asyncio.timeout(TIMEOUT_S):
            assert b" 200 " not in await reader.read()
        writer.close()
    assert caplog.records == []


async def test_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "OPEN_TIMEOUT_S", 0.2)
    async with running_hub() as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(b"GET /v1 HTTP/1.1\r\nHost:")
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read() == b""
        writer.close()


async def test_keys_and_tokens_never_reach_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for name in ("edged.hub.server", "edged.hub.server.websockets"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with running_hub() as hub:
        client = await hub.client()
        await client.subscribe()
        await (await hub.open("key=pk_live_wrong_one")).closed()
        await (await hub.open("token=a.b.secret_part")).closed()
        await hub.get("/v1?key=pk_live_by_get")
    hub_lines = [r.getMessage() for r in caplog.records if not r.name.startswith(("websockets", "asyncio"))]
    assert not [line for line in hub_lines if "pk_live" in line or "secret_part" in line]
    assert len([line for line in hub_lines if "refused a connection" in line and "WARNING" in line]) <= 1


async def test_refusals_are_told_once_then_quietly(hub: RunningHub, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    for _ in range(3):
        await (await hub.open("key=wrong")).closed()

    lines = [record.getMessage() for record in caplog.records if record.name == "edged.hub.server"]
    assert lines == ["refused a connection from 127.0.0.1: unknown key (1 refused since the start)"]


async def test_fault_of_our_own_closes_one_connection_and_is_logged(
    hub: RunningHub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    one, other = await hub.client(), await hub.client()
    monkeypatch.setattr(server_module, "decode_client_frame", lambda _: 1 // 0)
    await one.send(type="ping")
    assert (await one.closed())[0] == 1011
    monkeypatch.undo()

    await other.nothing_comes()
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]


async def test_many_clients_get_every_broadcast(hub: RunningHub):
    sender, *receivers = [await hub.client() for _ in range(40)]
    for client in receivers:
        await client.subscribe()
    await sender.send(type="publish", channel="room", data="all")

    async def message(client: Client) -> Any:
        while (frame := await client.receive())["type"] == "presence":
            pass
        return frame["data"]

    assert await asyncio.gather(*map(message, receivers)) == ["all"] * 39
