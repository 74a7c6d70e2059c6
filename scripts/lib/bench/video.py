"""What a viewer of a camera costs and gets: ours, stock aiortc and other servers, with the same camera and viewers.

The camera serves rtsp://127.0.0.1:PORT/gop2 and /gop10 (`--camera-port`), where servers given by `--peer` read it; in
their WHEP URL `{gop}` stands for 2 or 10. With --quick few viewers come for a moment: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from scripts.lib.bench.report import Row, print_report
from scripts.lib.bench.viewing import servers
from scripts.lib.bench.viewing.audience import Audience, Direct, audience, direct_client
from scripts.lib.bench.viewing.camera import BenchCamera, bench_camera
from scripts.lib.bench.viewing.figures import Restart, added_latencies_ms, judge_restart, percentile
from scripts.lib.bench.viewing.marks import NEVER, OURS, STOCK, Measured, marks_of
from scripts.lib.process_cost import cpu_s, rss_mb

FPS = 30
# A mount with nothing but key frames: opening it does not wait for one.
OPEN_MOUNT = "open"
JOIN_INTERVAL_S = 0.137
FIRST_PICTURE_LIMIT_S = 6.0
CAMERA_AWAY_S = 3.0
CAMERA_BACK_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured, and for how long."""

    viewers: tuple[int, ...] = (1, 16, 60)
    gops_s: tuple[int, ...] = (2, 10)
    content_s: int = 20
    opens: int = 21
    settle_s: float = 2.0
    window_s: float = 8.0
    restart_viewers: int = 16


