"""What a scenario hands back: the verdict of the judge, what it took, and what else it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.judge import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """`faults` holds the judge's and the scenario's own; it is empty where the gateway kept its word."""

    verdict: Verdict
    rss_mb: float
    faults: tuple[str, ...]
    seen: dict[str, float | int | str] = field(default_factory=dict)


Scenario = Callable[[Path], Awaitable[Outcome]]
"""Takes an empty folder for its files."""


def outcome(verdict: Verdict, rss_mb: float, *faults: str, **seen: float | int | str) -> Outcome:
    """Put an outcome together; empty faults are none."""
    return Outcome(verdict, rss_mb, (*verdict.faults, *(fault for fault in faults if fault)), seen)
