"""What every bench prints: rows of figures, marks that they are held against, and the machine it ran on."""

from __future__ import annotations

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
    """A promise: `value` must not be above `mark`."""

    name: str
    value: float
    mark: float

    @property
    def met(self) -> bool:
        return self.value <= self.mark


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


def print_report(bench: str, rows: Sequence[Row], marks: Sequence[Mark]) -> None:
    """Print one JSON object (--json), or the same as lines for people."""
    shown = [{**asdict(mark), "met": mark.met} for mark in marks]
    if "--json" in sys.argv[1:]:
        print(json.dumps({"bench": bench, "machine": machine(), "rows": list(rows), "marks": shown}), flush=True)
        return
    print(f"{bench} on {machine()}")
    for row in rows:
        print("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    for mark in marks:
        print(f"  {'met   ' if mark.met else 'MISSED'} {mark.name}: {mark.value} (mark {mark.mark})")