QUICK = Effort(viewers=(1, 4), gops_s=(2,), content_s=4, opens=5, settle_s=0.5, window_s=1.0, restart_viewers=4)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that somebody else runs."""

    name: str
    url: str
    pid: int

    @classmethod
    def parse(cls, text: str) -> Self:
        name, _, rest = text.partition("=")
        url, _, pid = rest.rpartition(",")
        if not (name and url and pid.isdigit()):
            raise argparse.ArgumentTypeError(f"{text}: expected name=WHEP_URL,PID")
        return cls(name, url, int(pid))


@dataclass(slots=True)
class Run:
    """What all measurements of a run share, and what they found."""

    effort: Effort
    cores: servers.Cores
    camera: BenchCamera
    rows: list[Row] = field(default_factory=list)
    connects_ms: list[float | None] = field(default_factory=list)
    firsts_ms: dict[int, list[float | None]] = field(default_factory=lambda: defaultdict(list))
    restart: Restart | None = None

    def camera_url(self, gop_s: int) -> str:
        return f"{self.camera.url}/gop{gop_s}"


# One server --------------------------------------------------------------------------------------------------


async def measure_server(run: Run, name: str, start: servers.Start, gop_s: int) -> None:
    """Measure a server with no viewer, and with more and more; the first viewer, who loads everything, comes before."""
    url = run.camera_url(gop_s)
    async with direct_client(url) as direct, start(url, gop_s) as server:
        await asyncio.sleep(run.effort.settle_s)
        run.rows.append(row_of(name, gop_s, rss_mb(server.pid)))
        async with audience(server.at, run.camera.order(f"gop{gop_s}")) as crowd:
            first = await crowd.join()
            await crowd.have_pictures([first], FIRST_PICTURE_LIMIT_S + gop_s)
            await crowd.leave(first)
            for count in run.effort.viewers:
                new = await let_join(crowd, count - len(crowd), gop_s)
                row = row_of(name, gop_s, 0.0)
                note_joins(run, row, crowd, new)
                await asyncio.sleep(run.effort.settle_s)
                await measure_level(run.effort, row, crowd, direct, server.pid)
                run.rows.append(row)
            if name == OURS and gop_s == run.effort.gops_s[0]:
                run.restart = await measure_restart(run, crowd, direct)


def row_of(name: str, gop_s: int, resident_mb: float) -> Row:
    return {
        "server": name,
        "viewers": 0,
        "cpu_pct_per_viewer": None,
        "us_per_packet": None,
        "rss_mb": round(resident_mb, 1),
        "connect_ms_p50": None,
        "first_picture_ms_p50": None,
        "first_picture_ms_max": None,
        "gop_s": gop_s,
        "added_latency_ms_p50": None,
        "added_latency_ms_p99": None,
    }


async def let_join(crowd: Audience, count: int, gop_s: int) -> list[int]:
    """Let so many join one after the other, at all moments of a group of pictures; return their numbers."""
    new = []
    for _ in range(count):
        new.append(await crowd.join())
        await asyncio.sleep(max(JOIN_INTERVAL_S, gop_s / count) if count > 1 else 0.0)
    await crowd.have_pictures(new, FIRST_PICTURE_LIMIT_S + gop_s)
    return new


def note_joins(run: Run, row: Row, crowd: Audience, new: Sequence[int]) -> None:
    """Put into the row what those who have just joined saw."""
    connects_ms = [crowd.connect_ms(number) for number in new]
    firsts_ms = [crowd.first_picture_ms(number) for number in new]
    row["viewers"] = len(crowd)
    row["connect_ms_p50"] = shown(percentile(known(connects_ms), 50), 1)
    row["first_picture_ms_p50"] = shown(percentile(known(firsts_ms), 50), 1)
    row["first_picture_ms_max"] = shown(percentile(known(firsts_ms), 100), 1)
    if row["server"] == OURS:
        run.connects_ms += connects_ms
        run.firsts_ms[row["gop_s"]] += firsts_ms


def known(values: Sequence[float | None]) -> list[float]:
    """Return the values, those that were never reached above all others."""
    return [NEVER if value is None else value for value in values]


def shown(value: float | None, digits: int) -> float | None:
    return None if value is None or value >= NEVER else round(value, digits)


async def measure_level(effort: Effort, row: Row, crowd: Audience, direct: Direct, pid: int) -> None:
    """Measure what the server needs while everybody watches, and how late the pictures are."""
    await crowd.collect()
    crowd.forget()
    begin_s, before_s = time.monotonic(), cpu_s(pid)
    await asyncio.sleep(effort.window_s)
    used_s, end_s = cpu_s(pid) - before_s, time.monotonic()
    row["rss_mb"] = round(rss_mb(pid), 1)
    await crowd.collect()
    pictures = [
        picture
        for report in crowd.reports.values()
        for picture in report["pictures"]
        if begin_s <= picture.at_s <= end_s
    ]
    packets = sum(picture.packets for picture in pictures)
    row["cpu_pct_per_viewer"] = round(100 * used_s / (end_s - begin_s) / len(crowd), 4)
    row["us_per_packet"] = round(used_s / packets * 1e6, 2) if packets else None
    latencies_ms = added_latencies_ms(pictures, direct.times_s)
    row["added_latency_ms_p50"] = shown(percentile(latencies_ms, 50), 3)
    row["added_latency_ms_p99"] = shown(percentile(latencies_ms, 99), 3)


async def measure_restart(run: Run, crowd: Audience, direct: Direct) -> Restart:
    """Kill the camera under some viewers, and look at what they see when it is back."""
    for number in list(crowd.reports)[run.effort.restart_viewers :]:
        await crowd.leave(number)
    await crowd.collect()
    crowd.forget()
    await asyncio.sleep(run.effort.settle_s)
    before = copy.deepcopy(crowd.reports)
    await run.camera.restart(CAMERA_AWAY_S)
    back_s = time.monotonic()
    await direct.pictures_after(back_s)
    await crowd.see_pictures_after(back_s, CAMERA_BACK_LIMIT_S)
    return judge_restart(before, crowd.reports)


# The comparison ------------------------------------------------------------------------------------------------


async def measure(effort: Effort, peers: Sequence[Peer], port: int) -> Measured:
    """Measure ours, stock aiortc and the peers, one after the other."""
    cores = servers.Cores.here()
    cores.enter()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-bench-")))
        mounts = {f"gop{gop_s}": gop_s * FPS for gop_s in effort.gops_s} | {OPEN_MOUNT: 1}
        camera = await stack.enter_async_context(bench_camera(folder, port, mounts, effort.content_s))
        run = Run(effort, cores, camera)
        async with direct_client(run.camera_url(effort.gops_s[0])) as direct:
            opens_ms = await direct.open_times_ms(f"{camera.url}/{OPEN_MOUNT}", effort.opens)
        for gop_s in effort.gops_s:
            await measure_server(run, OURS, lambda url, _: servers.ours(url, folder, cores), gop_s)
            await measure_server(run, STOCK, lambda url, _: servers.stock(url, cores), gop_s)
            for peer in peers:
                try:
                    await measure_server(run, peer.name, partial(servers.handed, peer.url, peer.pid, cores), gop_s)
                except OSError as error:  # its process is gone: the other rows are worth keeping
                    print(f"bench video: {peer.name} could not be measured: {error}", file=sys.stderr)
    return Measured(run.rows, run.connects_ms, run.firsts_ms, opens_ms, run.restart)


def numbers(text: str) -> tuple[int, ...]:
    """Return the whole numbers above 0 of a list with commas."""
    found = tuple(sorted({int(word) for word in text.split(",")}))
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"{text}: numbers above 0 are needed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench video", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--viewers", type=numbers, help="how many watch at the same time: 1,16,60")
    parser.add_argument("--gop", type=numbers, help="seconds from key frame to key frame: 2,10")
    parser.add_argument("--peer", type=Peer.parse, action="extend", nargs="+", default=[], metavar="NAME=WHEP_URL,PID")
    parser.add_argument("--camera-port", type=int, default=18554, help="where the camera is, on 127.0.0.1")
    options = parser.parse_args()
    effort = QUICK if options.quick else Effort()
    if options.viewers:
        effort = replace(effort, viewers=options.viewers)
    if options.gop:
        effort = replace(effort, gops_s=options.gop, content_s=max(effort.content_s, 2 * max(options.gop)))
    measured = asyncio.run(measure(effort, options.peer, options.camera_port))
    print_report("video", measured.rows, marks_of(measured))


if __name__ == "__main__":
    main()
