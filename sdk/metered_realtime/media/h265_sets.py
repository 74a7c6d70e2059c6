"""The VPS, SPS and PPS an H.265 decoder needs, wherever the camera puts them. Pure."""

from __future__ import annotations

from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h265 import NAL_SPS, PARAMETER_SETS, nal_type
from metered_realtime.media.h265_sps import H265Sps, parameter_set_id, parse_sps

_MAX_SETS = 32
_MAX_SET_BYTES = 4096

_Key = tuple[int, int]


class H265ParameterSets:
    """Keeps the newest parameter set of each kind and id, as `h264_sets.ParameterSets` does with its two kinds."""

    __slots__ = ("_changed", "_fresh", "_kept", "sps")

    def __init__(self) -> None:
        self._kept: dict[_Key, bytes] = {}
        self._fresh: dict[_Key, bytes] = {}
        self._changed: set[_Key] = set()
        self.sps: H265Sps | None = None

    def put(self, nal: bytes) -> bool:
        """Take a VPS, SPS or PPS. True if it replaces an SPS by a different one: only a key frame may follow.

        Raises H264Error if it cannot be one.
        """
        kind = nal_type(nal)
        if kind not in PARAMETER_SETS or len(nal) > _MAX_SET_BYTES:
            raise H264Error("this is no parameter set, or too large for one")
        key = (kind, parameter_set_id(nal))
        before = self._kept.get(key)
        if before != nal:
            if kind == NAL_SPS:
                self.sps = parse_sps(nal)
            _put(self._kept, key, nal)
            self._changed.add(key)
        _put(self._fresh, key, nal)
        return kind == NAL_SPS and before not in (None, nal)

    def for_key(self) -> list[bytes] | None:
        """Return the sets to put before a key frame, in the order VPS, SPS, PPS; None while a kind is missing.

        Where the camera sent all kinds since the last picture, those are the whole truth: older ones go.
        """
        if _is_complete(self._fresh):
            self._kept = dict(self._fresh)
        self._settle()
        return [self._kept[key] for key in sorted(self._kept)] if _is_complete(self._kept) else None

    def for_delta(self, *, hold: bool) -> list[bytes] | None:
        """Return the sets that changed since the last picture; None on `hold`, where the picture will not be given."""
        if hold:
            return None
        nals = [nal for key, nal in sorted(self._fresh.items()) if key in self._changed]
        self._settle()
        return nals

    def _settle(self) -> None:
        self._fresh.clear()
        self._changed.clear()


def _put(sets: dict[_Key, bytes], key: _Key, nal: bytes) -> None:
    sets[key] = nal
    while len(sets) > _MAX_SETS:
        del sets[next(iter(sets))]


def _is_complete(sets: dict[_Key, bytes]) -> bool:
    return {kind for kind, _ in sets} == set(PARAMETER_SETS)
