"""Scenarios of the wall clock: it is turned by an hour and back, or the machine starts in 1970."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tests.faults.account import account_faults
from tests.faults.false_clock import turn
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

_HOUR_S = 3600.0
_TOLERANCE_S = 2.0
_EDGE = 8


class Stamps:
    """The times that readings carry at the far end, by message."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.found: dict[tuple[str, int], dict[str, Any]] = {}
        # What the test's own clocks say of each other; nobody turns those.
        self._wall_from_s = time.time() - time.monotonic()
        site.far_end.on_reading = self._take

    def _take(self, reading: dict[str, Any]) -> None:
        self.found.setdefault((reading["topic"], reading["value"]), reading)

    def off_s(self, name: tuple[str, int]) -> float | None:
        """Return by how much a stamp differs from the true time; None: there is none."""
        time_ms = self.found[name].get("time_ms")
        true_s = self._site.ledger.sent_at_s(name) + self._wall_from_s
        return None if time_ms is None else time_ms / 1000 - true_s

    def wrong(self, first: int, last: int, expected_s: float) -> str:
        """Look at the readings of each topic between two numbers: how far is their time from what it should be?"""
        # Those next to a turn may have been taken in on the other side of it.
        between = range(first + _EDGE, last - _EDGE)
        names = [name for name in self.found if name[1] in between and name[0] in TOPICS]
        offs = {name: self.off_s(name) for name in names}
        bad = {name: off for name, off in offs.items() if off is None or abs(off - expected_s) > _TOLERANCE_S}
        example = next(iter(bad.items()), None)
        return f"{len(bad)} of {len(offs)} stamps are not {expected_s:+.0f} s: {example}" if bad or not offs else ""


async def clock_turned(folder: Path, *, per_s: int = 200, around_s: float = 1.5, is_online: bool = True) -> Outcome:
    """The clock goes an hour back and forth. Nothing is lost, ended or held up; stamps show what the clock shows."""
    turn(folder, 0.0)
    launcher = (sys.executable, "-m", "tests.faults.false_clock", str(folder))
    telemetry = {"clock": "trusted", "outbox": {"spill_after_s": 0.5}}
    async with Site(folder, launcher=launcher, telemetry=telemetry) as site:
        stamps = Stamps(site)
        await site.start_gateway()
        count = round(per_s * around_s)
        await site.sensors.count(TOPICS, count, per_s=per_s)
        await site.all_arrived()
        if not is_online:
            await site.uplink.refuse()
        faults = []
        for offset_s in (-_HOUR_S, _HOUR_S, 0.0):
            turn(folder, offset_s)
            await site.sensors.count(TOPICS, count, per_s=per_s)
            await site.sensors.answered()
            if is_online:
                await site.all_arrived()
        lives = (site.uplink.connections, site.broker_link.connections)
        if is_online and lives != (1, 1):
            faults.append(f"connections were made anew: {lives}")
        await site.uplink.accept()
        verdict = await site.settle()
        each = count // len(TOPICS)
        for turn_number, offset_s in enumerate((0.0, -_HOUR_S, _HOUR_S, 0.0)):
            faults.append(stamps.wrong(each * turn_number, each * (turn_number + 1), offset_s))
        return outcome(site, verdict, *faults, *await account_faults(site))


async def boot_in_1970(folder: Path, *, per_s: int = 200, around_s: float = 1.5) -> Outcome:
    """The clock is set only after a while: what was taken in before says so, or has been corrected."""
    in_1970_s = 60.0 - time.time()
    turn(folder, in_1970_s)
    launcher = (sys.executable, "-m", "tests.faults.false_clock", str(folder))
    async with Site(folder, launcher=launcher, telemetry={"outbox": {"spill_after_s": 0.5}}) as site:
        stamps = Stamps(site)
        await site.start_gateway()
        count = round(per_s * around_s)
        each = count // len(TOPICS)
        await site.sensors.count(TOPICS, count, per_s=per_s)
        await site.all_arrived()
        early = [
            reading for reading in stamps.found.values() if "time_ms" in reading or reading.get("clock") != "unset"
        ]
        unsaid = f"{len(early)} readings hide that the clock is not set: {early[0]}" if early else ""
        await site.uplink.refuse()
        # These wait, in memory and on disk and through a restart, until the clock is set.
        await site.sensors.count(TOPICS, count, per_s=per_s)
        await site.terminate_gateway()
        await site.start_gateway()
        await site.sensors.count(TOPICS, count, per_s=per_s)
        turn(folder, 0.0)
        await site.sensors.count(TOPICS, count, per_s=per_s)
        await site.uplink.accept()
        verdict = await site.settle()
        faults = [unsaid, stamps.wrong(each, 4 * each, 0.0)]
        return outcome(site, verdict, *faults, *await account_faults(site))
