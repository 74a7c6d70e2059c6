"""The door with a real broker: at least once, in order, across restarts of either side."""

from __future__ import annotations

import asyncio
import logging
import signal
from functools import partial

import pytest

from edged.errors import (
    BrokerLostError,
    BrokerNotConnectedError,
    BrokerProtocolError,
    BrokerUnreachableError,
    PublicationLateError,
)
from edged.mqtt import MqttDoor, Publication, paho_client
from edged.mqtt.paho_client import MAX_PACKET_BYTES
from edged.settings import MqttSettings
from scripts.lib import peers

from .conftest import CONNACK_OLD, CONNACK_V5, CONNACK_V311, PROTOCOL_LEVEL, DoorOnTest, byte_broker, read_packet, relay


def numbered(first, last):
    return [("t/n", str(n)) for n in range(first, last)]


async def test_messages_arrive_in_order_with_their_facts(broker, open_door, publish):
    door = await open_door(broker.port)
    door.acknowledge_at_once()
    await publish(broker.port, *numbered(0, 1000))
    await door.until(1000)
    assert door.payloads == [str(n).encode() for n in range(1000)]
    first = door.messages[0]
    assert (first.topic, first.qos, first.retain) == ("t/n", 1, False)
    assert first.received_ms > 1_700_000_000_000
    assert door.told == [f"connected to the MQTT broker at 127.0.0.1:{broker.port}"]


async def test_what_was_not_acknowledged_comes_again_to_the_next_process(broker, open_door, publish):
    door = await open_door(broker.port)
    await publish(broker.port, *numbered(0, 5))
    await door.until(5)
    for message in door.messages[:2]:
        message.ack()
    await door.close()
    await publish(broker.port, *numbered(5, 7))
    again = await open_door(broker.port)
    await again.until(5)
    assert again.payloads == [b"2", b"3", b"4", b"5", b"6"]


async def test_the_last_acknowledgements_arrive_though_the_broker_is_in_the_middle_of_sending(open_door, publish):
    async with peers.mosquitto(extra="max_queued_messages 0") as broker:
        door = await open_door(broker.port)
        await door.close()
        await publish(broker.port, *[("t/n", f"{n:05}".ljust(4000)) for n in range(3000)])
        for first in range(0, 500, 100):
            door = DoorOnTest(broker.port)
            door.on_message = partial(take_a_hundred, door)
            door.task = asyncio.create_task(door.door.run(door.told.append))
            await door.until(100)
            for message in door.messages:
                message.ack()
            await door.close()
            assert [int(payload) for payload in door.payloads] == list(range(first, first + 100))


def take_a_hundred(door, message):
    if len(door.messages) < 100:
        door.messages.append(message)
    else:
        door.door.pause_reading()


async def test_a_new_connection_of_the_same_process_hands_nothing_out_twice(broker, open_door, publish):
    door = await open_door(broker.port)
    await publish(broker.port, *numbered(0, 5))
    await door.until(5)
    door.messages[0].ack()
    await door.door.publish("elsewhere", b"the broker has read what was sent before")
    usurper = await open_door(broker.port)
    error = await door.ended()
    assert isinstance(error, BrokerLostError)
    assert "set mqtt.client_id" in str(error)
    await usurper.until(4)
    await usurper.close()
    # Acknowledged while there is no connection: it counts when the broker asks again.
    door.messages[1].ack()
    await door.open()
    for message in door.messages[2:]:
        message.ack()
    await publish(broker.port, ("t/n", "last"))
    await door.until(6)
    assert door.payloads[5] == b"last"
    door.messages[5].ack()
    await door.close()
    await publish(broker.port, ("t/n", "marker"))
    final = await open_door(broker.port)
    await final.until(1)
    assert final.payloads == [b"marker"]


async def test_an_acknowledgement_of_an_earlier_life_does_not_confirm_a_new_message(open_door, publish):
    async with peers.mosquitto() as first:
        door = await open_door(first.port)
        await publish(first.port, ("t/n", "old"))
        await door.until(1)
        port = first.port
        first.child.signal(signal.SIGKILL)
        assert isinstance(await door.ended(), BrokerLostError)
    async with peers.mosquitto(port=port):
        # A broker without persistence has forgotten the session; its first message has the same packet id.
        await door.open()
        await publish(port, ("t/n", "new"))
        await door.until(2)
        door.messages[0].ack()
        await door.close()
        again = await open_door(port)
        await again.until(1)
        assert again.payloads == [b"new"]


