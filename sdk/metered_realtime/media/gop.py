"""The group of pictures being sent right now, kept so that a late viewer starts with a picture at once."""

from __future__ import annotations

from typing import Generic, TypeVar

from metered_realtime.media.access_unit import Unit

UnitT = TypeVar("UnitT", bound=Unit)

DEFAULT_MAX_BYTES = 4 * 1024 * 1024
DEFAULT_MAX_UNITS = 1200


class GopRing(Generic[UnitT]):
    """Units from the last key frame on, bounded in bytes and in number.

    A group that outgrows a bound is forgotten as a whole (half a group cannot be decoded): viewers that come
    then wait for the next key frame. `overflows` counts how often that happened.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_units", "_units", "overflows")

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, max_units: int = DEFAULT_MAX_UNITS) -> None:
        self._max_bytes = max_bytes
        self._max_units = max_units
        self._units: list[UnitT] = []
        self._bytes = 0
        self.overflows = 0

    @property
    def size_bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._units)

    def push(self, unit: UnitT) -> None:
        """Take the next unit of the stream; a delta with no key frame before it is not kept."""
        if unit.is_key:
            self.clear()
        elif not self._units:
            return
        if self._bytes + unit.size_bytes > self._max_bytes or len(self._units) >= self._max_units:
            self.clear()
            self.overflows += 1
            return
        self._units.append(unit)
        self._bytes += unit.size_bytes

    def snapshot(self) -> tuple[UnitT, ...]:
        """Return the units held, key frame first; empty when a newcomer must wait for the next key frame."""
        return tuple(self._units)

    def clear(self) -> None:
        """Forget the group: the source restarted, or stopped."""
        self._units.clear()
        self._bytes = 0
