"""What a camera's picture is like, as far as it is known before the first one is shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from metered_realtime.media.h264_sps import Sps
from metered_realtime.media.h265_sps import H265Sps


@dataclass(frozen=True, slots=True)
class VideoDescription:
    """What the camera sends. None where the camera has not told yet (parameter sets not in its SDP) or leaves it open.

    `has_b_frames`: pictures come in another order than they are shown; browsers play such a stream badly.
    """

    codec: str
    width: int | None = None
    height: int | None = None
    profile: str | None = None
    level: str | None = None
    chroma_format: str | None = None
    profile_level_id: str | None = None
    has_b_frames: bool | None = None
    bit_depth: int | None = None

    @classmethod
    def of(cls, sps: Sps, *, has_b_frames: bool | None) -> VideoDescription:
        """Describe H.264 by its sequence parameter set."""
        return cls(
            "H264",
            sps.width,
            sps.height,
            sps.profile,
            sps.level,
            sps.chroma_format,
            sps.profile_level_id,
            has_b_frames,
            sps.bit_depth,
        )

    @classmethod
    def of_h265(cls, sps: H265Sps) -> VideoDescription:
        """Describe H.265 by its sequence parameter set."""
        return cls(
            "H265",
            sps.width,
            sps.height,
            sps.profile,
            sps.level,
            sps.chroma_format,
            has_b_frames=sps.has_b_frames,
            bit_depth=sps.bit_depth,
        )
