"""One reader's bounded queue of units: a reader that lags loses whole tails of groups and slows nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from metered_realtime.media.access_unit import Unit

UnitT = TypeVar("UnitT", bound=Unit)

DEFAULT_MAX_BYTES = 4 * 1024 * 1024
DEFAULT_MAX_UNITS = 90


class ReaderQueue(Generic[UnitT]):
    """Units on their way to one reader; what comes out is always decodable without a gap.

    When a live unit does not fit, it and all that follow are dropped up to the next key frame; that key
    frame also replaces whatever still waits, so that a slow reader returns to live. The burst a newcomer
    is started with is already bounded by the ring it comes from and does not count against the bounds.
    """

    __slots__ = (
        "_burst", "_burst_bytes", "_bytes", "_lagging", "_max_bytes", "_max_units", "_units", "_wait_for_key",
        "dropped_units", "overflows",
    )  # fmt: skip

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, max_units: int = DEFAULT_MAX_UNITS) -> None:
        self._max_bytes = max_bytes
        self._max_units = max_units
        self._units: deque[UnitT] = deque()
        self._bytes = 0
        self._burst = 0
        self._burst_bytes = 0
        self._wait_for_key = True
        self._lagging = False
        self.dropped_units = 0
        self.overflows = 0

    def __len__(self) -> int:
        return len(self._units)

    @property
    def in_burst(self) -> bool:
        """True while the next unit belongs to the starting burst."""
        return self._burst > 0

    def start(self, units: Iterable[UnitT]) -> None:
        """Begin with a group of pictures (`GopRing.snapshot`); an empty one waits for the next key frame."""
        self._units = deque(units)
        self._burst = len(self._units)
        self._burst_bytes = self._bytes = sum(unit.size_bytes for unit in self._units)
        self._wait_for_key = not self._units

    def push(self, unit: UnitT) -> bool:
        """Take a live unit; True if it was queued. `dropped_units` counts what a lagging reader loses."""
        if not self._wait_for_key and not self._has_room_for(unit):
            self.overflows += 1
            self._wait_for_key = self._lagging = True
        if self._wait_for_key:
            if not unit.is_key:
                self.dropped_units += self._lagging
                return False
            self._drop_backlog()
            self._wait_for_key = self._lagging = False
        self._units.append(unit)
        self._bytes += unit.size_bytes
        return True

    def lets_pass(self, unit: UnitT) -> bool:
        """Tell whether a live unit may go past the queue, which is empty then: as if pushed and popped at once."""
        if self._units:
            return False
        if self._wait_for_key:
            if not unit.is_key:
                self.dropped_units += self._lagging
                return False
            self._wait_for_key = self._lagging = False
        return True

    def pop(self) -> UnitT | None:
        """Return the next unit, or None when there is none yet."""
        if not self._units:
            return None
        unit = self._units.popleft()
        self._bytes -= unit.size_bytes
        if self._burst:
            self._burst -= 1
            self._burst_bytes -= unit.size_bytes
        return unit

    def wait_for_key(self) -> None:
        """The stream is interrupted here: what is queued still counts, then the next key frame."""
        self._wait_for_key = True

    def clear(self) -> None:
        """Forget everything queued and wait for the next key frame."""
        self._units.clear()
        self._bytes = self._burst = self._burst_bytes = 0
        self._wait_for_key = True

    def _has_room_for(self, unit: UnitT) -> bool:
        live_units = len(self._units) - self._burst
        live_bytes = self._bytes - self._burst_bytes
        # A single unit larger than the bound still passes through an empty queue.
        return live_units < self._max_units and (live_units == 0 or live_bytes + unit.size_bytes <= self._max_bytes)

    def _drop_backlog(self) -> None:
        self.dropped_units += len(self._units)
        self._units.clear()
        self._bytes = self._burst = self._burst_bytes = 0
