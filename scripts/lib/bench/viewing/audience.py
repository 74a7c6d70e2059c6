"""The viewers and the camera's direct client, as the bench `video` commands them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from scripts.lib import peers
from scripts.lib.bench.viewing.figures import Order, Picture, first_picture_s
from scripts.lib.bench.viewing.servers import PROGRAMS, Address, prefer
from scripts.lib.child import Child, Event

ASK_INTERVAL_S = 0.25
Report = dict[int, dict[str, Any]]


class ViewerError(Exception):
    """A server shows its viewers nothing: there is nothing to be measured."""


class Direct:
    """When each picture came straight from the camera."""

    def __init__(self, camera: str) -> None:
        self.times_s: dict[int, list[float]] = defaultdict(list)
        self._last_s = 0.0
        self.child = Child(
            "direct client",
            [sys.executable, PROGRAMS / "video_direct.py", camera],
            env=peers.tree_environment(),
            on_event=self._take,
        )
        self.opened_ms: list[float] | None = None

    def _take(self, event: Event) -> None:
        if event["event"] == "unit":
            self._last_s = event["at_s"]
            self.times_s[event["checksum"]].append(event["at_s"])
        else:
            self.opened_ms = event["ms"]

    async def pictures_after(self, begin_s: float) -> None:
        """Wait until pictures come."""
        await self.child.until(lambda: self._last_s > begin_s, "picture from the camera", timeout_s=20)

    async def open_times_ms(self, camera: str, times: int) -> list[float]:
        """Return how long opening the camera took, each time."""
        await self.child.tell({"do": "open", "url": camera, "times": times})
        await self.child.until(lambda: self.opened_ms is not None, "times of opening", timeout_s=30)
        assert self.opened_ms is not None
        return self.opened_ms


class Audience:
    """The viewers of one server. `reports` holds what each told last, with all its pictures since it was forgotten."""

    def __init__(self, child: Child, at: Address, order: Order) -> None:
        self._child = child
        self._at = at
        self._order = order
        self.reports: Report = {}
        self._numbers = iter(range(10_000))

    def __len__(self) -> int:
        return len(self.reports)

    async def join(self) -> int:
        """Begin to let one more viewer join; return its number."""
        number = next(self._numbers)
        self.reports[number] = {"asked_s": 0.0, "connected_s": None, "pictures": [], "first_s": None}
        await self._child.tell({"do": "join", "number": number, "at": self._at})
        return number

    async def leave(self, number: int) -> None:
        await self._child.tell({"do": "leave", "number": number})
        await self._child.event("left", number=number)
        del self.reports[number]

    async def collect(self) -> None:
        """Add what was seen since the last time."""
        await self._child.tell({"do": "collect"})
        event = await self._child.event("collected")
        self._child.events.remove(event)
        for number, report in ((int(key), value) for key, value in event["viewers"].items()):
            old = self.reports[number]
            pictures = old["pictures"] + [Picture(*each) for each in report["pictures"]]
            first_s = old["first_s"]
            if first_s is None:
                first_s = first_picture_s(pictures, self._order)
            self.reports[number] = {**report, "pictures": pictures, "first_s": first_s}

    def forget(self) -> None:
        """Drop the pictures so far, except where the first is still looked for."""
        for report in self.reports.values():
            if report["first_s"] is not None:
                report["pictures"] = []

    def first_picture_ms(self, number: int) -> float | None:
        """Return the time from `connected` to the first picture of a viewer; None: not yet."""
        report = self.reports[number]
        if report["first_s"] is None or report["connected_s"] is None:
            return None
        return float(max(0.0, report["first_s"] - report["connected_s"]) * 1e3)

    def connect_ms(self, number: int) -> float | None:
        """Return the time from asking to `connected`; None: not yet."""
        report = self.reports[number]
        connected_s = report["connected_s"]
        return None if connected_s is None else float((connected_s - report["asked_s"]) * 1e3)

    async def have_pictures(self, numbers: Sequence[int], timeout_s: float) -> None:
        """Wait until each of these viewers has its first picture, or the time is over."""
        await self._until(lambda: all(self.first_picture_ms(number) is not None for number in numbers), timeout_s)

    async def see_something(self, timeout_s: float) -> None:
        """Wait until each viewer has got a picture. Raises ViewerError where one has not when the time is over."""
        await self.see_pictures_after(0.0, timeout_s)
        blind = sum(not report["pictures"] and report["first_s"] is None for report in self.reports.values())
        if blind:
            reasons = [event["why"] for event in self._child.events_of("failed")]
            raise ViewerError(f"{blind} of {len(self)} viewers saw nothing within {timeout_s:g} s: {reasons[:3]}")

    async def see_pictures_after(self, begin_s: float, timeout_s: float) -> None:
        """Wait until each viewer has got a picture later than that, or the time is over."""

        def is_seen() -> bool:
            last_s = [report["pictures"][-1].at_s for report in self.reports.values() if report["pictures"]]
            return len(last_s) == len(self) and min(last_s, default=0.0) > begin_s

        await self._until(is_seen, timeout_s)

    async def _until(self, is_true: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            await self.collect()
            if is_true():
                return
            await asyncio.sleep(ASK_INTERVAL_S)


@contextlib.asynccontextmanager
async def audience(at: Address, order: Order) -> AsyncIterator[Audience]:
    """Run a process for the viewers of one server."""
    async with Child("viewers", [sys.executable, PROGRAMS / "video_viewer.py"], env=peers.tree_environment()) as child:
        await child.event("ready")
        prefer(child.pid)
        yield Audience(child, at, order)


@contextlib.asynccontextmanager
async def direct_client(camera: str) -> AsyncIterator[Direct]:
    """Watch the camera directly."""
    direct = Direct(camera)
    async with direct.child:
        prefer(direct.child.pid)
        await direct.pictures_after(0.0)
        yield direct
