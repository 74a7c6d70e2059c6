"""What every bench prints: rows of figures, marks that they are held against, and the machine it ran on."""

from __future__ import annotations

import itertools
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """A promise: `value` must not be above `mark`, or, with `at_least`, not below it.

    `low` and `high`: where it was measured more than once.
    """

    name: str
    value: float
    mark: float
    low: float | None = None
    high: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.mark if self.at_least else self.value <= self.mark


def machine() -> dict[str, Any]:
    """Say what this ran on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "arch": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def print_report(bench: str, rows: Sequence[Row], marks: Sequence[Mark], notes: Sequence[str] = ()) -> None:
    """Print one JSON object (--json), or the same as lines for people. `notes`: how it was measured this time."""
    shown = [{**asdict(mark), "met": mark.met} for mark in marks]
    if "--json" in sys.argv[1:]:
        report = {"bench": bench, "machine": machine(), "notes": list(notes), "rows": list(rows), "marks": shown}
        print(json.dumps(report), flush=True)
        return
    print(f"{bench} on {machine()}")
    for note in notes:
        print(f"  {note}")
    for line in table(rows):
        print(f"  {line}")
    for mark in marks:
        spread = "" if mark.low is None else f", from {mark.low} to {mark.high}"
        word = "at least" if mark.at_least else "mark"
        print(f"  {'met    ' if mark.met else 'NOT MET'} {mark.name}: {mark.value} ({word} {mark.mark}{spread})")


def table(rows: Sequence[Row]) -> list[str]:
    """Return the rows in columns, below the names of the fields wherever other fields begin."""
    lines: list[str] = []
    for names, group in itertools.groupby(rows, key=tuple):
        cells = [names, *(tuple("-" if value is None else str(value) for value in row.values()) for row in group)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)) for each in cells]
    return [line.rstrip() for line in lines]
