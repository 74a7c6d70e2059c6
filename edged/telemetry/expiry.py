"""How long readings are kept: by their own time to live or that of the outbox, never by a clock that is set. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edged.telemetry.entries import Entry
from edged.telemetry.lane import Lane
from edged.telemetry.moments import Moment
from edged.telemetry.reading import Reading
from edged.telemetry.transactions import StoredReading, Sweep, Swept

_SWEEP_EVERY_S = 30.0
_SWEPT_ROWS = 1000


class Expiry:
    """Drops what is too old, in memory when it is time and on disk a thousand rows at a time."""

    def __init__(self, lanes: Sequence[Lane], max_age_s: float) -> None:
        self._lanes = lanes
        self._max_age_s = max_age_s
        self._soonest_s = math.inf
        self._sweep_at_s = 0.0
        self._swept_lanes = 0

    def entry(self, reading: Reading, ack: Callable[[], None] | None, since_s: float) -> Entry:
        """Return the entry of a reading that was taken in at `since_s`."""
        limit_s = reading.keep_s or self._max_age_s
        if not limit_s:
            return Entry(reading, ack, since_s, 0)
        expires_s = since_s + limit_s
        self._soonest_s = min(self._soonest_s, expires_s)
        return Entry(reading, ack, since_s, 0, expires_s)

    def stored_entry(self, stored: StoredReading, now_s: float, now: Moment) -> Entry:
        """Return the entry of a reading that comes from disk. It has no end where nobody can know its age."""
        waited_s = stored.reading.taken.age_s(now)
        if waited_s is None:
            return Entry(stored.reading, None, now_s, stored.row)
        entry = self.entry(stored.reading, None, now_s - waited_s)
        entry.row = stored.row
        return entry

    def drop_from_memory(self, now_s: float) -> None:
        """Drop what is too old and not in flight."""
        if now_s >= self._soonest_s:
            for lane in self._lanes:
                lane.drop_expired(now_s)
            # What is in flight and too old is looked at again when it has come back.
            self._soonest_s = max(now_s + 1, min(lane.soonest_expiry_s for lane in self._lanes))

    def take_sweep(self, now_s: float) -> Sweep | None:
        """Return the rows to look at next, or None."""
        if now_s < self._sweep_at_s:
            return None
        for lane in self._lanes[self._swept_lanes :]:
            gap = lane.gap
            after_row = max(gap.swept_row, gap.after_row)
            if gap.count and after_row < gap.until_row and (self._max_age_s or lane.has_own_keeps):
                return Sweep(lane.number, after_row, gap.until_row, _SWEPT_ROWS)
            self._leave(lane)
        self._swept_lanes = 0
        self._sweep_at_s = now_s + _SWEEP_EVERY_S
        return None

    def swept(self, found: Swept, now: Moment) -> None:
        """Drop rows that are too old. Where all are kept equally long, the first that is not ends the search."""
        lane = self._lanes[found.lane]
        expired, is_old = lane.gap.swept(found, self._max_age_s, now)
        lane.lose(expired, "expired")
        if not found.ages or not (is_old or lane.has_own_keeps):
            self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        lane.gap.swept_row = 0
        self._swept_lanes = lane.number + 1