async def test_a_restarted_broker_with_persistence_loses_nothing(tmp_path, open_door, publish):
    tmp_path.chmod(0o777)
    extra = f"persistence true\npersistence_location {tmp_path}/\nautosave_interval 1\nautosave_on_changes true\n"
    async with peers.mosquitto(extra=extra) as first:
        door = await open_door(first.port)
        await publish(first.port, *numbered(0, 3))
        await door.until(3)
        port = first.port
    assert isinstance(await door.ended(), BrokerLostError)
    async with peers.mosquitto(port=port, extra=extra):
        await door.open()
        await publish(port, ("t/n", "3"))
        await door.until(4)
        assert door.payloads == [b"0", b"1", b"2", b"3"]


async def test_retained_messages_come_once_and_not_with_every_connection(broker, open_door, publish):
    await publish(broker.port, ("t/state", "on"), retain=True)
    door = await open_door(broker.port)
    await door.until(1)
    assert door.messages[0].retain
    door.messages[0].ack()
    await door.close()
    await door.open()
    await publish(broker.port, ("t/n", "1"))
    await door.until(2)
    assert door.payloads == [b"on", b"1"]


async def test_overlapping_filters_bring_a_message_once(broker, open_door, publish):
    door = await open_door(broker.port, subscriptions=(("+/temp", 1), ("house/#", 1), ("house/temp", 1)))
    door.acknowledge_at_once()
    twice = [("house/temp", "20"), ("house/temp", "20")]
    await publish(broker.port, *twice, ("house/x", "1"), ("barn/temp", "2"), *twice, ("house/end", "3"))
    await door.until(7)
    assert [(m.topic, m.payload) for m in door.messages] == [
        ("house/temp", b"20"),
        ("house/temp", b"20"),
        ("house/x", b"1"),
        ("barn/temp", b"2"),
        ("house/temp", b"20"),
        ("house/temp", b"20"),
        ("house/end", b"3"),
    ]


@pytest.mark.parametrize("filters", [(("t/#", 1), ("t/n", 0)), (("t/n", 0), ("t/#", 1))])
async def test_what_one_of_overlapping_filters_asks_for_with_qos_1_comes_with_qos_1(
    broker, open_door, publish, filters
):
    door = await open_door(broker.port, subscriptions=filters)
    await publish(broker.port, ("t/n", "1"), ("t/last", "2"))
    await door.until(2)
    assert [(message.payload, message.qos) for message in door.messages] == [(b"1", 1), (b"2", 1)]


async def test_qos_0_needs_no_acknowledgement(broker, open_door, publish):
    door = await open_door(broker.port, subscriptions=(("t/#", 0),))
    await publish(broker.port, ("t/n", "1"))
    await door.until(1)
    assert door.messages[0].qos == 0
    door.messages[0].ack()


async def test_connect_asks_for_the_old_session_and_for_no_more_than_the_receive_maximum():
    sent = []

    async def answer(reader, writer):
        sent.append(await read_packet(reader))
        writer.write(CONNACK_V5)
        await reader.read()

    async with byte_broker(answer) as port:
        door = MqttDoor(MqttSettings(port=port, receive_maximum=321), client_id="c", subscriptions=(), on_message=print)
        task = asyncio.create_task(door.run(lambda _detail: task.cancel()))
        await asyncio.wait([task])
    assert b"\x21" + (321).to_bytes(2, "big") in sent[0]  # property 0x21, Receive Maximum
    assert sent[0][PROTOCOL_LEVEL + 1] & 0x02 == 0  # clean start


async def test_pause_pushes_back_and_the_connection_outlives_it(open_door, publish):
    async with peers.mosquitto(extra="max_queued_messages 0") as broker:
        await pause_and_resume(broker, open_door, publish)


