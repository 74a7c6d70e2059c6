"""The forwarder over a fake link: order, pipelining, resending, holding, refusing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edged.settings import BudgetSettings, OutboxSettings, TelemetrySettings
from edged.telemetry.forward import Forwarder, Link
from edged.telemetry.gate import make_gate
from edged.telemetry.moments import NO_MOMENT
from edged.telemetry.outbox import Outbox
from edged.telemetry.pace import Pace
from edged.telemetry.reading import Reading, make_reading
from edged.telemetry.transactions import Committed, StoreSummary
from metered_realtime import AckTimeoutError, Connected, Disconnected, ServerRequestError


class Road:
    """An outbox, a forwarder, and a link to the fake hub."""

    def __init__(self, hub):
        self.hub = hub
        self.outbox = Outbox(OutboxSettings())
        self.outbox.opened(StoreSummary())
        self.acked = []
        self.now_s = 0.0
        self.failed = []
        self.pace = Pace(1e9, 1_000_000)
        self.gate = make_gate(TelemetrySettings(gather_s=0), pace=self.pace, delays=self.delays)
        self.forwarder = Forwarder(
            self.outbox,
            "farm-1",
            self.gate,
            on_progress=self.progress,
            now=lambda: NO_MOMENT,
            clock=lambda: self.now_s,
        )
        self.settled = asyncio.Event()
        self.number = 0
        self.longest_s = []

    def delays(self, _first_s, longest_s):
        self.longest_s.append(longest_s)
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
            self.forwarder.arrived(reading, self.now_s)

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
    assert len(hub.taken) < 100
    assert all(data["type"] == "edged/readings" and data["gateway"] == "farm-1" for _channel, data in hub.taken)


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
    assert road.forwarder.figures()["held"] == "over_message_quota"
    for _ in range(2):
        road.now_s += 61
        road.settled.clear()
        road.forwarder.wake()
        await road.settled.wait()
    await road.until(lambda: road.acked == [1, 2])
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    assert road.forwarder.figures()["held"] == ""
    assert road.longest_s == [900]


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
    road.pace.__init__(50.0, 1)
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


async def test_a_message_gets_the_patience_its_window_asks_for(road, hub):
    given = []

    async def publish(_channel, _data, *, timeout):
        given.append(timeout)

    road.forwarder.link_up(Link(publish, 65_536, road.failed.append))
    road.accept(1)
    await road.until(lambda: road.acked == [1])
    assert given == [12]


async def test_a_batch_from_disk_that_is_no_json_any_more_is_dropped_alone(road, hub):
    await road.connect()
    bad = Reading("g/b/x", "farm", '{"id":', 6)
    road.outbox.accept(bad, lambda: road.acked.append("bad"), 0.0)
    write = road.outbox.take_write(10.0, everything=True)
    road.outbox.written(write, Committed({}), 10.0)
    road.forwarder.wake()
    await road.until(lambda: road.outbox.stats().waiting == 0)
    road.accept(1)
    await road.until(lambda: 1 in road.acked)
    assert road.outbox.stats().dropped == {"unsendable": 1}
    assert hub.values == [1]


async def test_arrivals_do_not_wake_a_forwarder_that_waits_for_an_answer_or_a_link(road, hub):
    road.accept(1)
    assert not road.forwarder._wake.is_set() or hub.taken == []
    hub.answering = False
    await road.connect()
    road.accept(500)
    await hub.until(lambda: road.forwarder.figures()["waits_for"] == "answer")
    road.accept(1)
    assert not road.forwarder._wake.is_set()
    await hub.answer()
    await road.until(lambda: len(road.acked) == 502)


async def test_readings_that_keep_coming_go_together(hub):
    road = Road(hub)
    road.forwarder._gate = make_gate(TelemetrySettings(gather_s=0.5), pace=road.pace)
    road.forwarder._clock = asyncio.get_running_loop().time
    task = asyncio.create_task(road.forwarder.run())
    await road.connect()
    for _ in range(20):
        road.accept(1)
        await asyncio.sleep(0)
    await road.until(lambda: len(road.acked) == 20)
    assert len(hub.taken) == 2
    assert len(hub.taken[0][1]["readings"]) == 1
    task.cancel()
    await asyncio.wait([task])


async def test_figures_tell_of_the_link(road, hub):
    assert road.forwarder.figures()["connected"] == 0
    await road.connect()
    road.accept(3)
    await road.until(lambda: len(road.acked) == 3)
    road.forwarder.link_ended("the hub is away", too_fast=True)
    await road.connect()
    figures = road.forwarder.figures()
    assert figures["connected"] == 1
    assert figures["reconnects"] == 1
    assert figures["last_error"] == "the hub is away"
    assert figures["in_flight_messages"] == 0
    assert figures["pace_slowed"] == 1
    assert road.gate.budget.used >= 1


async def test_a_forecast_beyond_the_budget_is_a_warning(hub, caplog):
    road = Road(hub)
    settings = TelemetrySettings(gather_s=0, budget=BudgetSettings(messages_per_month=1))
    road.forwarder._gate = make_gate(settings, "1 - 1 0", pace=road.pace)
    task = asyncio.create_task(road.forwarder.run())
    await road.connect()
    road.accept(1)
    await hub.until(lambda: True)
    await asyncio.sleep(0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "messages_per_month" in caplog.text
    assert road.forwarder.figures()["waits_for"] == "budget"
    assert hub.taken == []
    task.cancel()
    await asyncio.wait([task])
