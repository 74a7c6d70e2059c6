"""The middle of a lane: rows that are on disk only. Pure.

Rows of it may be dead already, or in flight: those count as neither waiting here nor as found when they are read.
"""

from __future__ import annotations

from collections.abc import Collection

from edged.telemetry.entries import ROW_OVERHEAD_BYTES, Entry
from edged.telemetry.moments import Moment
from edged.telemetry.row_runs import RowRuns
from edged.telemetry.transactions import Evicted, Eviction, LaneSummary, Loaded, StoredReading, Swept


class Gap:
    """Owns how much waits on disk only, and between which rows: after `after_row`, up to `until_row`."""

    def __init__(self, dead: RowRuns) -> None:
        self.count = 0
        self.total_bytes = 0
        self.after_row = 0
        self.until_row = 0
        self.swept_row = 0
        self.flying: dict[int, Entry] = {}
        self._dead = dead
        self._rejoined: list[Entry] = []

    def opened(self, summary: LaneSummary) -> None:
        """Begin with all that the store holds."""
        self.count, self.total_bytes = summary.count, summary.total_bytes
        self.after_row, self.until_row = 0, summary.last_row

    def enter(self, entry: Entry) -> None:
        """The entry has left memory, or would have; newer ones than before make the gap longer."""
        if not self.count:
            self.after_row = entry.row - 1
            self.until_row = 0
        self.until_row = max(self.until_row, entry.row)
        self.count += 1
        self.total_bytes += entry.row_bytes

    def rejoin(self, entry: Entry) -> None:
        """The entry came back from its flight and is on disk only again."""
        self.enter(entry)
        self._rejoined.append(entry)

    def fly(self, entry: Entry) -> None:
        """The entry is in flight, and has no other place than this."""
        entry.is_in_gap = True
        self.flying[entry.row] = entry

    def land(self, entry: Entry) -> None:
        """The entry is not in flight any more."""
        entry.is_in_gap = False
        del self.flying[entry.row]

    def holds(self, row: int) -> bool:
        """Say whether a row is between the ends."""
        return self.count > 0 and self.after_row < row <= self.until_row

    def loaded(self, found: Loaded) -> tuple[list[StoredReading], int]:
        """Give up the oldest rows; return those that come into memory, and how many could not be read."""
        rows = [stored for stored in found.rows if self._waits(stored.row)]
        damaged = {row: size_bytes for row, size_bytes in found.damaged.items() if self._waits(row)}
        self.after_row = max(self.after_row, found.last_row)
        for stored in rows:
            self._leave(stored.reading.size_bytes + ROW_OVERHEAD_BYTES)
        for row, size_bytes in damaged.items():
            self._leave(size_bytes)
            self._dead.add(row, size_bytes)
        return rows, len(damaged)

    def eviction(self, wanted_bytes: int) -> Eviction | None:
        """Return what to drop for so many bytes, for a transaction that begins now."""
        self._rejoined.clear()
        if wanted_bytes <= 0 or not self.count:
            return None
        return Eviction(self.after_row, self.until_row, wanted_bytes, frozenset(self.flying))

    def evicted(self, evicted: Evicted) -> int:
        """Rows were dropped; return how many readings that are."""
        if not evicted.count:
            return 0
        self.after_row = max(self.after_row, evicted.last_row)
        lost = evicted.count
        self.count = max(0, self.count - lost)
        self.total_bytes = max(0, self.total_bytes - evicted.total_bytes)
        # Spared because they were in flight; they are not, and what was around them is gone.
        for entry in self._rejoined:
            if entry.row <= evicted.last_row:
                self._leave(entry.row_bytes)
                self._dead.add(entry.row, entry.row_bytes)
                lost += 1
        return lost

    def swept(self, found: Swept, max_age_s: float, now: Moment) -> tuple[int, bool]:
        """Give up rows that are too old; return how many, and whether the last one looked at was."""
        expired = 0
        is_old = False
        for age in found.ages:
            self.swept_row = age.row
            limit_s = age.keep_s or max_age_s
            waited_s = age.taken.age_s(now)
            is_old = limit_s > 0 and waited_s is not None and waited_s >= limit_s
            if is_old and self._waits(age.row):
                self._leave(age.size_bytes)
                self._dead.add(age.row, age.size_bytes)
                expired += 1
        return expired, is_old

    def lose(self) -> int:
        """Nothing of it can be read; return how many readings that were."""
        lost, self.count, self.total_bytes = self.count, 0, 0
        return lost

    def clear_flying(self) -> Collection[Entry]:
        """Return what was in flight; its rows are no more."""
        flying = sorted(self.flying.values(), key=lambda entry: entry.row)
        self.flying.clear()
        for entry in flying:
            entry.is_in_gap = False
        return flying

    def _waits(self, row: int) -> bool:
        return self.holds(row) and row not in self.flying and row not in self._dead

    def _leave(self, row_bytes: int) -> None:
        self.count = max(0, self.count - 1)
        self.total_bytes = max(0, self.total_bytes - row_bytes)
