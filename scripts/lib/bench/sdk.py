"""Our SDK and the official one side by side: the same program under both, by turns, against the same hub.

With --quick everything is done once and briefly, to see that it works: its figures mean nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from scripts.lib import peers
from scripts.lib.bench.report import Mark, Row, print_report
from scripts.lib.child import ROOT, Child
from scripts.lib.process_cost import cpu_s, rss_mb
from scripts.lib.tcp_cutter import TcpCutter, tcp_cutter

PACKAGES = ("official", "ours")
PYTHONS = {"official": ROOT / ".venv-official/bin/python", "ours": ROOT / ".venv/bin/python"}
PROGRAMS = ROOT / "scripts/lib/bench/programs"

SMALL, LARGE = (320, 240), (1280, 720)
# How long the media is waited for after a cut. The official package's recovery takes 0.5 s or 2.5 s, or never comes.
MEDIA_BACK_LIMIT_S = 8.0
PACKET_MARK_MS = 60.0
# A tie is not ahead.
RATIO_MARK = 0.99
# Stands for a value that was never reached; JSON has no infinity.
NEVER = 1e6


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long each thing is measured."""

    imports: int = 7
    views: int = 12
    cuts: int = 5
    publishers: int = 2
    messages: int = 2000
    message_runs: int = 5
    viewers: tuple[int, ...] = (1, 4, 8)
    settle_s: float = 2.0
    window_s: float = 5.0


