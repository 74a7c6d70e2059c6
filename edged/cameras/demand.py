"""When a camera is to be open: from its first viewer until `linger_s` after its last, or always when kept warm."""

from __future__ import annotations


class Demand:
    """Times are seconds of any clock that only goes forward."""

    def __init__(self, *, linger_s: float, keep_warm: bool) -> None:
        self._linger_s = linger_s
        self._keep_warm = keep_warm
        self._watched = False
        self._until_s: float | None = None

    def watch(self, now_s: float, *, watched: bool) -> None:
        """Somebody watches, or nobody does any more."""
        if self._watched and not watched:
            self._until_s = now_s + self._linger_s
        self._watched = watched

    def wanted(self, now_s: float) -> bool:
        """True while the camera is to be open."""
        if self._keep_warm or self._watched:
            return True
        return self._until_s is not None and now_s < self._until_s

    def changes_in_s(self, now_s: float) -> float | None:
        """Seconds until `wanted` turns false with no further call; None if it will not."""
        if self._keep_warm or self._watched or self._until_s is None or now_s >= self._until_s:
            return None
        return self._until_s - now_s