async def pause_and_resume(broker, open_door, publish):
    door = await open_door(broker.port, keepalive_s=1)

    def pause_at_ten(message):
        door.messages.append(message)
        message.ack()
        if len(door.messages) == 10:
            door.door.pause_reading()

    door.on_message = pause_at_ten
    await publish(broker.port, *[("t/n", f"{n:04}".ljust(1000)) for n in range(5000)])
    # Longer than the broker waits for a sign of life, which is 1.5 s.
    await asyncio.sleep(2.2)
    assert len(door.messages) == 10
    assert not door.task.done()
    door.door.resume_reading()
    await door.until(5000)
    assert [int(payload) for payload in door.payloads] == list(range(5000))
    assert not door.task.done()


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_door_that_opens_paused_is_there_and_reads_when_it_is_resumed(broker, open_door, publish, is_old):
    listener = await open_door(broker.port, client_id="listener", subscriptions=(("out", 0),))
    door = await open_door(broker.port, is_old=is_old)
    await door.close()
    await publish(broker.port, *numbered(0, 3))
    door.door.pause_reading()
    await door.open()
    # What is published now reaches the others, though nothing that comes back is read.
    publishing = asyncio.create_task(door.door.publish("out", b"here"))
    await listener.until(1)
    assert not publishing.done()
    assert door.messages == []
    door.door.resume_reading()
    await door.until(3)
    await publishing


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_door_whose_first_messages_fill_memory_is_up_at_once(broker, open_door, publish, is_old):
    first = await open_door(broker.port, is_old=is_old)
    await first.close()
    await publish(broker.port, *numbered(0, 3))
    # Another process, which asks for its subscriptions again, and is full before the answer comes.
    door = DoorOnTest(broker.port, is_old=is_old)
    door.on_message = lambda message: (door.messages.append(message), door.door.pause_reading())
    await door.open()
    try:
        assert door.payloads == [b"0"]
        for count in (2, 3):
            door.door.resume_reading()
            await door.until(count)
        door.door.resume_reading()
        await publish(broker.port, ("t/n", "3"))
        await door.until(4)
        assert not door.task.done()
    finally:
        await door.close()


A_MESSAGE_V5 = b"\x30\x07\x00\x03t/n\x001"


async def full_at_once(port):
    """Open a door that stops reading with its first message, which comes before its subscriptions are answered."""
    door = DoorOnTest(port)
    door.on_message = lambda message: (door.messages.append(message), door.door.pause_reading())
    await door.open()
    await door.until(1)
    return door


async def test_a_refusal_that_is_read_late_is_told(caplog):
    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        subscribe = await read_packet(reader)
        writer.write(A_MESSAGE_V5 + b"\x90\x04" + subscribe[2:4] + b"\x00\x87" + A_MESSAGE_V5)
        await reader.read()

    async with byte_broker(answer) as port:
        door = await full_at_once(port)
        assert caplog.text == ""
        door.door.resume_reading()
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0.005)
        assert not door.task.done()
        await door.close()
    assert "does not let us read 't/#'" in caplog.text


async def test_a_connection_that_ends_before_its_subscriptions_are_answered_says_why():
    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        await read_packet(reader)
        writer.write(A_MESSAGE_V5)
        writer.close()

    async with byte_broker(answer) as port:
        door = await full_at_once(port)
        door.door.resume_reading()
        assert isinstance(await door.ended(), BrokerLostError)


async def test_a_broker_is_given_its_time_to_answer_again_after_a_pause(monkeypatch):
    monkeypatch.setattr(paho_client, "CONNECT_TIMEOUT_S", 0.2)

    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        subscribe = await read_packet(reader)
        writer.write(A_MESSAGE_V5)
        # Longer than it would have if nothing had been paused.
        await asyncio.sleep(0.7)
        writer.write(b"\x90\x04" + subscribe[2:4] + b"\x00\x01" + A_MESSAGE_V5)
        await reader.read()

    async with byte_broker(answer) as port:
        door = await full_at_once(port)
        door.door.resume_reading()
        await door.until(2)
        assert not door.task.done()
        await door.close()


