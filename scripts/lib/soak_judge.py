"""What the soak makes of what it sees: one line a minute, and the verdict. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_GROWTH_MB = 5.0
# So many more than at the same point before are no leak: libraries open a pipe or start a thread late.
SPARE_FDS = 10
FDS_PER_VIEWER = 5
SPARE_THREADS = 3
WARM_UP = 0.1
# Until so many have come, memory grows with what is loaded, and with garbage that is not collected yet.
WARM_UP_JOINS = 200
# Fewer say nothing about growth.
MIN_SAMPLES = 10
# Of the samples after the warm-up, the first and the last so many are compared: viewers come and go in between.
COMPARED = 0.2
FPS = 15
PERIOD_90K = 90_000 // FPS
MAX_IDLE_S = 3.0
# A longer jump of the clock is no lost picture but another clock; what is left out for a thin link is shorter.
MAX_GAP_90K = 10 * 90_000


class Sample(NamedTuple):
    """The daemon at a moment."""

    at_s: float
    rss_mb: float
    pss_mb: float
    private_dirty_mb: float
    fds: int
    threads: int
    present: int
    joined: int


def lost_between(before_90k: int | None, now_90k: int) -> int:
    """Return how many pictures are missing between two, by the time between them."""
    if before_90k is None or not 0 < now_90k - before_90k < MAX_GAP_90K:
        return 0
    return max(0, round((now_90k - before_90k) / PERIOD_90K) - 1)


@dataclass(slots=True)
class Tally:
    """What the viewers said."""

    main_width: int
    sub_width: int
    seen: int = 0
    pictures: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)
    firsts_ms: list[int] = field(default_factory=list)

    def take(self, said: dict[str, Any], stay_s: float) -> None:
        """Count what one viewer said at its end."""
        self.seen += 1
        self.pictures += said["pictures"]
        self.lost += said["lost"]
        if said["first_ms"] is not None:
            self.firsts_ms.append(said["first_ms"])
        if fault := self._fault(said):
            self.faults.append(f"viewer {said['number']} ({said['wish']}, stayed {stay_s:.1f} s): {fault}")

    def _fault(self, said: dict[str, Any]) -> str:
        if not said["pictures"]:
            return "saw no picture"
        if said["is_served_unasked"]:
            return "was sent pictures after it had asked for none"
        if said["wish"] != "none" and said["idle_s"] > MAX_IDLE_S:
            return f"saw no picture in its last {said['idle_s']} s"
        if said["wish"] == "sub" and said["width"] != self.sub_width:
            return f"asked for the second picture, and saw {said['width']} pixels"
        return ""


def line_of(sample: Sample, tally: Tally) -> str:
    """Return the line of a minute."""
    first = f"first picture p50 {statistics.median(tally.firsts_ms):.0f} ms" if tally.firsts_ms else "no picture yet"
    return (
        f"{sample.at_s:6.0f} s  rss {sample.rss_mb:6.2f} MB  pss {sample.pss_mb:6.2f}  "
        f"dirty {sample.private_dirty_mb:6.2f}  fds {sample.fds:3d}  threads {sample.threads:2d}  "
        f"present {sample.present:2d}  joins {sample.joined:4d}  pictures {tally.pictures} lost {tally.lost}  "
        f"{first}  faults {len(tally.faults)}"
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it went: `faults` is empty where all is well. `growth_mb` is judged only where `is_growth_judged`."""

    growth_mb: float
    is_growth_judged: bool
    fds: tuple[float, float]
    threads: tuple[float, float]
    pictures: int
    lost: int
    faults: tuple[str, ...]


def judge(samples: Sequence[Sample], tally: Tally, *, empty_before: Sample, empty_after: Sample) -> Verdict:
    """Compare the end with the time after the warm-up; `empty_...`: with no viewer, before the first and at the end.

    Memory is judged where enough viewers came after the warm-up.
    """
    later = list(samples)[round(len(samples) * WARM_UP) :]
    warm = [one for one in later if one.joined >= WARM_UP_JOINS]
    is_long = len(warm) >= MIN_SAMPLES
    warm = warm if is_long else later
    width = max(1, round(len(warm) * COMPARED))
    first, last = warm[:width], warm[-width:]

    def both(name: str) -> tuple[float, float]:
        before, after = (statistics.median(getattr(one, name) for one in part) for part in (first, last))
        return before, after

    rss_mb, fds, threads, present = both("rss_mb"), both("fds"), both("threads"), both("present")
    growth_mb = round(rss_mb[1] - rss_mb[0], 2)
    faults = list(tally.faults)
    if is_long and growth_mb >= MAX_GROWTH_MB:
        faults.append(f"memory grew by {growth_mb} MB after the warm-up (less than {MAX_GROWTH_MB} is allowed)")
    more_fds = SPARE_FDS + FDS_PER_VIEWER * max(0.0, present[1] - present[0])
    if fds[1] > fds[0] + more_fds or empty_after.fds > empty_before.fds + SPARE_FDS:
        faults.append(f"open files grew: {fds}, with no viewer {empty_before.fds} and {empty_after.fds}")
    if threads[1] > threads[0] + SPARE_THREADS or empty_after.threads > empty_before.threads + SPARE_THREADS:
        faults.append(f"threads grew: {threads}, with no viewer {empty_before.threads} and {empty_after.threads}")
    return Verdict(growth_mb, is_long, fds, threads, tally.pictures, tally.lost, tuple(faults))
