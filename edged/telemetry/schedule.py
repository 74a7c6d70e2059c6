"""Who goes next over the link: lanes by priority, live readings beside a backlog, and how fast the link is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

ONE_IN = 8
"""A lane with something to send gets at least one message in so many."""
ASSUMED_PER_S = 4000.0
_MEASURE_FOR_S = 1.0
_NEW_SHARE = 0.4


class LaneTurns:
    """Higher lanes first, but none is starved."""

    def __init__(self, count: int) -> None:
        self._passed = [0] * count
        # The lowest waits longest: two that have waited long enough must not hold each other up beyond the promise.
        self._patience = [ONE_IN - 1 - lane for lane in range(count)]

    def pick(self, lanes: Sequence[int]) -> int:
        """Return which of these lanes, lowest first, sends the next message."""
        chosen = lanes[-1]
        if len(lanes) > 1:
            for lane in lanes[:-1]:
                if self._passed[lane] >= self._patience[lane]:
                    chosen = lane
                    break
            for lane in lanes:
                self._passed[lane] += 1
        self._passed[chosen] = 0
        return chosen


class LiveShare:
    """Shares messages between live readings and a backlog; what one does not need the other gets."""

    def __init__(self, live_share: float) -> None:
        self._live_share = live_share
        self._owed_to_live = 0.0

    def is_live_next(self) -> bool:
        """Say who goes next where both have something to send."""
        self._owed_to_live += self._live_share
        if self._owed_to_live >= 1:
            self._owed_to_live -= 1
            return True
        return False


class LinkRate:
    """How many readings a second the link takes while more wait than fit into it."""

    def __init__(self) -> None:
        self.per_s = ASSUMED_PER_S
        self._since_s: float | None = None
        self._count = 0

    def settled(self, count: int, now_s: float, *, is_busy: bool) -> None:
        """So many were acknowledged; `is_busy`: more are waiting."""
        if not is_busy:
            self._since_s = None
            return
        if self._since_s is None:
            self._since_s, self._count = now_s, 0
            return
        self._count += count
        passed_s = now_s - self._since_s
        if passed_s >= _MEASURE_FOR_S:
            self.per_s += (self._count / passed_s - self.per_s) * _NEW_SHARE
            self._since_s, self._count = now_s, 0

    def interrupted(self) -> None:
        """The link went: what follows says nothing about how fast it was."""
        self._since_s = None
