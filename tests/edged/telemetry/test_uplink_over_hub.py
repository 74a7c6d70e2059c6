"""The way to a real hub, through a relay that can fail: dead links are found, refusals slow us, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from edged.hub.settings import LimitSettings
from edged.hub_link import HubLink
from edged.settings import HubLinkSettings, OutboxSettings, Secret, TelemetrySettings
from edged.supervise import keep_running
from edged.telemetry import window
from edged.telemetry.clock import Clock
from edged.telemetry.forward import Forwarder
from edged.telemetry.gate import make_gate
from edged.telemetry.outbox import Outbox
from edged.telemetry.reading import make_reading
from edged.telemetry.transactions import StoreSummary
from edged.telemetry.uplink import run_uplink
from metered_realtime import Message, SignallingClient
from scripts.lib.tcp_cutter import tcp_cutter
from tests.edged.hub.conftest import KEY, hub_settings, running_hub


def brief(*_range):
    while True:
        yield 0.05


class Road:
    """Readings for channels c0, c1 ... over one forwarder that is kept running."""

    def __init__(self, port, silence_s=16.0):
        settings = HubLinkSettings(url=f"ws://127.0.0.1:{port}", key=Secret(KEY), silence_s=silence_s)
        self.link = HubLink(settings)
        self.outbox = Outbox(OutboxSettings())
        self.outbox.opened(StoreSummary())
        self.gate = make_gate(TelemetrySettings(gather_s=0), delays=brief)
        self.changed = asyncio.Event()
        self.states = []
        self.forwarder = Forwarder(self.outbox, "g", self.gate, on_progress=self.changed.set, now=Clock().now)

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.forwarder.run()), group.create_task(self.keep())]
            await self.until(lambda: "live" in self.states)
            yield self
            for task in tasks:
                task.cancel()

    async def keep(self):
        await keep_running("telemetry", self.uplink, report=self.report, delays=brief)

    async def uplink(self, up):
        await run_uplink(self.link.open_client, self.forwarder, up)

    def report(self, state, _detail):
        self.states.append(state)
        self.changed.set()

    def accept(self, *channels):
        for channel in channels:
            reading = make_reading(f"g/b/{channel}", channel, "t", channel, 0, retained=False)
            self.outbox.accept(reading, lambda: None, 0.0)
            self.forwarder.arrived(reading, time.monotonic())

    async def until(self, condition, timeout_s=15):
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def listener(port, channels):
    """Collect the ids of all readings of these channels."""
    ids = []
    async with SignallingClient(api_key=KEY, url=f"ws://127.0.0.1:{port}") as client:
        client.on(Message, lambda event: ids.extend(reading["id"] for reading in event.data["readings"]))
        for channel in channels:
            await client.subscribe(channel)
        yield ids


async def test_a_hub_that_finds_us_too_fast_slows_us_down_and_loses_nothing():
    channels = [f"c{number}" for number in range(90)]
    async with running_hub(hub_settings(limits=LimitSettings(messages_per_s=60, message_burst=60))) as hub:
        calm = hub.server.counters
        async with listener(hub.port, channels[:50]) as ids, Road(hub.port).running() as road:
            road.accept(*channels)
            await road.until(lambda: road.outbox.stats().delivered == 90)
            assert calm.closed_over_rate >= 1
            assert set(ids) == {f"g/b/{channel}" for channel in channels[:50]}
            figures = road.forwarder.figures()
            assert figures["pace_per_s"] <= 40
            assert figures["reconnects"] >= 1
            assert "too fast" in figures["last_error"]
            assert road.outbox.stats().dropped == {}


async def test_a_quota_that_is_used_up_holds_readings_until_there_is_one_again():
    channels = [f"c{number}" for number in range(8)]
    async with (
        running_hub(hub_settings(limits=LimitSettings(messages_per_day=5))) as hub,
        Road(hub.port).running() as road,
    ):
        road.accept(*channels)
        await road.until(lambda: road.outbox.stats().delivered == 5)
        await road.until(lambda: road.forwarder.figures()["held"] == "over_message_quota")
        assert road.outbox.stats().waiting == 3
        assert road.forwarder.figures()["connected"] == 1
        hub.server._quota = None  # the plan is a larger one now
        await road.until(lambda: road.outbox.stats().delivered == 8)
        assert road.outbox.stats().dropped == {}
        assert road.forwarder.figures()["held"] == ""


async def test_a_crowded_hub_is_asked_again_later():
    async with running_hub(hub_settings(limits=LimitSettings(connections=1))) as hub:
        first = await hub.client()
        link = Road(hub.port).link
        client = link.open_client()
        with pytest.raises(Exception, match="as many connections") as refused:
            await client.connect()
        await client.close()
        assert 24 <= refused.value.retry_after_s <= 36
        assert refused.value.close_code == 4010
        await first.socket.close()


async def test_a_dead_link_is_found_while_a_message_is_under_way(monkeypatch):
    monkeypatch.setattr(window, "_ANSWER_S", 0.4)
    monkeypatch.setattr(window, "_SLOW_ANSWER_S", 0.4)
    async with running_hub() as hub, tcp_cutter("127.0.0.1", hub.port) as relay, Road(relay.port).running() as road:
        road.accept("c0")
        await road.until(lambda: road.outbox.stats().delivered == 1)
        relay.unplug()
        road.accept("c1")
        await road.until(lambda: "lost" in road.states)
        relay.plug()
        relay.cut()
        await road.until(lambda: road.outbox.stats().delivered == 2)
        assert "does not answer" in road.forwarder.figures()["last_error"]


async def test_a_dead_link_is_found_while_nothing_is_under_way():
    async with (
        running_hub() as hub,
        tcp_cutter("127.0.0.1", hub.port) as relay,
        Road(relay.port, 3.0).running() as road,
    ):
        relay.unplug()
        started_s = time.monotonic()
        await road.until(lambda: "lost" in road.states)
        assert time.monotonic() - started_s < 3 + 1 + 1, "the limit, the goodbye, and some air"
