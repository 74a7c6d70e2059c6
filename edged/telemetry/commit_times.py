"""When a transaction is worth what it costs the card: grouped as far as the broker can wait. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edged.telemetry.lane import Lane

_ENOUGH_FOR_A_COMMIT = 200
"""Less than half of what a broker sends ahead of our acknowledgements, so that it need not wait for the disk."""
UNACKED_LIMIT = 1500
"""Of the 2,000 that a broker may send ahead. It keeps a thousand more by default, and drops what comes then."""
_WAITS_WHILE_SPILLING = 2
"""Times `spill_after_s`: the broker still has what is not committed, and fewer commits spare the card."""
_STALLED_FROM = 8
_STALLED_AFTER_S = 0.05
_STALLED_AFTER_PAUSES = 10
_ENOUGH_DEAD_ROWS = 10_000
_DEAD_ROWS_AFTER_S = 1.0


class CommitTimes:
    """Knows when something was accepted last, and since when rows wait to be deleted."""

    def __init__(self, lanes: Sequence[Lane], spill_after_s: float, unacked_limit: int = UNACKED_LIMIT) -> None:
        self.accepted_s = 0.0
        self._unacked_limit = unacked_limit
        self._lanes = lanes
        self._spill_after_s = spill_after_s
        self._dead_since_s: float | None = None

    @property
    def is_spilling(self) -> bool:
        """The uplink is down or too slow: readings go to the disk."""
        return any(lane.is_spilling for lane in self._lanes)

    @property
    def is_enough(self) -> bool:
        """Spilling should not wait for its time.

        The broker sends a limited number ahead of our acknowledgements, so once the oldest reading is on disk, which
        is to say that the uplink is down, each further one waiting for its time would hold up those behind it. And
        where much comes when the uplink goes down, the broker could not wait until the first has had its time.
        """
        low, normal, high = self._lanes
        count = low.unstored_count + normal.unstored_count + high.unstored_count
        return count >= self._unacked_limit or (count >= _ENOUGH_FOR_A_COMMIT and self.is_spilling)

    def spill_is_due(self, now_s: float, *, is_linked: bool) -> bool:
        """Say whether readings have waited long enough in memory, or the broker waits for us."""
        if self.is_enough:
            return True
        oldest_s = now_s
        wait_s = self._spill_after_s * (_WAITS_WHILE_SPILLING if self.is_spilling else 1)
        for lane in self._lanes:
            if (oldest := lane.oldest_unstored) is not None:
                # With a link it has the time its route gives it before it counts as waiting.
                company_s = oldest.reading.batch_delay_s if is_linked else 0.0
                if now_s >= oldest.since_s + company_s + wait_s:
                    return True
                oldest_s = min(oldest_s, oldest.since_s)
        return self._is_stalled(oldest_s, now_s)

    def _is_stalled(self, oldest_s: float, now_s: float) -> bool:
        """Say whether the broker seems to send no more for want of our acknowledgements."""
        count = sum(lane.unstored_count for lane in self._lanes)
        if count < _STALLED_FROM or not self.is_spilling:
            return False
        pause_s = (self.accepted_s - oldest_s) / (count - 1)
        return now_s - self.accepted_s > max(_STALLED_AFTER_S, _STALLED_AFTER_PAUSES * pause_s)

    def look_for_dead(self, now_s: float) -> None:
        """There may be more rows to delete."""
        if self._dead_since_s is None and any(lane.dead.is_waiting for lane in self._lanes):
            self._dead_since_s = now_s

    def committed(self) -> None:
        """What was to be deleted is, or will be looked for anew."""
        self._dead_since_s = None

    def dead_rows_are_due(self, now_s: float) -> bool:
        """Say whether rows should be deleted, so that they are not sent again after a crash."""
        if self._dead_since_s is None:
            return False
        if now_s - self._dead_since_s >= _DEAD_ROWS_AFTER_S:
            return True
        return sum(lane.dead.count for lane in self._lanes) >= _ENOUGH_DEAD_ROWS
