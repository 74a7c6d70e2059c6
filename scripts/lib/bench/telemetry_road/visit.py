"""One visit of the bench `telemetry` to one server with one size of payload: online, offline, the drain after it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scripts.lib import peers
from scripts.lib.bench.programs.telemetry_sensors import Order
from scripts.lib.bench.telemetry_road.disk import Disk, process_bytes
from scripts.lib.bench.telemetry_road.figures import Figures, Span
from scripts.lib.bench.telemetry_road.sites import ALONE, EDGED, PROGRAMS, Far, Server, Site
from scripts.lib.bench.viewing.servers import prefer
from scripts.lib.child import Child
from scripts.lib.process_cost import cpu_s, rss_mb
from scripts.lib.tcp_cutter import TcpCutter

WINDOW = 1000
"""Messages under way at most while the highest rate is looked for: what mosquitto keeps for a client by default."""
ARRIVAL_LIMIT_S = 120.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured, and for how long."""

    payloads_b: tuple[int, ...] = (100, 1000)
    rate: float = 1000.0
    slow_rate: float = 10.0
    warm_s: float = 3.0
    slices: int = 5
    slice_s: float = 3.0
    max_slices: int = 4
    max_slice_s: float = 2.0
    alone_s: float = 4.0
    outage_settle_s: float = 8.0
    slow_s: float = 60.0
    settle_s: float = 2.0
    outage_s: float = 50.0
    quiet_s: float = 8.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The counters of a site at one time."""

    at_s: float
    arrived: int
    cpu_s: float
    site_cpu_s: float
    disk_b: int


class Link:
    """A relay to the far side; while it is cut, nothing listens at its port."""

    def __init__(self, far_port: int) -> None:
        self.port = peers.free_port()
        self._cutter = TcpCutter("127.0.0.1", far_port)
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._cutter.relay, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._cutter.cut()
            await self._server.wait_closed()
            self._server = None


@contextlib.asynccontextmanager
async def link_to(far_port: int) -> AsyncIterator[Link]:
    link = Link(far_port)
    await link.mend()
    try:
        yield link
    finally:
        await link.cut()


class Visit:
    """Measures one server; `alone` holds what its broker costs by itself, by the rate that it is offered."""

    def __init__(
        self, effort: Effort, disk: Disk, server: Server, payload_b: int, alone: dict[float, float], *, slow: bool
    ) -> None:
        self.found: list[Figures] = []
        self._effort = effort
        self._disk = disk
        self._server = server
        self._payload_b = payload_b
        self._alone = alone
        self._slow = slow
        self._published = 0

    async def measure(self) -> None:
        """Measure online, then an outage, each in a life of its own."""
        async with self._life("online") as (site, far, _link):
            await self._online(site, far, self._effort.rate)
            await self._online(site, far, 0.0)
        if self._slow:
            async with self._life("slow") as (site, far, link):
                await self._outage(site, far, link, self._effort.slow_rate, self._effort.slow_s)
        async with self._life("offline") as (site, far, link):
            await self._outage(site, far, link, self._effort.rate, self._effort.outage_s)
            await self._drain(site, far, link)

    @contextlib.asynccontextmanager
    async def _life(self, name: str) -> AsyncIterator[tuple[Site, Far, Link]]:
        """Start everything anew; only where the link is to be cut, it goes through a relay."""
        self._published = 0
        async with self._server.far() as far, link_to(far.port) as link:
            port = far.port if name == "online" else link.port
            async with self._server.site(self._folder(name), port) as site:
                yield site, far, link

    def _folder(self, state: str) -> Path:
        return self._disk.folder / f"{self._server.name}-{self._server.setup}-{self._payload_b}-{state}"

    async def _online(self, site: Site, far: Far, rate: float) -> None:
        """Measure at a rate, or, where it is 0, as fast as it goes."""
        effort = self._effort
        slices, slice_s = (effort.slices, effort.slice_s) if rate else (effort.max_slices, effort.max_slice_s)
        before = far.progress.count
        async with self._sensors(site, far, rate):
            await _until(lambda: far.progress.count > before, ARRIVAL_LIMIT_S)
            await asyncio.sleep(effort.warm_s)
            device_b = await self._disk.device_bytes()
            await _collect(far)
            moments = [_look(site, far)]
            for _ in range(slices):
                await asyncio.sleep(slice_s)
                moments.append(_look(site, far))
            arrived = await _collect(far)
            device_b = _grown(device_b, await self._disk.device_bytes())
        await _until_quiet(far, self._published, effort.quiet_s)
        late = await _collect(far)
        span = Span(
            messages=moments[-1].arrived - moments[0].arrived,
            seconds=moments[-1].at_s - moments[0].at_s,
            cpu_us=_median_cost(moments, lambda moment: moment.cpu_s),
            site_cpu_us=_median_cost(moments, lambda moment: moment.site_cpu_s),
            disk_b=moments[-1].disk_b - moments[0].disk_b,
            device_b=device_b,
        )
        figures = self._figures("online", rate, span, site)
        figures.latency_ms_p50, figures.latency_ms_p99 = arrived["p50_ms"], arrived["p99_ms"]
        figures.lost = self._published - far.progress.count
        figures.repeated = arrived["repeats"] + late["repeats"]
        self.found.append(figures)

    async def _outage(self, site: Site, far: Far, link: Link, rate: float, seconds: float) -> None:
        """Cut the link while messages come, and measure what is taken in while nothing can be sent."""
        async with self._sensors(site, far, rate):
            await _until(lambda: far.progress.count > 0, ARRIVAL_LIMIT_S)
            await asyncio.sleep(self._effort.settle_s)
            await link.cut()
            await asyncio.sleep(self._effort.outage_settle_s)
            device_b = await self._disk.device_bytes()
            first = _look(site, far)
            await asyncio.sleep(seconds)
            last = _look(site, far)
            device_b = _grown(device_b, await self._disk.device_bytes())
        span = _span(first, last, round(rate * (last.at_s - first.at_s)), device_b)
        self.found.append(self._figures("offline", rate, span, site))

    async def _drain(self, site: Site, far: Far, link: Link) -> None:
        """Let the link come back, and measure from the first message to the last."""
        await _collect(far)
        device_b = await self._disk.device_bytes()
        first = _look(site, far)
        await link.mend()
        await _until(lambda: far.progress.count > first.arrived, ARRIVAL_LIMIT_S)
        await _until_quiet(far, self._published, self._effort.quiet_s)
        last, arrived = _look(site, far), await _collect(far)
        span = _span(first, last, arrived["count"], _grown(device_b, await self._disk.device_bytes()))
        span = replace(span, seconds=arrived["last_s"] - arrived["first_s"])
        figures = self._figures("drain", None, span, site)
        figures.backlog = self._published - first.arrived
        figures.lost = self._published - last.arrived
        figures.repeated = arrived["repeats"]
        self.found.append(figures)

    def _figures(self, state: str, rate: float | None, span: Span, site: Site) -> Figures:
        alone_us = self._alone.get(rate, 0.0) if rate is not None and self._server.name != EDGED else 0.0
        return Figures(
            self._server.name, self._server.setup, self._payload_b, state, rate, span, rss_mb(site.pid), alone_us
        )

    @contextlib.asynccontextmanager
    async def _sensors(self, site: Site, far: Far, rate: float) -> AsyncIterator[None]:
        order = Order(
            site.port,
            self._payload_b,
            first=self._published,
            rate=rate,
            window=WINDOW,
            progress=far.progress.path,
        )
        async with publishing(order) as answer:
            yield
        self._published += answer["sent"]


@contextlib.asynccontextmanager
async def publishing(order: Order) -> AsyncIterator[dict[str, Any]]:
    """Publish during the block; afterwards its dictionary says what was sent."""
    answer: dict[str, Any] = {}
    argv: list[str | Path] = [sys.executable, PROGRAMS / "telemetry_sensors.py", json.dumps(asdict(order))]
    async with Child("sensors", argv, env=peers.tree_environment()) as sensors:
        await sensors.event("publishing")
        prefer(sensors.pid)
        yield answer
        sensors.close_stdin()
        answer.update(await sensors.event("published", timeout_s=40.0))


async def cost_alone(effort: Effort, disk: Disk, payload_b: int, rates: tuple[float, ...]) -> dict[float, float]:
    """Return what a broker needs for each message that it has nobody to hand to, in us, by rate."""
    found = {}
    async with ALONE(disk.folder / f"alone-{payload_b}", 0) as site:
        for rate in rates:
            async with publishing(Order(site.port, payload_b, rate=rate, window=WINDOW)) as answer:
                begin_s, used_s = time.monotonic(), cpu_s(site.pid)
                await asyncio.sleep(effort.alone_s)
                used_s, took_s = cpu_s(site.pid) - used_s, time.monotonic() - begin_s
            found[rate] = used_s * 1e6 / took_s / (answer["sent"] / answer["seconds"])
    return found


def _look(site: Site, far: Far) -> Moment:
    used_s = cpu_s(site.pid)
    site_s = used_s if site.pid == site.broker_pid else used_s + cpu_s(site.broker_pid)
    return Moment(time.monotonic(), far.progress.count, used_s, site_s, process_bytes(site.pid))


def _span(first: Moment, last: Moment, messages: int, device_b: int | None) -> Span:
    count = max(1, messages)
    return Span(
        messages=messages,
        seconds=last.at_s - first.at_s,
        cpu_us=(last.cpu_s - first.cpu_s) * 1e6 / count,
        site_cpu_us=(last.site_cpu_s - first.site_cpu_s) * 1e6 / count,
        disk_b=last.disk_b - first.disk_b,
        device_b=device_b,
    )


def _median_cost(moments: list[Moment], used_s: Callable[[Moment], float]) -> float:
    """Return the CPU per message, in us: the median of the slices."""
    slices = itertools.pairwise(moments)
    return statistics.median((used_s(b) - used_s(a)) * 1e6 / max(1, b.arrived - a.arrived) for a, b in slices)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


async def _collect(far: Far) -> dict[str, Any]:
    """Return what has arrived since the last time."""
    await far.listener.tell({})
    event = await far.listener.event("arrived", timeout_s=30.0)
    far.listener.events.remove(event)
    return event


async def _until(is_true: Callable[[], bool], limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while not is_true():
            await asyncio.sleep(POLL_S)


async def _until_quiet(far: Far, count: int, quiet_s: float) -> None:
    """Wait until so many have arrived, or nothing has for a while."""
    seen, since_s = -1, time.monotonic()
    while far.progress.count < count and time.monotonic() - since_s < quiet_s:
        if far.progress.count != seen:
            seen, since_s = far.progress.count, time.monotonic()
        await asyncio.sleep(POLL_S)
