"""One clock for everything that is sent: timestamps that go on over restarts, loops and changes of the source. Pure."""

from __future__ import annotations

VIDEO_RATE = 90_000
AUDIO_RATE = 48_000
# A source whose own timestamps run away from the clock by this much has restarted, looped or stalled.
MAX_DRIFT_S = 1.0


class Timeline:
    """Maps a source's timestamps to ticks of `rate` that never go back and stay near the clock."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset = 0
        self._last: int | None = None

    def place(self, ticks: int | None, now_s: float) -> int:
        """Return the timestamp to send for one at `ticks` of the source (None: it has none), arrived at `now_s`."""
        now = round(now_s * self._rate)
        if ticks is None:
            return self._advance(now)
        placed = ticks + self._offset
        too_far = abs(placed - now) > MAX_DRIFT_S * self._rate
        if self._last is None or too_far or placed <= self._last:
            self._offset = (now if self._last is None else max(now, self._last + 1)) - ticks
        return self._advance(ticks + self._offset)

    def _advance(self, ticks: int) -> int:
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last


def to_ticks(pts: int, numerator: int, denominator: int, rate: int) -> int:
    """Convert a timestamp in units of numerator/denominator seconds to ticks of `rate`, rounded."""
    return (2 * pts * numerator * rate + denominator) // (2 * denominator)
