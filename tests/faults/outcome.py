"""What a scenario hands back: the verdict of the judge, what it took, and what else it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.judge import Verdict
from tests.faults.site import Site

_SHOWN_LOG_LINES = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """`faults` holds the judge's and the scenario's own; it is empty where the gateway kept its word."""

    verdict: Verdict
    rss_mb: float
    faults: tuple[str, ...]
    log: str
    seen: dict[str, float | str] = field(default_factory=dict)


Scenario = Callable[[Path], Awaitable[Outcome]]
"""Takes an empty folder for its files."""


def outcome(site: Site, verdict: Verdict, *faults: str, **seen: float | str) -> Outcome:
    """Put an outcome together while the gateway runs; empty faults are none."""
    assert site.gateway is not None
    log = "\n".join(list(site.gateway.log_lines)[-_SHOWN_LOG_LINES:])
    return Outcome(verdict, site.memory_mb(), (*verdict.faults, *(fault for fault in faults if fault)), log, seen)