QUICK = Effort(
    imports=1, views=1, cuts=1, publishers=1, messages=100, message_runs=1, viewers=(1,), settle_s=0.2, window_s=1.0
)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the comparison; `more_is_better` for rates."""

    name: str
    unit: str
    more_is_better: bool = False


@dataclass(slots=True)
class Figures:
    """What was measured: for each case and package the values of all repetitions; None: it never happened."""

    effort: Effort
    hub: peers.Hub
    values: dict[tuple[Case, str], list[float | None]] = field(default_factory=lambda: defaultdict(list))
    channels: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, case: Case, package: str, value: float | None) -> None:
        self.values[case, package].append(value)

    def options(self, role: str, **more: Any) -> dict[str, Any]:
        return {"url": self.hub.url, "key": self.hub.key, "role": role, **more}

    def channel(self) -> str:
        return f"bench-{next(self.channels)}"


def median(values: list[float | None]) -> float | None:
    """Return the median; None where most never happened."""
    ordered = sorted(float("inf") if value is None else value for value in values)
    middle = ordered[(len(ordered) - 1) // 2] if ordered[-1] == float("inf") else statistics.median(ordered)
    return None if middle == float("inf") else middle


def environment(package: str) -> dict[str, str]:
    return peers.tree_environment() if package == "ours" else {"PYTHONPATH": ""}


@contextlib.asynccontextmanager
async def member(package: str, options: dict[str, Any]) -> AsyncIterator[Child]:
    """Run the program under a package until the end of the block."""
    argv = [str(PYTHONS[package]), str(PROGRAMS / "sdk_member.py"), json.dumps(options)]
    async with Child(f"{options['role']} ({package})", argv, env=environment(package)) as child:
        yield child


# Import ----------------------------------------------------------------------------------------------------

IMPORT = Case("import of the pub/sub-only install", "ms")
IMPORT_RSS = Case("memory after that import", "MB")


async def measure_imports(figures: Figures) -> None:
    for number in range(figures.effort.imports + 1):
        for package in PACKAGES:
            # Isolated: only what is installed in the environment is found.
            async with Child("import", [PYTHONS[package], "-I", PROGRAMS / "sdk_import.py"]) as child:
                imported = await child.event("imported")
            if number > 0:  # the first compiles
                figures.add(IMPORT, package, imported["ms"])
                figures.add(IMPORT_RSS, package, imported["rss_mb"])


# Messages --------------------------------------------------------------------------------------------------

ROUND_TRIPS = Case("publish round trips", "1/s", more_is_better=True)
MESSAGE_CPU = Case("CPU per message published", "us")


async def measure_messages(figures: Figures) -> None:
    async with contextlib.AsyncExitStack() as stack:
        children = {}
        for package in PACKAGES:
            options = figures.options("messages", channel=figures.channel())
            children[package] = await stack.enter_async_context(member(package, options))
            await children[package].event("ready")
        for number in range(figures.effort.message_runs + 1):
            for package, child in children.items():
                await child.tell({"messages": figures.effort.messages if number else 100})
                published = await next_event(child, "published")
                if number > 0:  # the first warms up
                    figures.add(ROUND_TRIPS, package, published["per_s"])
                    figures.add(MESSAGE_CPU, package, published["cpu_us"])


async def next_event(child: Child, kind: str, *, timeout_s: float = 40.0) -> dict[str, Any]:
    """Wait for an event and forget it, so that the next call waits for the next."""
    event = await child.event(kind, timeout_s=timeout_s)
    child.events.remove(event)
    return event


# Join to first frame ---------------------------------------------------------------------------------------

FIRST_FRAME = Case("join to first frame", "ms")
FIRST_PACKET = Case("peer seen to first media packet", "ms")


async def measure_views(figures: Figures) -> None:
    async with contextlib.AsyncExitStack() as stack:
        viewers = {}
        for package in PACKAGES:
            options = figures.options("publisher", channel=figures.channel(), source="track", size=SMALL)
            publisher = await stack.enter_async_context(member(package, options))
            await publisher.event("ready")
            options = figures.options("viewer", channel=options["channel"], drop=False)
            viewers[package] = await stack.enter_async_context(member(package, options))
            await viewers[package].event("ready")
        for number in range(figures.effort.views + 1):
            for package, viewer in viewers.items():
                await viewer.tell({"do": "view"})
                viewed = await next_event(viewer, "viewed")
                if number > 0:  # the first loads aiortc
                    figures.add(FIRST_FRAME, package, viewed["frame_ms"])
                    figures.add(FIRST_PACKET, package, viewed["packet_ms"])


# A cut WebSocket -------------------------------------------------------------------------------------------

MEDIA_BACK = Case("WebSocket cut to joined with media", "ms")
PICTURE_GAP = Case("longest pause in the picture after the cut", "ms")


async def measure_cuts(figures: Figures) -> None:
    for _ in range(figures.effort.cuts):
        for package in PACKAGES:
            await cut_once(figures, package)


async def cut_once(figures: Figures, package: str) -> None:
    """Cut the publisher's WebSocket while a viewer watches, and look at the pictures that the viewer gets."""
    address, channel = urlsplit(figures.hub.url), figures.channel()
    assert address.hostname is not None
    assert address.port is not None
    async with tcp_cutter(address.hostname, address.port) as cutter:
        options = figures.options("publisher", channel=channel, source="track", size=SMALL)
        options["url"] = f"ws://127.0.0.1:{cutter.port}"
        async with (
            member(package, options) as publisher,
            member(package, figures.options("watcher", channel=channel)) as watcher,
        ):
            await watcher.event("picture", timeout_s=30)
            await asyncio.sleep(1.0)
            back_s, gap_s = await pictures_after_cut(cutter, publisher, watcher)
    figures.add(MEDIA_BACK, package, None if back_s is None else back_s * 1e3)
    figures.add(PICTURE_GAP, package, None if gap_s is None else gap_s * 1e3)


async def pictures_after_cut(cutter: TcpCutter, publisher: Child, watcher: Child) -> tuple[float | None, float | None]:
    """Return the seconds from the cut to the first picture of a publisher joined again, and the longest pause."""
    cut_s = time.monotonic()
    cutter.cut()

    def times_s() -> list[float]:
        return [event["at_s"] for event in watcher.events_of("picture")]

    def back_s() -> float | None:
        joined = [event["at_s"] for event in publisher.events_of("state", to="joined") if event["at_s"] > cut_s]
        seen = [at_s for at_s in times_s() if joined and at_s > joined[0]]
        return seen[0] - cut_s if len(seen) > 1 else None

    while back_s() is None and time.monotonic() - cut_s < MEDIA_BACK_LIMIT_S:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # a renewal that begins only now would show as a pause
    took_s = back_s()
    if took_s is None:
        return None, None
    around = [at_s for at_s in times_s() if at_s > cut_s - 0.5]
    return took_s, max(after - before for before, after in itertools.pairwise(around))


# Viewers of one source -------------------------------------------------------------------------------------

PEER_RSS = Case("memory of the publisher per connected peer", "MB")


def cpu_case(viewers: int) -> Case:
    return Case(f"CPU of a 720p30 publisher with {viewers} viewers", "% of a core")


