"""One clock for the tracks of a recording: a track's own timestamps, placed where its quickest pieces arrive. Pure."""

from __future__ import annotations

# Timestamps that leave the clock by more than this belong to another timeline.
MAX_DRIFT_S = 5.0
# What the sender's clock may run slow: the placing follows by this much, and no faster.
_SKEW = 0.001


class ArrivalClock:
    """Maps a track's timestamps to ticks of `rate` of the common clock; they never go back.

    What is held up on its way arrives late, never early. So the least difference of arrival and timestamp is the true
    one: a burst at the start, or after a stall, is placed where it belongs as soon as the first piece comes in time.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset: float | None = None
        self._offset_s = 0.0
        self._last_ticks: int | None = None
        self._last: int | None = None

    def restart(self) -> None:
        """Another track goes on from here, with timestamps of its own."""
        self._offset = self._last_ticks = None

    def place(self, ticks: int | None, arrived_s: float) -> int:
        """Return the time of a piece at `ticks` of its track (None: it has none) that arrived at `arrived_s`."""
        arrived = arrived_s * self._rate
        placed = arrived if ticks is None else ticks + self._offset_of(ticks, arrived, arrived_s)
        self._last = round(placed) if self._last is None else max(round(placed), self._last + 1)
        return self._last

    def _offset_of(self, ticks: int, arrived: float, arrived_s: float) -> float:
        behind = arrived - ticks
        went_back = self._last_ticks is not None and ticks < self._last_ticks
        self._last_ticks = ticks
        if self._offset is None or went_back or abs(behind - self._offset) > MAX_DRIFT_S * self._rate:
            self._offset = behind
        else:
            skew = max(0.0, arrived_s - self._offset_s) * _SKEW * self._rate
            self._offset = min(self._offset + skew, behind)
        self._offset_s = arrived_s
        return self._offset
