"""The one connection to the broker: who hears what, who answers for it, and what becomes of a will that is refused."""

import asyncio

import pytest

from edged.broker import BrokerLink
from edged.errors import BrokerLostError, BrokerNotConnectedError, BrokerRefusedError
from edged.settings import MqttSettings


class Message:
    def __init__(self, topic):
        self.topic = topic
        self.acknowledged = 0

    def ack(self):
        self.acknowledged += 1


class FakeDoor:
    def __init__(self, settings, client_id, subscriptions, on_message, *, will, on_up, on_session_lost, on_connecting):
        self.client_id = client_id
        self.subscriptions = subscriptions
        self.on_message = on_message
        self.will = will
        self.on_up = on_up
        self.on_session_lost = on_session_lost
        self.on_connecting = on_connecting
        self.ends = []
        self.published = []
        self.is_reading = True

    async def run(self, up):
        error = self.ends.pop(0) if self.ends else None
        if isinstance(error, BrokerRefusedError):
            raise error
        up("connected")
        self.on_up()
        raise error or BrokerLostError("ended")

    async def publish(self, topic, payload, qos, retain, **more):
        self.published.append((topic, payload, qos, retain, more))

    async def request(self, topic, payload, **more):
        return b"reply to " + payload

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True


class Doors:
    """Makes doors; `ends` are how their lives end, in turn, over all doors."""

    def __init__(self, *ends):
        self.made = []
        self._ends = list(ends)

    def __call__(self, *arguments, **more):
        door = FakeDoor(*arguments, **more)
        door.ends = self._ends
        self.made.append(door)
        return door


REFUSED = BrokerRefusedError("refuses us")


@pytest.fixture
def taken():
    return []


def link_with(doors, taken, *, filters=(("farm/#", 1),)):
    link = BrokerLink(MqttSettings(), "edged-farm", doors)
    link.take(filters, taken.append)
    return link


async def live(link, told=None):
    with pytest.raises((BrokerLostError, BrokerRefusedError)) as ended:
        await link.run((told if told is not None else []).append)
    return ended.value


async def test_without_listeners_messages_go_straight_to_the_one_who_takes_them(taken):
    doors = Doors()
    link = link_with(doors, taken)
    await live(link)
    (door,) = doors.made
    assert door.on_message == taken.append
    assert (door.client_id, door.subscriptions) == ("edged-farm", (("farm/#", 1),))


async def test_a_listener_hears_its_topic_and_nobody_answers_for_it(taken):
    heard = []
    doors = Doors()
    link = link_with(doors, taken)
    link.listen("homeassistant/status", heard.append)
    await live(link)
    (door,) = doors.made
    assert door.subscriptions == (("farm/#", 1), ("homeassistant/status", 0))
    birth, reading = Message("homeassistant/status"), Message("farm/t")
    door.on_message(birth)
    door.on_message(reading)
    assert (heard, birth.acknowledged) == ([birth], 1)
    assert (taken, reading.acknowledged) == ([reading], 0)


async def test_a_topic_that_is_heard_and_taken_is_answered_for_by_the_taker(taken):
    heard = []
    doors = Doors()
    link = link_with(doors, taken, filters=(("#", 1),))
    link.listen("homeassistant/status", heard.append)
    await live(link)
    message = Message("homeassistant/status")
    doors.made[0].on_message(message)
    assert heard == taken == [message]
    assert message.acknowledged == 0


async def test_a_gateway_of_cameras_only_listens():
    doors = Doors()
    link = BrokerLink(MqttSettings(), "edged-farm", doors)
    await live(link)
    stray = Message("x")
    doors.made[0].on_message(stray)
    assert stray.acknowledged == 1


async def test_a_door_lives_through_many_connections(taken):
    ups = []
    doors = Doors()
    link = link_with(doors, taken)
    link.when_up(lambda: ups.append("any"))
    link.leave_behind("edged/farm/state", b"offline", lambda: ups.append("with will"))
    await live(link)
    await live(link)
    assert len(doors.made) == 1
    assert doors.made[0].will == ("edged/farm/state", b"offline")
    assert ups == ["any", "with will"] * 2


async def test_who_keeps_count_of_connections_and_sessions_is_told(taken):
    told = []
    doors = Doors()
    link = link_with(doors, taken)
    link.on_session_lost(lambda: told.append("session"))
    link.on_connecting(lambda: told.append("connection"))
    await live(link)
    doors.made[0].on_connecting()
    doors.made[0].on_session_lost()
    assert told == ["connection", "session"]


async def test_a_broker_that_refuses_the_will_is_used_without_one(taken, caplog):
    ups = []
    doors = Doors(REFUSED)
    link = link_with(doors, taken)
    link.when_up(lambda: ups.append("any"))
    link.leave_behind("edged/farm/state", b"offline", lambda: ups.append("with will"))
    told = []
    assert isinstance(await live(link, told), BrokerLostError)
    assert told == ["connected"]
    await live(link)
    assert [door.will for door in doors.made] == [("edged/farm/state", b"offline"), None]
    assert ups == ["any", "any"], "the state is not published where its end could not be"
    assert caplog.text.count("allow it for our user, or set site.state: never") == 1


async def test_a_broker_that_refuses_us_anyhow_is_asked_with_the_will_again(taken, caplog):
    ups = []
    doors = Doors(REFUSED, REFUSED)
    link = link_with(doors, taken)
    link.leave_behind("edged/farm/state", b"offline", lambda: ups.append("with will"))
    assert await live(link) is REFUSED
    await live(link)
    assert ups == ["with will"]
    assert "last will" not in caplog.text


async def test_a_refusal_without_a_will_is_only_that(taken):
    doors = Doors(REFUSED)
    link = link_with(doors, taken)
    assert await live(link) is REFUSED
    assert len(doors.made) == 1


async def test_publishing_goes_through_the_door(taken):
    doors = Doors()
    link = link_with(doors, taken)
    link.pause_reading()
    with pytest.raises(BrokerNotConnectedError):
        await link.publish("t", b"x")
    with pytest.raises(BrokerNotConnectedError):
        await link.request("t", b"x")
    await live(link)
    await link.publish("t", b"x", retain=True, expires_s=3.0)
    assert doors.made[0].published == [("t", b"x", 1, True, {"expires_s": 3.0})]
    assert await link.request("t", b"x", reply_topic="r", timeout_s=1.0) == b"reply to x"
    link.pause_reading()
    assert not doors.made[0].is_reading
    link.resume_reading()
    assert doors.made[0].is_reading


async def test_a_stop_in_the_middle_passes(taken):
    class Endless(FakeDoor):
        async def run(self, up):
            await asyncio.Event().wait()

    link = link_with(Endless, taken)
    task = asyncio.create_task(link.run(str))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
