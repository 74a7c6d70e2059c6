"""What visits to a server found at one number of viewers, and the rows made of several visits. Pure.

A visit measures several slices of time, and every server is visited several times, in turn: a machine that does
something else for a while disturbs some slices of each, and the median stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from scripts.lib.bench.report import Row
from scripts.lib.bench.viewing.figures import percentile

# Stands for a value that was never reached; JSON has no infinity.
NEVER = 1e6


@dataclass(slots=True)
class Level:
    """One visit, one number of viewers. Lists of CPU figures have an entry for each slice.

    `other_pct` is what others took of the server's core; `connects_ms` and `firsts_ms` are of those who joined.
    """

    server: str
    gop_s: int
    visit: int
    viewers: int
    rss_mb: float
    cpu_pct_per_viewer: list[float] = field(default_factory=list)
    us_per_packet: list[float] = field(default_factory=list)
    other_pct: list[float] = field(default_factory=list)
    connects_ms: list[float | None] = field(default_factory=list)
    firsts_ms: list[float | None] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How two servers compare: the median of the visits, and the lowest and the highest of them."""

    middle: float
    low: float
    high: float


def rows_of(levels: Iterable[Level]) -> list[Row]:
    """Return a row for each server, GOP and number of viewers, in the order in which they came first."""
    groups: dict[tuple[int, str, int], list[Level]] = {}
    for level in levels:
        groups.setdefault((level.gop_s, level.server, level.viewers), []).append(level)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Level]) -> Row:
    costs = [cost for level in group for cost in level.cpu_pct_per_viewer]
    connects_ms = known(value for level in group for value in level.connects_ms)
    firsts_ms = known(value for level in group for value in level.firsts_ms)
    return {
        "server": group[0].server,
        "viewers": group[0].viewers,
        "cpu_pct_per_viewer": shown(middle(costs), 4),
        "us_per_packet": shown(middle(cost for level in group for cost in level.us_per_packet), 2),
        "rss_mb": shown(middle(level.rss_mb for level in group), 1),
        "connect_ms_p50": shown(percentile(connects_ms, 50), 1),
        "first_picture_ms_p50": shown(percentile(firsts_ms, 50), 1),
        "first_picture_ms_max": shown(percentile(firsts_ms, 100), 1),
        "gop_s": group[0].gop_s,
        "added_latency_ms_p50": shown(middle_of(group, 50), 3),
        "added_latency_ms_p99": shown(middle_of(group, 99), 3),
        "cpu_pct_per_viewer_low": shown(min(costs, default=None), 4),
        "cpu_pct_per_viewer_high": shown(max(costs, default=None), 4),
        "other_pct_of_core": shown(middle(cost for level in group for cost in level.other_pct), 1),
    }


def middle(values: Iterable[float]) -> float | None:
    """Return the median; None of nothing."""
    found = list(values)
    return median(found) if found else None


def middle_of(group: Iterable[Level], percent: float) -> float | None:
    """Return the median of the visits' percentiles of the added latency."""
    found = [percentile(level.latencies_ms, percent) for level in group]
    return middle(value for value in found if value is not None)


def known(values: Iterable[float | None]) -> list[float]:
    """Return the values, those that were never reached above all others."""
    return [NEVER if value is None else value for value in values]


def shown(value: float | None, digits: int) -> float | None:
    return None if value is None or value >= NEVER else round(value, digits)


def cpu_ratio(levels: Iterable[Level], ours: str, others: Sequence[str], viewers: int) -> Ratio | None:
    """Compare the CPU per viewer with the cheapest of the others, each visit with those of the same turn."""
    costs: dict[tuple[int, int], dict[str, float]] = {}
    for level in levels:
        cost = middle(level.cpu_pct_per_viewer)
        if level.viewers == viewers and cost:
            costs.setdefault((level.gop_s, level.visit), {})[level.server] = cost
    ratios = []
    for each in costs.values():
        theirs = [each[name] for name in others if name in each]
        if theirs and ours in each:
            ratios.append(each[ours] / min(theirs))
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None
