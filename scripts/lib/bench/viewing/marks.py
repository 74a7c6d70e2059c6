"""The promises that the rows of the bench `video` are held against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.lib.bench.report import Mark, Row
from scripts.lib.bench.viewing.figures import Restart, percentile
from scripts.lib.bench.viewing.levels import NEVER, Level, cpu_ratio, known, rows_of

OURS, STOCK = "edged", "aiortc"
# Half of what Go costs is the promise; of any other peer handed to the bench, that we are not dearer.
GO_PEERS = ("go2rtc", "mediamtx")

CPU_TO_STOCK, CPU_TO_GO, CPU_TO_OTHERS = 0.30, 0.6, 1.0
CPU_VIEWERS = (16, 60)
LATENCY_MARKS = ((1, "p50", 0.6), (1, "p99", 3.0), (60, "p99", 40.0))
LONG_GOP_S = 10
FIRST_PICTURE_P50_MS, FIRST_PICTURE_MAX_MS = 80.0, 150.0
CONNECT_MS, OPEN_MS = 60.0, 50.0
EMPTY_MB, VIEWER_MB = 60.0, 0.6
RESTART_GAP_MS = 50.0


@dataclass(slots=True)
class Measured:
    """All figures of a run."""

    levels: list[Level]
    opens_ms: list[float]
    restart: Restart | None


def marks_of(measured: Measured) -> list[Mark]:
    """Return the marks whose figures were measured."""
    shortest_s = min(level.gop_s for level in measured.levels)
    rows = [row for row in rows_of(measured.levels) if row["gop_s"] == shortest_s and row["server"] == OURS]
    return [
        *_cpu(measured.levels),
        *_latency(rows),
        *_times(measured),
        *_memory(rows),
        *_restart(measured.restart),
    ]


def _cpu(levels: Sequence[Level]) -> Iterable[Mark]:
    names = sorted({level.server for level in levels} - {OURS, STOCK})
    go = [name for name in names if name in GO_PEERS]
    others = [(f"ours / {name}", [name], CPU_TO_OTHERS) for name in names if name not in go]
    for viewers in CPU_VIEWERS:
        for which, servers, mark in (
            (f"ours / {STOCK}", [STOCK], CPU_TO_STOCK),
            (f"ours / cheaper of {' and '.join(go)}", go, CPU_TO_GO),
            *others,
        ):
            ratio = cpu_ratio(levels, OURS, servers, viewers)
            if ratio is not None:
                name = f"CPU per viewer at {viewers}: {which}"
                yield Mark(name, round(ratio.middle, 3), mark, round(ratio.low, 3), round(ratio.high, 3))


def _latency(rows: Sequence[Row]) -> Iterable[Mark]:
    for viewers, which, mark in LATENCY_MARKS:
        for row in rows:
            if row["viewers"] == viewers:
                yield _mark(f"added latency {which} with {viewers} viewers, ms", row[f"added_latency_ms_{which}"], mark)


def _times(measured: Measured) -> Iterable[Mark]:
    ours = [level for level in measured.levels if level.server == OURS]
    firsts_ms = known(value for level in ours if level.gop_s == LONG_GOP_S for value in level.firsts_ms)
    if firsts_ms:
        yield _mark(f"first picture p50, GOP {LONG_GOP_S} s, ms", percentile(firsts_ms, 50), FIRST_PICTURE_P50_MS)
        yield _mark(f"first picture max, GOP {LONG_GOP_S} s, ms", max(firsts_ms), FIRST_PICTURE_MAX_MS)
    connects_ms = known(value for level in ours for value in level.connects_ms)
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