async def test_publish_waits_for_the_broker(broker, open_door):
    listener = await open_door(broker.port, client_id="listener")
    speaker = await open_door(broker.port, client_id="speaker", subscriptions=())
    await asyncio.gather(*(speaker.door.publish("t/out", str(n).encode()) for n in range(50)))
    await speaker.door.publish("t/out", b"unconfirmed", 0)
    await listener.until(51)
    assert listener.payloads[:50] == [str(n).encode() for n in range(50)]


async def test_publish_without_a_connection_says_so(open_door):
    door = MqttDoor(MqttSettings(), client_id="c", subscriptions=(), on_message=print)
    with pytest.raises(BrokerNotConnectedError, match="not connected"):
        await door.publish("t", b"1")


async def test_a_broker_of_3_1_1_only_is_spoken_to_in_its_version(open_door):
    levels = []

    async def answer(reader, writer):
        connect = await read_packet(reader)
        levels.append(connect[PROTOCOL_LEVEL])
        if connect[PROTOCOL_LEVEL] == 5:
            writer.write(CONNACK_OLD)
            await writer.drain()
            writer.close()
            return
        writer.write(CONNACK_V311)
        subscribe = await read_packet(reader)
        writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01")
        writer.write(b"\x32\x08\x00\x03t/n\x00\x079")
        while await reader.read(100):
            pass

    async with byte_broker(answer) as port:
        door = await open_door(port)
        await door.until(1)
        assert door.payloads == [b"9"]
        await door.close()
        await door.open()
        assert levels == [5, 4, 4]
        await door.close()


async def test_a_topic_that_the_broker_keeps_from_us_does_not_stop_the_others(tmp_path, open_door, publish):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite t/#\n")
    async with peers.mosquitto(extra=f"acl_file {acl}") as broker:
        # mosquitto 2.0 grants every subscription and filters on delivery; a broker that refuses says so in SUBACK.
        door = await open_door(broker.port, subscriptions=(("secret/#", 1), ("t/#", 1)))
        await publish(broker.port, ("secret/x", "1"), ("t/n", "2"))
        await door.until(1)
        assert door.payloads == [b"2"]


async def test_refused_filters_are_named(open_door, caplog):
    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        subscribe = await read_packet(reader)
        writer.write(b"\x90\x05" + subscribe[2:4] + b"\x00\x87\x01")
        await reader.read()

    async with byte_broker(answer) as port:
        door = await open_door(port, subscriptions=(("secret/#", 1), ("t/#", 1)))
        await door.close()
        await door.open()
        await door.close()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "'secret/#'" in warnings[0]


async def test_a_topic_that_is_not_text_is_dropped_and_acknowledged(open_door, caplog):
    acked = asyncio.Event()

    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        subscribe = await read_packet(reader)
        writer.write(b"\x90\x04" + subscribe[2:4] + b"\x00\x01")
        writer.write(b"\x32\x08\x00\x02\xff\xfe\x00\x05\x001")
        if await reader.readexactly(4) == b"\x40\x02\x00\x05":
            acked.set()
        await reader.read()

    async with byte_broker(answer) as port:
        door = await open_door(port)
        await asyncio.wait_for(acked.wait(), 5)
        assert door.messages == []
        await door.close()


async def test_a_malformed_packet_ends_the_connection_with_a_sentence(open_door):
    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V5)
        subscribe = await read_packet(reader)
        writer.write(b"\x90\x04" + subscribe[2:4] + b"\x00\x01" + b"\x32\x03\xff\xff\xff")
        await reader.read()

    async with byte_broker(answer) as port:
        with pytest.raises(BrokerProtocolError, match="malformed"):
            await open_door(port)


async def test_the_will_is_published_when_we_are_lost_and_not_when_we_leave(broker, open_door):
    listener = await open_door(broker.port, client_id="listener", subscriptions=(("state", 1),))
    will = Publication("state", b"offline", retain=True)
    async with relay(broker.port) as (port, cut):
        door = await open_door(port, will=will)
        await door.door.publish("state", b"online")
        await door.close()
        await door.open()
        await door.door.publish("state", b"online again")
        cut()
        await listener.until(3)
    assert listener.payloads == [b"online", b"online again", b"offline"]


