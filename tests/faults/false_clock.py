"""Runs `edged` with a wall clock that somebody else turns.

    python -m tests.faults.false_clock FOLDER run --config edged.yaml

FOLDER/clock holds the seconds that the wall clock is off. What is turned is what Python calls the time of day; what
counts since the boot is left alone, as on a real machine whose clock is set.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

REALTIME = time.CLOCK_REALTIME


def turn(folder: Path, offset_s: float) -> None:
    """Set the false clock: so many seconds off."""
    fresh = folder / "clock.new"
    fresh.write_text(repr(offset_s))
    fresh.rename(folder / "clock")


def install(folder: Path) -> None:
    """Put the false clock in the place of the true one."""
    path = os.fspath(folder / "clock")
    inner_ns, inner_gettime_ns = time.time_ns, time.clock_gettime_ns

    def offset_ns() -> int:
        # Replaced, never rewritten: it is opened each time.
        with open(path) as file:  # noqa: PTH123 - a Path costs three times as much
            return int(float(file.read()) * 1e9)

    def time_ns() -> int:
        return inner_ns() + offset_ns()

    def clock_gettime_ns(clock: int) -> int:
        return inner_gettime_ns(clock) + (offset_ns() if clock == REALTIME else 0)

    false: dict[str, Any] = {
        "time_ns": time_ns,
        "time": lambda: time_ns() / 1e9,
        "clock_gettime_ns": clock_gettime_ns,
        "clock_gettime": lambda clock: clock_gettime_ns(clock) / 1e9,
    }
    for name, function in false.items():
        setattr(time, name, function)


def main() -> int:
    """Turn the clock before anything of edged is loaded, and run it."""
    install(Path(sys.argv[1]))
    from edged.cli import main as edged_main  # noqa: PLC0415

    return edged_main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
