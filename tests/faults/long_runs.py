"""Runs scenarios in their long form, one after the other, and prints a table. See scripts/test-faults."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.lib.child import ChildError
from tests.faults.far_end import FarEndError
from tests.faults.outcome import Outcome, Scenario
from tests.faults.scenarios import SCENARIOS
from tests.faults.site import SiteError

_HEAD = f"{'scenario':<28} {'messages':>9} {'lost':>6} {'repeated':>9} {'reordered':>10} {'seconds':>8} {'RSS MB':>7}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    scenario: str
    messages: int
    lost: int
    repeated: int
    reordered: int
    seconds: float
    rss_mb: float
    faults: tuple[str, ...]
    seen: dict[str, Any]

    def line(self) -> str:
        counts = f"{self.messages:>9} {self.lost:>6} {self.repeated:>9} {self.reordered:>10}"
        seen = " ".join(f"{name}={value}" for name, value in self.seen.items())
        return f"{self.scenario:<28} {counts} {self.seconds:>8.1f} {self.rss_mb:>7.1f}  {seen}"


def row_of(name: str, found: Outcome, seconds: float) -> Row:
    """Return the line of an outcome."""
    verdict = found.verdict
    counts = (verdict.promised, verdict.lost, verdict.repeated, verdict.reordered)
    return Row(name, *counts, round(seconds, 1), round(found.rss_mb, 1), found.faults, found.seen)


async def run(name: str, scenario: Scenario) -> Row:
    """Run one scenario in a folder of its own."""
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edged-faults-") as folder:
        try:
            found = await scenario(Path(folder))
        except (ChildError, SiteError, FarEndError, TimeoutError) as error:
            return Row(name, 0, 0, 0, 0, round(time.monotonic() - begin_s, 1), 0.0, (f"broke off: {error}",), {})
    return row_of(name, found, time.monotonic() - begin_s)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test-faults", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--short", action="store_true", help="the short form, as in scripts/test")
    parser.add_argument("--json", action="store_true", help="the table as one JSON array in the last line")
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return options


async def main() -> int:
    options = parse_arguments()
    rows = []
    print(_HEAD, flush=True)
    for name in options.scenarios or SCENARIOS:
        forms = SCENARIOS[name]
        row = await run(name, forms.short if options.short else forms.long)
        rows.append(row)
        print(row.line(), flush=True)
        for fault in row.faults:
            print(f"    FAULT: {fault}", flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]), flush=True)
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
