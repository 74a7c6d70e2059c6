"""The forwarder over a fake link: order, pipelining, resending, holding, refusing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edged.settings import OutboxSettings
from edged.telemetry.entries import StoreSummary
from edged.telemetry.forward import Forwarder, Link
from edged.telemetry.outbox import Outbox
from edged.telemetry.pace import Pace
from edged.telemetry.reading import make_reading
from metered_realtime import AckTimeoutError, Connected, Disconnected, ServerRequestError


class Road:
    """An outbox, a forwarder, and a link to the fake hub."""

    def __init__(self, hub):
        self.hub = hub
        self.outbox = Outbox(OutboxSettings())
        self.outbox.opened(StoreSummary(0, 0, 0))
        self.acked = []
        self.now_s = 0.0
        self.failed = []
        self.pace = Pace(1e9, 1_000_000)
        self.forwarder = Forwarder(
            self.outbox,
            "farm-1",
            on_progress=self.progress,
            pace=self.pace,
            delays=self.delays,
            clock=lambda: self.now_s,
        )
        self.settled = asyncio.Event()
        self.number = 0

    @staticmethod
    def delays():
        while True:
            yield 0.01

    def progress(self):
        self.forwarder.wake()
        self.settled.set()

    async def connect(self):
        client = self.hub.open_client()
        client.on(Connected, lambda _event: None)
        client.on(Disconnected, lambda _event: self.forwarder.link_down())
        await client.connect()
        self.forwarder.link_up(Link(client.publish, self.hub.max_message_size, self.failed.append))
        return client

    def accept(self, count=1, channel="farm"):
        for _ in range(count):
            number = self.number = self.number + 1
            reading = make_reading(f"g/b/{number}", channel, "t", number, 0, retained=False)
            self.outbox.accept(reading, lambda n=number: self.acked.append(n), self.now_s)
        self.forwarder.wake()

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                self.settled.clear()
                await self.settled.wait()


@pytest.fixture
async def road(hub):
    road = Road(hub)
    task = asyncio.create_task(road.forwarder.run())
    yield road
    task.cancel()
    await asyncio.wait([task])


async def test_readings_go_out_in_order_and_are_settled(road, hub):
    await road.connect()
    road.accept(500)
    await road.until(lambda: len(road.acked) == 500)
    assert hub.values == road.acked == list(range(1, 501))
    assert all(len(data["readings"]) <= 50 for _channel, data in hub.taken)
    assert hub.taken[0][1]["gateway"] == "farm-1"


async def test_nothing_is_sent_without_a_link_and_all_when_it_comes(road, hub):
    road.accept(3)
    await asyncio.sleep(0)
    assert hub.taken == []
    await road.connect()
    await road.until(lambda: road.acked == [1, 2, 3])


async def test_messages_are_pipelined(road, hub):
    hub.answering = False
    await road.connect()
    for _ in range(3):
        road.accept(1)
        await hub.until_values(road.number)
    assert len(hub.waiting) == 3
    assert road.acked == []
    await hub.answer()
    await road.until(lambda: road.acked == [1, 2, 3])


async def test_after_a_drop_all_that_was_unsettled_is_sent_again_with_the_same_ids(road, hub):
    hub.answering = False
    await road.connect()
    for _ in range(3):
        road.accept(1)
        await hub.until_values(road.number)
    first = [reading["id"] for reading in hub.readings]
    await hub.drop()
    hub.answering = True
    await road.connect()
    await road.until(lambda: len(road.acked) == 3)
    assert [reading["id"] for reading in hub.readings] == first * 2


async def test_a_link_that_does_not_acknowledge_is_ended(road, hub):
    hub.errors = [AckTimeoutError("r1", 15)]
    await road.connect()
    road.accept(1)
    await road.until(lambda: road.failed)
    assert "does not answer" in str(road.failed[0])
    assert road.acked == []
    await road.connect()
    await road.until(lambda: road.acked == [1])


async def test_an_exhausted_quota_holds_everything_and_warns_once(road, hub, caplog):
    caplog.set_level(logging.INFO, logger="edged.telemetry")
    hub.errors = [ServerRequestError("over_message_quota")] * 2
    await road.connect()
    road.accept(1)
    await road.until(lambda: len(hub.errors) == 1)
    road.accept(1)
    await asyncio.sleep(0)
    assert hub.taken == []
    for _ in range(2):
        road.now_s += 61
        road.settled.clear()
        road.forwarder.wake()
        await road.settled.wait()
    await road.until(lambda: road.acked == [1, 2])
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


async def test_trouble_of_the_hub_is_tried_again_after_a_delay(road, hub):
    hub.errors = [ServerRequestError("backend_error")]
    await road.connect()
    road.accept(2)
    await road.until(lambda: not hub.errors)
    road.now_s += 0.02
    await road.until(lambda: road.acked == [1, 2])


async def test_a_refused_channel_is_dropped_with_one_warning_and_others_go_on(road, hub, caplog):
    caplog.set_level(logging.INFO, logger="edged.telemetry")
    hub.errors = [ServerRequestError("channel_not_authorized")] * 2
    await road.connect()
    road.accept(1, "no")
    await road.until(lambda: road.acked == [1])
    road.accept(1, "no")
    await road.until(lambda: road.acked == [1, 2])
    road.accept(1, "yes")
    await road.until(lambda: road.acked == [1, 2, 3])
    assert hub.values == [3]
    assert road.outbox.stats().dropped == {"channel_not_authorized": 2}
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


async def test_messages_fit_a_hub_that_takes_small_ones_only(road, hub):
    hub.max_message_size = 1000
    await road.connect()
    road.accept(100)
    await road.until(lambda: len(road.acked) == 100)
    assert max(len(data["readings"]) for _channel, data in hub.taken) < 12


async def test_the_pace_gathers_readings_into_batches(road, hub):
    road.pace._tokens, road.pace._burst, road.pace._per_s = 1.0, 1.0, 50.0
    road.forwarder._clock = asyncio.get_running_loop().time
    await road.connect()
    for _ in range(200):
        road.accept(1)
        await asyncio.sleep(0)
    await road.until(lambda: len(road.acked) == 200)
    assert len(hub.taken) < 20
    assert hub.values == list(range(1, 201))


async def test_cancelled_messages_are_unsettled(hub):
    road = Road(hub)
    hub.answering = False
    task = asyncio.create_task(road.forwarder.run())
    await road.connect()
    road.accept(1)
    await hub.until_values(1)
    task.cancel()
    await asyncio.wait([task])
    assert road.acked == []
    assert road.outbox.next_batch() is not None
