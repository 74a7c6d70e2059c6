"""From a camera's own H.264, one picture a buffer, to access units that anybody can start with. Pure."""

from __future__ import annotations

from metered_realtime.media import h264
from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sets import ParameterSets

_LEFT_OUT = (h264.NAL_AUD, 10, 11, 12)
"""Delimiters, end marks and filler: nobody needs them."""


class AnnexBUnits:
    """Puts parameter sets before every key frame, and gives nothing before the first, which is at 0."""

    def __init__(self) -> None:
        self.dropped_units = 0
        self._sets = ParameterSets()
        self._hold = True
        self._first_s: float | None = None
        self._last_90k = 0

    def push(self, data: bytes, at_s: float) -> AccessUnit | None:
        """Take one picture, stamped `at_s`; None for one that cannot be shown yet, or is none."""
        nals: list[bytes] = []
        has_picture = is_key = False
        try:
            for nal in h264.split_annex_b(data):
                kind = h264.nal_type(nal)
                if kind in (h264.NAL_SPS, h264.NAL_PPS):
                    self._hold |= self._sets.put(nal)
                elif kind not in _LEFT_OUT:
                    nals.append(nal)
                    has_picture |= h264.NAL_SLICE <= kind <= h264.NAL_IDR
                    is_key |= kind == h264.NAL_IDR or (kind == h264.NAL_SEI and h264.is_exact_recovery_point(nal))
        except H264Error:
            has_picture = False
        if not has_picture:
            self.dropped_units += 1
            return None
        sets = self._sets.for_key() if is_key else self._sets.for_delta(hold=self._hold)
        if sets is None:
            self.dropped_units += 1
            self._hold = True
            return None
        self._hold = False
        if self._first_s is None:
            self._first_s = at_s
        self._last_90k = max(self._last_90k, round((at_s - self._first_s) * CLOCK_RATE))
        return AccessUnit(h264.join_annex_b(sets + nals), self._last_90k, is_key)
