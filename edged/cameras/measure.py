"""What can be told of a camera by watching its pictures for some seconds: rate, bits, key frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit


@dataclass(frozen=True, slots=True)
class Rates:
    """None where too few pictures came to tell."""

    fps: float | None
    kbps: float | None
    gop_pictures: int | None
    gop_s: float | None


class Measure:
    """Takes pictures as they come."""

    def __init__(self) -> None:
        self.pictures = 0
        self.keys = 0
        self._bytes = 0
        self._first_90k: int | None = None
        self._last_90k = 0
        self._key: tuple[int, int] | None = None
        self._gop: tuple[int, int] | None = None

    def push(self, unit: AccessUnit) -> None:
        """Take the next picture."""
        if self._first_90k is None:
            self._first_90k = unit.pts_90k
        if unit.is_key:
            self.keys += 1
            if self._key is not None:
                gop = self.pictures - self._key[0], unit.pts_90k - self._key[1]
                self._gop = gop if self._gop is None else max(self._gop, gop)
            self._key = self.pictures, unit.pts_90k
        self.pictures += 1
        self._bytes += unit.size_bytes
        self._last_90k = unit.pts_90k

    def rates(self) -> Rates:
        """Return what is known by now; of groups of pictures the longest."""
        seconds = (self._last_90k - (self._first_90k or 0)) / CLOCK_RATE
        if self.pictures < 2 or seconds <= 0:
            return Rates(None, None, None, None)
        fps = (self.pictures - 1) / seconds
        kbps = self._bytes * 8 / 1000 / seconds * (self.pictures - 1) / self.pictures
        if self._gop is None:
            return Rates(fps, kbps, None, None)
        return Rates(fps, kbps, self._gop[0], self._gop[1] / CLOCK_RATE)
