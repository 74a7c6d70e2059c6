"""What a viewer of a camera costs and gets: ours, stock aiortc and other servers, with the same camera and viewers.

The camera serves rtsp://127.0.0.1:PORT/gop2 and /gop10 (`--camera-port`), where servers given by `--peer` read it; in
their WHEP URL `{gop}` stands for 2 or 10. A peer is the PID of a server that runs, or a program that becomes one: that
is started for each visit, as ours is. Servers are visited in turn, several times; a row has the medians. How peers are
set up so that it is fair: docs/benchmarks.md. With --quick few viewers come for a moment: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from scripts.lib.bench.report import print_report
from scripts.lib.bench.viewing import servers
from scripts.lib.bench.viewing.audience import ViewerError, direct_client
from scripts.lib.bench.viewing.camera import bench_camera
from scripts.lib.bench.viewing.levels import rows_of
from scripts.lib.bench.viewing.marks import OURS, STOCK, Measured, marks_of
from scripts.lib.bench.viewing.visit import Effort, Visit
from scripts.lib.child import ChildError

FPS = 30
# A mount with nothing but key frames: opening it does not wait for one.
OPEN_MOUNT = "open"

QUICK = Effort(
    viewers=(1, 4), gops_s=(2,), rounds=1, content_s=4, opens=5, settle_s=0.5, slices=2, slice_s=0.5, restart_viewers=4
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that somebody else wrote: one that runs, or the program that starts it."""

    name: str
    url: str
    runs: str

    @classmethod
    def parse(cls, text: str) -> Self:
        name, _, rest = text.partition("=")
        url, _, runs = rest.rpartition(",")
        if not (name and url and runs and (runs.isdigit() or Path(runs).is_file())):
            raise argparse.ArgumentTypeError(f"{text}: expected name=WHEP_URL,PID or name=WHEP_URL,PROGRAM")
        return cls(name, url, runs)

    def start(self, cores: servers.Cores) -> servers.Start:
        if self.runs.isdigit():
            return partial(servers.handed, self.url, int(self.runs), cores)
        return partial(servers.started, self.name, self.url, self.runs, cores)


def turns(effort: Effort, names: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (GOP in seconds, number of the visit, server): in turn, every other time in reverse."""
    for number in range(effort.rounds):
        for gop_s in effort.gops_s if number == 0 else effort.gops_s[:1]:
            for name in names if number % 2 == 0 else reversed(names):
                yield gop_s, number, name


async def measure(effort: Effort, peers: Sequence[Peer], port: int) -> Measured:
    """Measure ours, stock aiortc and the peers."""
    cores = servers.Cores.here()
    cores.enter()
    found = Measured([], [], None)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-bench-")))
        mounts = {f"gop{gop_s}": gop_s * FPS for gop_s in effort.gops_s} | {OPEN_MOUNT: 1}
        camera = await stack.enter_async_context(bench_camera(folder, port, mounts, effort.content_s))
        async with direct_client(f"{camera.url}/gop{effort.gops_s[0]}") as direct:
            found.opens_ms = await direct.open_times_ms(f"{camera.url}/{OPEN_MOUNT}", effort.opens)
        starts: Mapping[str, servers.Start] = {
            OURS: lambda url, _: servers.ours(url, folder, cores),
            STOCK: lambda url, _: servers.stock(url, cores),
            **{peer.name: peer.start(cores) for peer in peers},
        }
        for gop_s, number, name in turns(effort, list(starts)):
            print(f"bench video: {name}, key frames every {gop_s} s, round {number + 1}", file=sys.stderr, flush=True)
            visit = Visit(effort, cores, camera, name, gop_s, number=number)
            restarts = name == OURS and found.restart is None
            try:
                await visit.measure(starts[name], restarts=restarts)
            except (OSError, ChildError, ViewerError) as error:
                if name in (OURS, STOCK):
                    raise
                print(f"bench video: {name} could not be measured: {error}", file=sys.stderr)
            found.levels += visit.levels
            found.restart = found.restart or visit.restart
    return found


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
    parser.add_argument("--rounds", type=int, help="how often each server is visited: 3")
    parser.add_argument(
        "--peer", type=Peer.parse, action="extend", nargs="+", default=[], metavar="NAME=WHEP_URL,PID|PROGRAM"
    )
    parser.add_argument("--camera-port", type=int, default=18554, help="where the camera is, on 127.0.0.1")
    options = parser.parse_args()
    effort = QUICK if options.quick else Effort()
    if options.viewers:
        effort = replace(effort, viewers=options.viewers)
    if options.gop:
        effort = replace(effort, gops_s=options.gop, content_s=max(effort.content_s, 2 * max(options.gop)))
    if options.rounds:
        effort = replace(effort, rounds=max(1, options.rounds))
    measured = asyncio.run(measure(effort, options.peer, options.camera_port))
    print_report("video", rows_of(measured.levels), marks_of(measured))


if __name__ == "__main__":
    main()
