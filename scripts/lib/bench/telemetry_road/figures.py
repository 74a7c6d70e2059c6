"""What the bench `telemetry` makes of what it counted: rows, and the marks that ours is held against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.lib.bench.report import Mark, Row

OURS = "edged"
SMALL_B = 100
DISK_ONLINE_B = 0.0
DISK_OFFLINE_B = {10.0: 1200.0, 1000.0: 700.0}
"""By messages a second; for payloads of 100 B."""
RSS_MB, CPU_PCT, DRAIN_PER_S = 36.0, 12.0, 5000.0
UNWANTED = ("aiortc", "av", "pydantic", "numpy")


@dataclass(frozen=True, slots=True)
class Span:
    """What one server did in one span of time; CPU by message."""

    messages: int
    seconds: float
    cpu_us: float
    site_cpu_us: float
    disk_b: int
    device_b: int | None


@dataclass(slots=True)
class Figures:
    """One server in one state. `offered_per_s`: 0: as many as it took; None: nothing, it had a backlog to send.

    `alone_us` is what its broker costs without it, and is not its own.
    """

    server: str
    setup: str
    payload_b: int
    state: str
    offered_per_s: float | None
    span: Span
    rss_mb: float
    alone_us: float = 0.0
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    lost: int | None = None
    repeated: int | None = None
    backlog: int | None = None

    @property
    def per_s(self) -> float:
        return self.span.messages / max(self.span.seconds, 1e-9)

    @property
    def cpu_us(self) -> float:
        return max(0.0, self.span.cpu_us - self.alone_us)


def row_of(figures: Figures) -> Row:
    """Return the row of one server in one state; bytes and CPU are by message."""
    span, count = figures.span, max(1, figures.span.messages)
    offered = {None: "-", 0.0: "max"}.get(figures.offered_per_s, figures.offered_per_s)
    return {
        "server": figures.server,
        "payload_b": figures.payload_b,
        "msg_per_s": round(figures.per_s, 1),
        "cpu_us_per_msg": round(figures.cpu_us, 2),
        "rss_mb": round(figures.rss_mb, 1),
        "latency_ms_p50": _rounded(figures.latency_ms_p50),
        "latency_ms_p99": _rounded(figures.latency_ms_p99),
        "disk_b_per_msg": round(span.disk_b / count, 1),
        "state": figures.state,
        "setup": figures.setup,
        "offered_per_s": offered,
        "cpu_pct": round(figures.cpu_us * figures.per_s / 1e4, 2),
        "site_cpu_us_per_msg": round(span.site_cpu_us, 2),
        "device_b_per_msg": None if span.device_b is None else round(span.device_b / count, 1),
        "backlog": figures.backlog,
        "lost": figures.lost,
        "repeated": figures.repeated,
    }


def marks_of(found: Sequence[Figures], unwanted_modules: int) -> list[Mark]:
    """Return the marks whose figures were measured."""
    ours = [figures for figures in found if figures.server == OURS]
    return [mark for figures in ours for mark in _marks(figures)] + [
        Mark(f"modules of {', '.join(UNWANTED)} loaded", unwanted_modules, 0)
    ]


def _marks(figures: Figures) -> Iterable[Mark]:
    row = row_of(figures)
    of = f"{figures.state}, {figures.payload_b} B, {row['offered_per_s']} msg/s"
    if figures.state == "online":
        yield Mark(f"{of}: disk_b_per_msg", row["disk_b_per_msg"], DISK_ONLINE_B)
        yield Mark(f"{of}: lost", row["lost"], 0)
    if figures.state == "drain":
        of = f"drain of {figures.backlog}, {figures.payload_b} B"
        yield Mark(f"{of}: msg_per_s", row["msg_per_s"], DRAIN_PER_S, at_least=True)
        yield Mark(f"{of}: lost", row["lost"], 0)
    if figures.payload_b != SMALL_B:
        return
    if figures.state == "online" and figures.offered_per_s:
        yield Mark(f"{of}: cpu_pct", row["cpu_pct"], CPU_PCT)
        yield Mark(f"{of}: rss_mb", row["rss_mb"], RSS_MB)
    if figures.state == "offline" and figures.offered_per_s in DISK_OFFLINE_B:
        for name in ("disk_b_per_msg", "device_b_per_msg"):
            if row[name] is not None:
                yield Mark(f"{of}: {name}", row[name], DISK_OFFLINE_B[figures.offered_per_s])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