def rate_case(viewers: int) -> Case:
    return Case(f"pictures to each of {viewers} viewers", "1/s", more_is_better=True)


async def measure_viewers(figures: Figures) -> None:
    for _ in range(figures.effort.publishers):
        for package in PACKAGES:
            await publish_to_viewers(figures, package)


async def publish_to_viewers(figures: Figures, package: str) -> None:
    """Measure a publisher while more and more viewers come, all in one other process that drops what it receives."""
    channel, effort = figures.channel(), figures.effort
    source = "shared" if package == "ours" else "track"  # the official package has no other way
    options = figures.options("publisher", channel=channel, source=source, size=LARGE)
    async with (
        member(package, options) as publisher,
        member(package, figures.options("viewer", channel=channel, drop=True)) as viewers,
    ):
        await publisher.event("ready")
        await viewers.event("ready")
        empty_mb = rss_mb(publisher.pid)
        for count in effort.viewers:
            await viewers.tell({"do": "hold", "viewers": count})
            await viewers.event("held", viewers=count, timeout_s=40)
            await asyncio.sleep(effort.settle_s)
            begin_s, before_s, before = time.perf_counter(), cpu_s(publisher.pid), await pictures_so_far(viewers)
            await asyncio.sleep(effort.window_s)
            used_s, window_s = cpu_s(publisher.pid) - before_s, time.perf_counter() - begin_s
            after = await pictures_so_far(viewers)
            figures.add(cpu_case(count), package, 100 * used_s / window_s)
            came = (after["frames"] - before["frames"]) / (after["at_s"] - before["at_s"])
            figures.add(rate_case(count), package, came / count)
        figures.add(PEER_RSS, package, (rss_mb(publisher.pid) - empty_mb) / count)


async def pictures_so_far(viewers: Child) -> dict[str, Any]:
    await viewers.tell({"do": "count"})
    return await next_event(viewers, "counted")


# The comparison --------------------------------------------------------------------------------------------


def rows_of(figures: Figures) -> list[Row]:
    found: list[Row] = []
    for (case, package), values in figures.values.items():
        middle = median(values)
        row: Row = {
            "package": package,
            "case": case.name,
            "value": None if middle is None else round(middle, 2),
            "unit": case.unit,
            "values": [None if value is None else round(value, 2) for value in values],
        }
        if middle is None:
            row["note"] = f"never within {MEDIA_BACK_LIMIT_S:g} s"
        found.append(row)
    return found


def ratio(case: Case, ours: float | None, official: float | None) -> float:
    """Return our cost as a part of theirs: below 1 where ours is ahead, 0 where theirs never got there."""
    if ours is None or official is None:
        return NEVER if ours is None else 0.0
    dear, cheap = (official, ours) if case.more_is_better else (ours, official)
    return round(dear / cheap, 3)


def marks_of(figures: Figures) -> list[Mark]:
    """Return a mark for each case, and the ones that hold without a comparison."""
    marks = []
    for case in {case: None for case, _ in figures.values}:
        ours, official = (median(figures.values[case, package]) for package in ("ours", "official"))
        # As many pictures as the source makes is all there is to have: a tie there is no shortfall.
        mark = RATIO_MARK if not case.name.startswith("pictures") else 1.05
        marks.append(Mark(f"{case.name}: ours / official", ratio(case, ours, official), mark))
    packets_ms = figures.values.get((FIRST_PACKET, "ours"))
    if packets_ms is not None:
        marks.append(
            Mark(
                f"{FIRST_PACKET.name}: ours, {FIRST_PACKET.unit}", round(median(packets_ms) or NEVER, 2), PACKET_MARK_MS
            )
        )
    return marks


MEASUREMENTS: tuple[Callable[[Figures], Awaitable[None]], ...] = (
    measure_imports,
    measure_messages,
    measure_views,
    measure_cuts,
    measure_viewers,
)


async def main() -> None:
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    async with peers.hub() as hub:
        figures = Figures(QUICK if "--quick" in sys.argv[1:] else Effort(), hub)
        for measure in MEASUREMENTS:
            if not wanted or measure.__name__.removeprefix("measure_") in wanted:
                await measure(figures)
    print_report("sdk", rows_of(figures), marks_of(figures))


if __name__ == "__main__":
    asyncio.run(main())
