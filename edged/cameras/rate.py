"""How much passes by, in bits and pieces per second. Pure."""

from __future__ import annotations

WINDOW_S = 5.0


class Rate:
    """Of the last full window; of the first one as far as it has come."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._last_s = 0.0
        self._bytes = 0
        self._pieces = 0
        self._bps: float | None = None
        self._per_s: float | None = None

    def add(self, now_s: float, size_bytes: int) -> None:
        """Something passed."""
        if self._since_s is None:
            self._since_s = now_s
        elif (window_s := now_s - self._since_s) >= WINDOW_S:
            self._bps = self._bytes * 8 / window_s
            self._per_s = self._pieces / window_s
            self._since_s, self._bytes, self._pieces = now_s, 0, 0
        self._bytes += size_bytes
        self._pieces += 1
        self._last_s = now_s

    def stopped(self) -> None:
        """What comes next begins a window of its own."""
        self._bps = self.bps() or None
        self._per_s = self.per_s() or None
        self._since_s, self._bytes, self._pieces = None, 0, 0

    def bps(self) -> float:
        """Return the rate, 0.0 before there is one; of what stopped, the last there was."""
        if self._bps is not None:
            return self._bps
        span_s = self._last_s - (self._since_s or 0.0)
        return self._bytes * 8 / span_s if span_s > 0 else 0.0

    def per_s(self) -> float:
        """Return how many pieces passed in a second, 0.0 before there are two; of what stopped, the last there was."""
        if self._per_s is not None:
            return self._per_s
        span_s = self._last_s - (self._since_s or 0.0)
        return (self._pieces - 1) / span_s if self._pieces > 1 and span_s > 0 else 0.0
