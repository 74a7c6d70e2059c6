"""The timestamps of a sound that is passed on: the camera's own steps, over silences, stalls and restarts. Pure.

Receivers play what the timestamps say: a step that the sound has not made is heard, so clocks that drift are let drift.
"""

from __future__ import annotations

from metered_realtime.media.arrival_line import ArrivalLine

# Sound that is ahead of its own time by this much is counted anew: a camera that was restarted, or set its clock.
MAX_AHEAD_S = 1.0


class SoundLine:
    """Maps ticks of `rate` on the camera's line of time to ticks that always rise."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._arrivals = ArrivalLine()
        self._offset = 0
        self._last: tuple[int | None, int, float] | None = None

    def place(self, ticks: int | None, now_s: float) -> int:
        """Return the timestamp of sound at `ticks` (None: it has none) that arrived at `now_s`."""
        if self._last is None:
            placed = round(now_s * self._rate)
        elif ticks is None or self._begins_anew(ticks, now_s):
            _, last, last_s = self._last
            placed = last + max(1, round((now_s - last_s) * self._rate))
        else:
            placed = max(ticks + self._offset, self._last[1] + 1)
        if ticks is not None:
            self._offset = placed - ticks
            self._arrivals.place(ticks / self._rate, now_s)
        self._last = ticks, placed, now_s
        return placed

    def _begins_anew(self, ticks: int, now_s: float) -> bool:
        before = None if self._last is None else self._last[0]
        if before is None:
            return True
        offset_s = self._arrivals.offset_s
        is_ahead = offset_s is not None and now_s - ticks / self._rate < offset_s - MAX_AHEAD_S
        if is_ahead or ticks <= before:
            self._arrivals.forget()
            return True
        return False
