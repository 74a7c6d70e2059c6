"""The sensor road as one part: nothing is acknowledged before it is safe, nothing is lost, the account is true."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat

import pytest

from edged.mqtt import MqttDoor
from edged.settings import MqttSettings, OutboxSettings, RouteSettings, TelemetrySettings
from edged.telemetry.clock import Clock
from edged.telemetry.pace import Pace
from edged.telemetry.telemetry import Telemetry
from scripts.lib import peers
from tests.edged.mqtt.conftest import publish_all

WALL_MS = 1_790_000_000_000
ROUTES = (
    RouteSettings(topic="greenhouse/door", channel="doors", payload="text"),
    RouteSettings(topic="greenhouse/#"),
)


@dataclass
class Sent:
    """A message of a broker that remembers whether it was acknowledged."""

    topic: str
    payload: bytes
    retain: bool = False
    packet_id: int = 0
    repeated: bool = False
    acked: int = 0

    def ack(self):
        self.acked += 1


class Road:
    """Telemetry on a fake hub and a real file; started and stopped as the daemon does."""

    def __init__(self, hub, state_dir, *, routes=ROUTES, quarantine=True, clock=None, runtime_dir=None, **outbox):
        self.hub = hub
        self.pauses = []
        self.settings = TelemetrySettings(routes=routes, quarantine=quarantine, outbox=OutboxSettings(**outbox))
        self.telemetry = Telemetry(
            self.settings,
            clock=clock or Clock(is_trusted=True, wall_ms=lambda: WALL_MS),
            gateway="farm-1",
            default_channel="farm",
            open_client=hub.open_client,
            state_dir=state_dir,
            runtime_dir=runtime_dir,
            pause=lambda: self.pauses.append("pause"),
            resume=lambda: self.pauses.append("resume"),
            pace=Pace(1e9, 1_000_000),
            delays=lambda: repeat(0.02),
        )
        self.numbers = count(1)
        self.sent = []
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.telemetry.run())

    async def stop(self):
        self.task.cancel()
        await asyncio.wait([self.task])

    def send(self, number=1, topic="greenhouse/t"):
        messages = [Sent(topic, str(next(self.numbers)).encode()) for _ in range(number)]
        self.sent += messages
        for message in messages:
            self.telemetry.accept(message)
        return messages

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    @property
    def unacked(self):
        return [message for message in self.sent if not message.acked]

    def account_is_true(self):
        stats = self.telemetry.stats()
        return stats.received + stats.recovered == stats.delivered + stats.waiting + sum(stats.dropped.values())


@pytest.fixture
async def make_road(hub, tmp_path):
    roads = []

    def make(**options):
        road = Road(hub, tmp_path, **options)
        roads.append(road)
        road.start()
        return road

    yield make
    for road in roads:
        await road.stop()


async def test_a_reading_goes_to_its_channel_and_is_then_acknowledged(make_road, hub):
    road = make_road()
    road.telemetry.accept(Sent("greenhouse/door", b"open", retain=True))
    (message,) = road.send()
    await road.until(lambda: message.acked)
    by_channel = {channel: data["readings"] for channel, data in hub.taken}
    assert by_channel["doors"][0]["value"] == "open"
    assert by_channel["doors"][0]["retained"] is True
    reading = by_channel["farm"][0]
    assert reading["topic"] == "greenhouse/t"
    assert reading["value"] == 1
    assert reading["time_ms"] == WALL_MS
    assert reading["id"].startswith("farm-1/")
    assert road.telemetry.stats().delivered == 2
    assert message.acked == 1


async def test_a_healthy_hub_keeps_the_disk_idle(make_road, tmp_path):
    road = make_road(spill_after_s=0.5)
    road.send(100)
    await road.until(lambda: not road.unacked)
    assert road.telemetry.stats().written_bytes == road.telemetry.stats().disk_bytes == 0


async def test_without_a_hub_readings_are_committed_and_delivered_in_order_later(make_road, hub):
    hub.refuse_connect = (1006, "nobody there")
    road = make_road(spill_after_s=0.05)
    road.send(500)
    await road.until(lambda: not road.unacked)
    assert road.telemetry.stats().waiting == 500
    hub.refuse_connect = None
    await hub.until_values(500)
    assert hub.values == list(range(1, 501))
    await road.until(lambda: road.telemetry.stats().waiting == 0)
    assert road.account_is_true()


async def test_a_link_that_breaks_in_between_loses_nothing(make_road, hub):
    road = make_road(spill_after_s=3600)
    for _ in range(5):
        hub.answering = False
        road.send(20)
        await hub.until(lambda: hub.waiting)
        await hub.drop()
        await hub.answer()
        await hub.until_values(len(road.sent))
    await road.until(lambda: not road.unacked)
    assert hub.values == list(range(1, 101))
    ids_of_values = {(reading["id"], reading["value"]) for reading in hub.readings}
    assert len(ids_of_values) == 100
    assert all(message.acked == 1 for message in road.sent)


async def test_a_restart_delivers_what_was_left_first_and_once(make_road, hub):
    hub.answering = False
    road = make_road(spill_after_s=3600)
    road.send(20)
    await hub.until(lambda: hub.waiting)
    await road.stop()
    assert not road.unacked
    (late,) = road.send()
    assert not late.acked
    await hub.answer()
    first_ids = [reading["id"] for reading in hub.readings]
    hub.taken.clear()
    again = make_road()
    again.send(3)
    await hub.until_values(23)
    assert hub.values == [*range(1, 21), 1, 2, 3]
    assert [reading["id"] for reading in hub.readings][: len(first_ids)] == first_ids
    assert len({reading["id"] for reading in hub.readings}) == 23
    await again.until(lambda: again.telemetry.stats().waiting == 0)
    assert again.telemetry.stats().recovered == 20
    assert again.account_is_true()


async def test_what_cannot_become_a_reading_is_acknowledged_counted_and_told_once(make_road, hub, caplog, tmp_path):
    road = make_road()
    for _ in range(3):
        message = Sent("greenhouse/t", b"\xff")
        road.telemetry.accept(message)
        assert message.acked
    road.telemetry.accept(Sent("greenhouse/t", b"x" * 20_000_000))
    road.telemetry.accept(Sent("elsewhere", b"1"))
    (good,) = road.send()
    await road.until(lambda: good.acked)
    assert road.telemetry.stats().dropped == {"not_utf8": 3, "too_large": 1, "no_route": 1}
    assert road.account_is_true()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    kept = road.telemetry.quarantined()
    assert [record["reason"] for record in kept] == ["not_utf8"] * 3 + ["too_large"]
    assert kept[3]["size_bytes"] == 20_000_000
    await road.until((tmp_path / "quarantine.jsonl").exists)
    assert road.telemetry.figures()["routes"]["greenhouse/#"]["refused"] == {"not_utf8": 3, "too_large": 1}


async def test_what_is_held_back_as_asked_is_acknowledged_at_once_and_no_loss(make_road, hub):
    road = make_road(routes=(RouteSettings(topic="greenhouse/#", on_change=True, payload="text"),))
    hub.refuse_connect = (1006, "nobody there")
    first, again = Sent("greenhouse/door", b"open"), Sent("greenhouse/door", b"open")
    road.telemetry.accept(first)
    road.telemetry.accept(again)
    assert (first.acked, again.acked) == (0, 1)
    assert road.telemetry.figures()["routes"]["greenhouse/#"]["filtered"] == {"on_change": 1}
    assert not road.telemetry.stats().dropped
    assert road.account_is_true()


async def test_a_quarantine_that_is_not_wanted_writes_nothing(make_road, tmp_path):
    road = make_road(quarantine=False)
    road.telemetry.accept(Sent("greenhouse/t", b"\xff"))
    assert len(road.telemetry.quarantined()) == 1
    await road.stop()
    assert not (tmp_path / "quarantine.jsonl").exists()


async def test_a_reading_taken_before_the_clock_was_set_gets_its_time_when_it_is_sent(make_road, hub):
    wall_ms = [1_000]
    hub.refuse_connect = (1006, "nobody there")
    clock = Clock(is_trusted=True, wall_ms=lambda: wall_ms[0])
    road = make_road(clock=clock)
    road.send()
    await road.until(lambda: road.telemetry.stats().waiting == 1)
    wall_ms[0] = WALL_MS
    await road.until(lambda: clock.now().is_set)
    hub.refuse_connect = None
    await hub.until_values(1)
    assert abs(hub.readings[0]["time_ms"] - WALL_MS) < 60_000
    assert "clock" not in hub.readings[0]


async def test_full_memory_without_a_disk_pauses_the_broker_and_recovers(make_road, hub, tmp_path):
    (tmp_path / "outbox.db").mkdir()
    hub.refuse_connect = (1006, "nobody there")
    road = make_road(memory_bytes=20_000, spill_after_s=0.05)
    road.send(20)
    assert road.pauses == []
    road.send(20)
    assert road.pauses == ["pause"]
    assert len(road.unacked) == 40
    hub.refuse_connect = None
    await hub.until_values(40)
    await road.until(lambda: road.pauses == ["pause", "resume"])
    assert hub.values == list(range(1, 41))
    await road.until(lambda: not road.unacked)


async def test_full_memory_goes_to_disk_and_the_broker_reads_on(make_road, hub):
    hub.refuse_connect = (1006, "nobody there")
    road = make_road(memory_bytes=50_000, spill_after_s=3600)
    for _ in range(50):
        road.send(20)
        await road.until(lambda: road.pauses[-1:] != ["pause"])
    await road.until(lambda: road.telemetry.stats().waiting_on_disk > 800)
    assert road.telemetry._outbox._memory_bytes < 50_000
    hub.refuse_connect = None
    await hub.until_values(1000)
    assert hub.values == list(range(1, 1001))


async def test_a_hub_that_goes_silent_is_left_for_a_new_connection(make_road, hub):
    from metered_realtime import AckTimeoutError  # noqa: PLC0415

    hub.errors = [AckTimeoutError("r1", 15)]
    road = make_road()
    road.send(1)
    await road.until(lambda: not road.unacked)
    assert len(hub.clients) == 2
    assert hub.clients[0].closed


def test_subscriptions_are_those_of_the_routes(hub, tmp_path):
    assert Road(hub, tmp_path).telemetry.subscriptions == (("greenhouse/door", 1), ("greenhouse/#", 1))


async def test_a_thousand_readings_from_a_real_broker_survive_a_restart_in_the_middle(hub, tmp_path):
    async with peers.mosquitto(extra="max_queued_messages 0") as broker:
        for part in range(2):
            road = Road(hub, tmp_path)
            road.start()
            door = MqttDoor(
                MqttSettings(port=broker.port),
                client_id="edged-farm-1",
                subscriptions=road.telemetry.subscriptions,
                on_message=road.telemetry.accept,
            )
            up = asyncio.Event()
            door_task = asyncio.create_task(door.run(lambda _detail, up=up: up.set()))
            await asyncio.wait_for(up.wait(), 10)
            if part == 0:
                messages = [("greenhouse/t", str(n)) for n in range(1000)]
                publishing = asyncio.create_task(publish_all(broker.port, *messages))
                await hub.until_values(300)
            else:
                await publishing
                await hub.until_values(1000)
            await road.stop()
            door_task.cancel()
            await asyncio.wait([door_task])
    assert hub.values == list(range(1000))


@pytest.mark.parametrize("rule", [{"min_interval_s": 0.05}, {"throttle": "5/s"}])
async def test_readings_that_had_passed_the_time_rules_before_a_kill_pass_when_they_come_again(hub, tmp_path, rule):
    road_of_a_life = partial(Road, hub, tmp_path, routes=(RouteSettings(topic="#", **rule),))
    killed = road_of_a_life(runtime_dir=tmp_path / "run").telemetry
    killed.connecting()
    taken = []
    for number in range(1, 9):
        message = Sent("t", str(number).encode(), packet_id=number)
        killed.accept(message)
        if not message.acked:
            taken.append(message)
        await asyncio.sleep(0.06)
    assert len(taken) > 5, "more than a bucket that is full again lets pass"
    # Nothing of it was written down. The next process is brought what has no acknowledgement, all at once.
    shutil.copytree(tmp_path / "run", tmp_path / "as the kill leaves it")
    road = road_of_a_life(runtime_dir=tmp_path / "as the kill leaves it")
    road.telemetry.connecting()
    road.start()
    for message in taken:
        road.telemetry.accept(Sent(message.topic, message.payload, packet_id=message.packet_id, repeated=True))
    fresh = Sent("t", b"9", packet_id=9)
    road.telemetry.accept(fresh)
    await road.until(lambda: len(hub.readings) == len(taken))
    assert hub.values == [int(message.payload) for message in taken]
    assert fresh.acked, "it is held back: the last reading was just now"
    assert road.account_is_true()
    await road.stop()
