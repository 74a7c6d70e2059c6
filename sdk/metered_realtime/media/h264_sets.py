"""The SPS and PPS a decoder needs, wherever the camera puts them: in the SDP, before each key frame, or once."""

from __future__ import annotations

from metered_realtime.media.h264 import NAL_SPS, nal_type, parameter_set_id
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sps import Sps, parse_sps

_MAX_SETS = 32
_MAX_SET_BYTES = 4096


class ParameterSets:
    """Keeps the newest parameter set of each id and says which ones the next picture must carry.

    `sps` is the newest SPS that could be read, None before the first.
    """

    __slots__ = ("_changed", "_fresh", "_kept", "sps")

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], bytes] = {}
        self._fresh: dict[tuple[int, int], bytes] = {}
        self._changed: set[tuple[int, int]] = set()
        self.sps: Sps | None = None

    def put(self, nal: bytes) -> bool:
        """Take an SPS or PPS. True if it replaces an SPS by a different one: only a key frame may follow.

        Raises H264Error if it cannot be one.
        """
        if len(nal) > _MAX_SET_BYTES:
            raise H264Error("a parameter set is too large")
        kind = nal_type(nal)
        key = (kind, parameter_set_id(nal))
        known = self._kept.get(key)
        replaces_sps = False
        if known != nal:
            if kind == NAL_SPS:
                self.sps = parse_sps(nal)
                replaces_sps = known is not None
            self._kept[key] = nal
            self._changed.add(key)
            while len(self._kept) > _MAX_SETS:
                del self._kept[next(iter(self._kept))]
        self._fresh[key] = nal
        while len(self._fresh) > _MAX_SETS:
            del self._fresh[next(iter(self._fresh))]
        return replaces_sps

    def for_key(self) -> list[bytes] | None:
        """Return the sets to put before a key frame, SPS first; None while a kind of them is missing.

        Where the camera sent both kinds since the last picture, those are the whole truth: older ones go.
        """
        if len({kind for kind, _ in self._fresh}) == 2:
            self._kept = dict(self._fresh)
        self._fresh.clear()
        self._changed.clear()
        if len({kind for kind, _ in self._kept}) < 2:
            return None
        return [self._kept[key] for key in sorted(self._kept)]

    def for_delta(self, *, hold: bool) -> list[bytes] | None:
        """Return the sets that changed since the last picture: a camera may change a PPS between key frames.

        On `hold` the picture will not be given: None, and the sets stay for the one that will.
        """
        if hold:
            return None
        if not self._fresh:
            return []
        nals = [self._fresh[key] for key in sorted(self._fresh) if key in self._changed]
        self._fresh.clear()
        self._changed.clear()
        return nals
