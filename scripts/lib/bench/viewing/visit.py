"""One visit of the bench `video` to one server: start it, let viewers join, measure at each number of them."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.lib.bench.viewing.audience import Audience, Direct, audience, direct_client
from scripts.lib.bench.viewing.camera import BenchCamera
from scripts.lib.bench.viewing.figures import Restart, added_latencies_ms, judge_restart
from scripts.lib.bench.viewing.levels import Level
from scripts.lib.bench.viewing.servers import Cores, Server, Start
from scripts.lib.process_cost import core_busy_s, tree_cpu_s, tree_rss_mb

JOIN_INTERVAL_S = 0.137
FIRST_PICTURE_LIMIT_S = 6.0
CAMERA_AWAY_S = 3.0
CAMERA_BACK_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured, and for how long. Longer GOPs than the shortest are visited once: only starts differ."""

    viewers: tuple[int, ...] = (1, 16, 60)
    gops_s: tuple[int, ...] = (2, 10)
    rounds: int = 3
    content_s: int = 20
    opens: int = 21
    settle_s: float = 1.5
    slices: int = 4
    slice_s: float = 1.5
    restart_viewers: int = 16


@dataclass(frozen=True, slots=True)
class Slice:
    """What a server used from one moment to another."""

    begin_s: float
    end_s: float
    used_s: float
    other_s: float


class Visit:
    """Measures one server, which begins with nobody watching."""

    def __init__(
        self, effort: Effort, cores: Cores, camera: BenchCamera, name: str, gop_s: int, *, number: int
    ) -> None:
        self.levels: list[Level] = []
        self.restart: Restart | None = None
        self._effort = effort
        self._core = min(cores.server)
        self._camera = camera
        self._name = name
        self._gop_s = gop_s
        self._number = number

    async def measure(self, start: Start, *, restarts: bool = False) -> None:
        """Measure with no viewer, and with more and more. `restarts`: with a restart of the camera at the end."""
        url = f"{self._camera.url}/gop{self._gop_s}"
        order = self._camera.order(f"gop{self._gop_s}")
        async with direct_client(url) as direct, start(url, self._gop_s) as server:
            await asyncio.sleep(self._effort.settle_s)
            self.levels.append(self._level(0, server.pid))
            async with audience(server.at, order) as crowd:
                # Whoever is first makes the server load everything and open the camera. It stays until the next came.
                first: int | None = await crowd.join()
                await crowd.see_something(FIRST_PICTURE_LIMIT_S + self._gop_s)
                for count in self._effort.viewers:
                    new = await self._let_join(crowd, count - len(crowd) + (first is not None))
                    if first is not None:
                        await crowd.see_something(FIRST_PICTURE_LIMIT_S + self._gop_s)
                        await crowd.leave(first)
                        first = None
                    await self._measure_level(crowd, direct, server, new)
                if restarts:
                    self.restart = await self._measure_restart(crowd, direct)

    def _level(self, viewers: int, pid: int) -> Level:
        return Level(self._name, self._gop_s, self._number, viewers, tree_rss_mb(pid))

    async def _let_join(self, crowd: Audience, count: int) -> list[int]:
        """Let so many join one after the other, at all moments of a group of pictures; return their numbers."""
        new = []
        for _ in range(count):
            new.append(await crowd.join())
            await asyncio.sleep(max(JOIN_INTERVAL_S, self._gop_s / count) if count > 1 else 0.0)
        return new

    async def _measure_level(self, crowd: Audience, direct: Direct, server: Server, new: Sequence[int]) -> None:
        """Measure what the server needs while everybody watches, how late the pictures are, and how the new began."""
        await asyncio.sleep(self._effort.settle_s)
        await crowd.collect()
        crowd.forget()
        slices = [await self._slice(server.pid) for _ in range(self._effort.slices)]
        level = self._level(len(crowd), server.pid)
        await crowd.collect()
        seen = [picture for report in crowd.reports.values() for picture in report["pictures"]]
        for each in slices:
            length_s = each.end_s - each.begin_s
            pictures = [picture for picture in seen if each.begin_s <= picture.at_s < each.end_s]
            packets = sum(picture.packets for picture in pictures)
            level.cpu_pct_per_viewer.append(100 * each.used_s / length_s / len(crowd))
            level.us_per_packet += [each.used_s / packets * 1e6] if packets else []
            level.other_pct.append(max(0.0, 100 * each.other_s / length_s))
            level.latencies_ms += added_latencies_ms(pictures, direct.times_s)
        await crowd.have_pictures(new, FIRST_PICTURE_LIMIT_S + self._gop_s)
        level.connects_ms = [crowd.connect_ms(number) for number in new]
        level.firsts_ms = [crowd.first_picture_ms(number) for number in new]
        self.levels.append(level)

    async def _slice(self, pid: int) -> Slice:
        begin_s, used_s, busy_s = time.monotonic(), tree_cpu_s(pid), core_busy_s(self._core)
        await asyncio.sleep(self._effort.slice_s)
        used_s, busy_s = tree_cpu_s(pid) - used_s, core_busy_s(self._core) - busy_s
        return Slice(begin_s, time.monotonic(), used_s, busy_s - used_s)

    async def _measure_restart(self, crowd: Audience, direct: Direct) -> Restart:
        """Kill the camera under some viewers, and look at what they see when it is back."""
        for number in list(crowd.reports)[self._effort.restart_viewers :]:
            await crowd.leave(number)
        await crowd.collect()
        crowd.forget()
        await asyncio.sleep(self._effort.settle_s)
        before = copy.deepcopy(crowd.reports)
        await self._camera.restart(CAMERA_AWAY_S)
        back_s = time.monotonic()
        await direct.pictures_after(back_s)
        await crowd.see_pictures_after(back_s, CAMERA_BACK_LIMIT_S)
        return judge_restart(before, crowd.reports)
