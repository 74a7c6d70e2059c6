"""From RTP packets of an H.265 camera to access units (RFC 7798). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from metered_realtime.media import h265
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264_rtp import DEFAULT_MAX_UNIT_BYTES, H264Assembler
from metered_realtime.media.h265_payload import H265Depacketizer
from metered_realtime.media.h265_sets import H265ParameterSets
from metered_realtime.media.video_description import VideoDescription


class H265Assembler(H264Assembler):
    """Does for H.265 what `H264Assembler` does for H.264, with the same repairs, bounds and counters.

    A key frame is an IDR, CRA or BLA picture; VPS, SPS and PPS are put before each. Units of further layers are left
    out: no browser decodes them.
    """

    def __init__(
        self,
        *,
        parameter_sets: Iterable[bytes] = (),
        payload_type: int | None = None,
        max_unit_bytes: int = DEFAULT_MAX_UNIT_BYTES,
    ) -> None:
        super().__init__(payload_type=payload_type, max_unit_bytes=max_unit_bytes)
        self._payloads = H265Depacketizer(max_bytes=max_unit_bytes)
        self._sets: H265ParameterSets = H265ParameterSets()  # type: ignore[assignment]
        for nal in parameter_sets:
            self._put_set(nal)

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture by now."""
        return VideoDescription("H265") if self._sets.sps is None else VideoDescription.of_h265(self._sets.sps)

    def _add(self, nal: bytes, out: list[AccessUnit]) -> None:
        kind = h265.nal_type(nal)
        if not h265.is_base_layer(nal):
            return
        if h265.is_slice(kind):
            if self._settle_picture(out, is_first=h265.begins_picture(nal)):
                self._is_key |= h265.is_key_slice(kind)
                self._keep(nal)
        elif kind in h265.PARAMETER_SETS:
            self._put_set(nal)
        elif kind == (h265.NAL_SEI_SUFFIX if self._has_picture else h265.NAL_SEI_PREFIX):
            self._keep(nal)
        elif kind == h265.NAL_AUD:
            self._finish(out)
