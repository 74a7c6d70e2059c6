"""The promises that the rows of the bench `video` are held against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.lib.bench.report import Mark, Row
from scripts.lib.bench.viewing.figures import Restart, percentile

OURS, STOCK = "edged", "aiortc"
# Stands for a value that was never reached; JSON has no infinity.
NEVER = 1e6

CPU_TO_STOCK, CPU_TO_PEERS = 0.30, 0.6
CPU_VIEWERS = (16, 60)
LATENCY_MARKS = ((1, "p50", 0.6), (1, "p99", 3.0), (60, "p99", 40.0))
LONG_GOP_S = 10
FIRST_PICTURE_P50_MS, FIRST_PICTURE_MAX_MS = 80.0, 150.0
CONNECT_MS, OPEN_MS = 60.0, 50.0
EMPTY_MB, VIEWER_MB = 60.0, 0.6
RESTART_GAP_MS = 50.0


@dataclass(slots=True)
class Measured:
    """All figures of a run; `connects_ms` and `firsts_ms` are those of our late viewers, the latter by GOP."""

    rows: list[Row]
    connects_ms: list[float | None]
    firsts_ms: dict[int, list[float | None]]
    opens_ms: list[float]
    restart: Restart | None


def marks_of(measured: Measured) -> list[Mark]:
    """Return the marks whose figures were measured."""
    rows = [row for row in measured.rows if row["gop_s"] == min(each["gop_s"] for each in measured.rows)]
    return [
        *_cpu(rows),
        *_latency(rows),
        *_times(measured),
        *_memory([row for row in rows if row["server"] == OURS]),
        *_restart(measured.restart),
    ]


def _row(rows: Iterable[Row], server: str, viewers: int) -> Row | None:
    return next((row for row in rows if (row["server"], row["viewers"]) == (server, viewers)), None)


def _cpu(rows: Sequence[Row]) -> Iterable[Mark]:
    levels = sorted({row["viewers"] for row in rows} & set(CPU_VIEWERS))
    for viewers in levels:
        costs = {row["server"]: row["cpu_pct_per_viewer"] for row in rows if row["viewers"] == viewers}
        own, base = costs.get(OURS), costs.get(STOCK)
        yield Mark(f"CPU per viewer at {viewers}: ours / aiortc", _ratio(own, base), CPU_TO_STOCK)
        others = [cost for server, cost in costs.items() if server not in (OURS, STOCK) and cost]
        if others:
            yield Mark(f"CPU per viewer at {viewers}: ours / cheapest peer", _ratio(own, min(others)), CPU_TO_PEERS)


def _ratio(own: float | None, other: float | None) -> float:
    return round(own / other, 3) if own is not None and other else NEVER


def _latency(rows: Sequence[Row]) -> Iterable[Mark]:
    for viewers, which, mark in LATENCY_MARKS:
        row = _row(rows, OURS, viewers)
        if row is not None:
            yield _mark(f"added latency {which} with {viewers} viewers, ms", row[f"added_latency_ms_{which}"], mark)


def _times(measured: Measured) -> Iterable[Mark]:
    firsts_ms = [NEVER if value is None else value for value in measured.firsts_ms.get(LONG_GOP_S, [])]
    if firsts_ms:
        yield _mark(f"first picture p50, GOP {LONG_GOP_S} s, ms", percentile(firsts_ms, 50), FIRST_PICTURE_P50_MS)
        yield _mark(f"first picture max, GOP {LONG_GOP_S} s, ms", max(firsts_ms), FIRST_PICTURE_MAX_MS)
    connects_ms = [NEVER if value is None else value for value in measured.connects_ms]
    yield _mark("connect p50, ms", percentile(connects_ms, 50), CONNECT_MS)
    yield _mark("RTSP open to first access unit p50, ms", percentile(measured.opens_ms, 50), OPEN_MS)


def _memory(rows: Sequence[Row]) -> Iterable[Mark]:
    sizes = {row["viewers"]: row["rss_mb"] for row in rows}
    if 0 in sizes:
        yield _mark("RSS with no viewer, MB", sizes[0], EMPTY_MB)
    # From the smallest number of viewers on: with the first one aiortc is loaded.
    levels = sorted(level for level in sizes if level)
    if len(levels) > 1:
        growth_mb = (sizes[levels[-1]] - sizes[levels[0]]) / (levels[-1] - levels[0])
        yield _mark(f"RSS per viewer, {levels[0]} to {levels[-1]}, MB", growth_mb, VIEWER_MB)


def _restart(restart: Restart | None) -> Iterable[Mark]:
    if restart is not None:
        of = f"camera restart under {restart.viewers} viewers"
        yield _mark(f"{of}: sessions lost", restart.lost_sessions, 0)
        yield _mark(f"{of}: first picture not a key frame", restart.not_key_first, 0)
        yield _mark(f"{of}: timestamp gap off the real one, ms", restart.gap_error_ms, RESTART_GAP_MS)


def _mark(name: str, value: float | None, mark: float) -> Mark:
    return Mark(name, NEVER if value is None else round(value, 3), mark)