async def test_the_door_tells_of_connections_and_of_lost_sessions(open_door):
    async with peers.mosquitto() as first:
        door = await open_door(first.port)
        assert door.events_since() == ["connecting", "session lost", "up"]
        await door.close()
        await door.open()
        assert door.events_since() == ["connecting", "up"]
        port = first.port
        first.child.signal(signal.SIGKILL)
        await door.ended()
        with pytest.raises(BrokerUnreachableError):
            await door.open()
        assert door.events_since() == []
    async with peers.mosquitto(port=port):
        await door.open()
        assert door.events_since() == ["connecting", "session lost", "up"]


async def test_messages_carry_their_packet_id_and_the_word_that_they_repeat(broker, open_door, publish):
    door = await open_door(broker.port)
    await publish(broker.port, *numbered(0, 2))
    await publish(broker.port, ("t/n", "qos 0"), qos=0)
    await door.until(3)
    facts = [(message.packet_id > 0, message.repeated) for message in door.messages]
    assert facts == [(True, False), (True, False), (False, False)]
    await door.close()
    again = await open_door(broker.port)
    await again.until(2)
    assert [(message.packet_id, message.repeated) for message in again.messages] == [
        (message.packet_id, True) for message in door.messages[:2]
    ]


@pytest.mark.parametrize("is_old", [False, True])
async def test_what_we_publish_does_not_come_back(broker, open_door, publish, is_old):
    door = await open_door(broker.port, is_old=is_old, subscriptions=(("t/#", 1), ("t/+", 0)))
    door.acknowledge_at_once()
    await door.door.publish("t/own", b"1")
    await publish(broker.port, ("t/own", "1"), ("t/n", "last"))
    async with asyncio.timeout(15):
        while b"last" not in door.payloads:
            door.arrived.clear()
            await door.arrived.wait()
    assert door.payloads == [b"1", b"last"]


async def test_what_we_could_not_publish_is_not_expected_back(broker, open_door, publish):
    door = await open_door(broker.port, is_old=True)
    door.acknowledge_at_once()
    with pytest.raises(PublicationLateError):
        await door.door.publish("t/n", b"on", expires_s=0.0)
    await door.close()
    with pytest.raises(BrokerNotConnectedError):
        await door.door.request("t/n", b"on", reply_topic="r", timeout_s=5)
    await door.open()
    await publish(broker.port, ("t/n", "on"))
    await door.until(1)
    assert door.payloads == [b"on"]


async def test_a_publication_that_expired_at_the_broker_is_not_delivered(broker, open_door, publish):
    door = await open_door(broker.port, client_id="away")
    await door.close()
    gateway = await open_door(broker.port)
    await gateway.door.publish("t/late", b"late", expires_s=0.4)
    await gateway.door.publish("t/in time", b"in time", expires_s=60)
    await asyncio.sleep(2.1)  # whole seconds are the broker's only measure
    await door.open()
    await publish(broker.port, ("t/n", "last"))
    await door.until(2)
    assert door.payloads == [b"in time", b"last"]


async def test_many_filters_are_few_packets(open_door):
    packets = []

    async def answer(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V311)
        while len(packets) < 3:
            head = await reader.readexactly(3)
            body = await reader.readexactly((head[1] & 0x7F) + head[2] * 128)
            packets.append(body)
            filters = body[2:].count(b"t/")
            length = filters + 2
            size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
            writer.write(b"\x90" + size + body[:2] + b"\x01" * filters)
        await reader.read()

    async with byte_broker(answer) as port:
        await open_door(port, is_old=True, subscriptions=tuple((f"t/{n}", 1) for n in range(300)))
    assert len(packets) == 3


async def test_a_message_of_20_mb_passes_by_a_broker_of_3_1_1(broker, open_door, publish):
    door = await open_door(broker.port, is_old=True)
    door.acknowledge_at_once()
    await publish(broker.port, ("t/huge", b"x" * 20_000_000), ("t/n", "next"))
    await door.until(2)
    assert len(door.payloads[0]) <= MAX_PACKET_BYTES
    assert door.payloads[1] == b"next"
