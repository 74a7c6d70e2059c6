"""Questions and answers over a real broker, with marks and without."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from edged.errors import BrokerNotConnectedError, BrokerRefusedError, MqttError, NoReplyError, PublicationLateError
from edged.mqtt import requester
from tests.edged.mqtt.conftest import CONNACK_V311, byte_broker, read_packet


class Device:
    """An actuator: takes commands on cmd/#, answers with the payload it got, in the order it is told to."""

    def __init__(self, door):
        self.door = door
        self.commands = asyncio.Queue()
        door.on_message = self.take

    def take(self, message):
        message.ack()
        self.commands.put_nowait(message.payload)

    async def next(self):
        async with asyncio.timeout(10):
            return await self.commands.get()

    async def answer(self, topic="re", payload=None):
        await self.door.door.publish(topic, payload if payload is not None else await self.next())


@pytest.fixture(params=[False, True], ids=["5", "3.1.1"])
async def site(request, broker, open_door):
    """Return a door and a device on one broker, both of one version."""
    gateway = await open_door(broker.port, client_id="gateway", is_old=request.param)
    gateway.acknowledge_at_once()
    device = Device(
        await open_door(broker.port, client_id="device", subscriptions=(("cmd/#", 1),), is_old=request.param)
    )
    return gateway, device


def ask(gateway, payload, reply_topic="re", timeout_s=10, **more):
    return asyncio.create_task(
        gateway.door.request("cmd/x", payload, reply_topic=reply_topic, timeout_s=timeout_s, **more)
    )


async def test_the_answer_is_returned_and_nothing_else_hears_of_it(site):
    gateway, device = site
    asked = ask(gateway, b"open")
    await device.answer()
    assert await asked == b"open"
    assert gateway.messages == []


async def test_an_answer_on_a_subscribed_topic_goes_to_the_routes_too(site):
    gateway, device = site
    asked = ask(gateway, b"open", "t/re")
    await device.answer("t/re")
    assert await asked == b"open"
    await gateway.until(1)
    assert gateway.payloads == [b"open"]


async def test_two_questions_on_one_reply_topic_get_their_own_answers(site):
    gateway, device = site
    one, other = ask(gateway, b"1"), ask(gateway, b"2")
    await device.answer()
    await device.answer()
    assert (await one, await other) == (b"1", b"2")


async def test_questions_on_different_reply_topics_do_not_wait_for_each_other(site):
    gateway, device = site
    one, other = ask(gateway, b"1", "re/1"), ask(gateway, b"2", "re/2")
    first, second = await device.next(), await device.next()
    assert {first, second} == {b"1", b"2"}
    await device.answer("re/2", b"2")
    assert await other == b"2"
    await device.answer("re/1", b"1")
    assert await one == b"1"


async def test_what_is_retained_on_the_reply_topic_is_no_answer(site):
    gateway, device = site
    await device.door.door.publish("re", b"stale", retain=True)
    asked = ask(gateway, b"open")
    await device.answer()
    assert await asked == b"open"


async def test_what_we_publish_on_the_reply_topic_is_no_answer(site):
    gateway, device = site
    asked = ask(gateway, b"open", "cmd/x")
    await device.next()
    await gateway.door.publish("cmd/x", b"ours")
    await device.next()
    await device.door.door.publish("cmd/x", b"theirs")
    assert await asked == b"theirs"
    assert gateway.messages == []


async def test_nobody_answers(site):
    gateway, device = site
    with pytest.raises(NoReplyError, match=r"nobody answered on 're' within 0\.2 s"):
        await ask(gateway, b"open", timeout_s=0.2)
    # A late answer is no reading, and no answer to the next question, which can tell by its words.
    asked = ask(gateway, b"close", is_reply=lambda payload: payload == b"close")
    await device.answer()
    await device.answer()
    assert await asked == b"close"
    assert gateway.messages == []


async def test_a_question_given_up_makes_way_for_the_next(site):
    gateway, device = site
    first = ask(gateway, b"1")
    await device.next()
    second = ask(gateway, b"2")
    first.cancel()
    await device.answer()
    assert await second == b"2"


async def test_the_answer_may_come_on_another_connection(site, broker, open_door):
    gateway, device = site
    asked = ask(gateway, b"open")
    payload = await device.next()
    usurper = await open_door(broker.port, client_id="gateway", subscriptions=())
    await gateway.ended()
    await usurper.close()
    await gateway.open()
    await device.answer("re", payload)
    assert await asked == b"open"


async def test_no_question_without_a_connection(site):
    gateway, _device = site
    await gateway.close()
    with pytest.raises(BrokerNotConnectedError):
        await ask(gateway, b"open")


async def test_a_broker_that_keeps_the_answers_from_us_is_named(open_door):
    async def refuse(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V311)
        subscribe = await read_packet(reader)
        writer.write(b"\x90\x03" + subscribe[2:4] + b"\x80")
        await reader.read()

    async with byte_broker(refuse) as port:
        gateway = await open_door(port, subscriptions=(), is_old=True)
        with pytest.raises(BrokerRefusedError, match="does not let us read 're'"):
            await ask(gateway, b"open")


async def test_a_connection_that_ends_before_the_question_is_taken_says_so(open_door):
    async def hang_up(reader, writer):
        await read_packet(reader)
        writer.write(CONNACK_V311)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await read_packet(reader)
        writer.close()

    async with byte_broker(hang_up) as port:
        gateway = await open_door(port, subscriptions=(), is_old=True)
        with pytest.raises(MqttError):
            await ask(gateway, b"open")


async def test_a_question_that_expires_before_its_turn_is_never_asked(site, monkeypatch):
    gateway, device = site
    first = ask(gateway, b"first")
    assert await device.next() == b"first"
    second = ask(gateway, b"second", expires_s=60)
    for _ in range(3):
        await asyncio.sleep(0)  # until it waits for its turn
    later_s = requester._uptime_s() + 61  # as when the machine has slept
    monkeypatch.setattr(requester, "_uptime_s", lambda: later_s)
    await device.answer(payload=b"done")

    assert await first == b"done"
    with pytest.raises(PublicationLateError):
        await second
    assert device.commands.empty()
