"""When what arrives was made, as well as arrivals tell: the line that no packet is earlier than. Pure."""

from __future__ import annotations

# The earliest arrival of this long counts; a path that has become slower is believed after one to two of them.
WINDOW_S = 10.0
# How fast the line follows a path that has become slower, or a clock that runs slow.
RISE_PER_S = 0.005


class ArrivalLine:
    """Maps a source's own time to the clock of arrivals: bursts, stalls and jitter delay packets, nothing hurries them.

    `offset_s` is what to add to the source's time; None before the first arrival.
    """

    def __init__(self) -> None:
        self.offset_s: float | None = None
        self._began_s = self._last_s = 0.0
        self._earliest: tuple[float, float] = (0.0, 0.0)

    def place(self, source_s: float, now_s: float) -> float:
        """Take one arrival; return when it was made, were the way here as short as ever."""
        delay_s = now_s - source_s
        if self.offset_s is None:
            self._begin(delay_s, now_s)
        if now_s - self._began_s >= WINDOW_S:
            self._earliest = (self._earliest[1], delay_s)
            self._began_s = now_s
        self._earliest = (self._earliest[0], min(self._earliest[1], delay_s))
        assert self.offset_s is not None
        risen_s = self.offset_s + RISE_PER_S * (now_s - self._last_s)
        self.offset_s = min(*self._earliest, risen_s)
        self._last_s = now_s
        return source_s + self.offset_s

    def forget(self) -> None:
        """The source's time has changed: begin anew."""
        self.offset_s = None

    def _begin(self, delay_s: float, now_s: float) -> None:
        self.offset_s = delay_s
        self._earliest = (delay_s, delay_s)
        self._began_s = self._last_s = now_s
