"""How pictures are to be encoded: checked values, and the size a picture gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VideoCodec = Literal["H264", "VP8"]

# The first of them that this FFmpeg has is taken.
SOFTWARE_ENCODERS: dict[str, tuple[str, ...]] = {"H264": ("libx264", "libopenh264"), "VP8": ("libvpx",)}
AUTO_ENCODER = "auto"
MIN_SIDE = 16
MAX_SIDE = 8192


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """`encoder` names an encoder of FFmpeg to try first, "auto" is the hardware of this machine that proves to work,
    if there is any; None is the software encoder of the codec, which also follows where the others fail.

    `max_size` (width, height) bounds the picture, which is scaled down keeping its shape, never up.
    Raises ValueError for what no encoder takes.
    """

    codec: VideoCodec = "H264"
    bitrate_bps: int = 1_500_000
    fps: int = 30
    key_frame_interval_s: float = 10.0
    max_size: tuple[int, int] | None = None
    encoder: str | None = None

    def __post_init__(self) -> None:
        if self.codec not in SOFTWARE_ENCODERS:
            raise ValueError(f"codec must be 'H264' or 'VP8', not {self.codec!r}")
        if not 10_000 <= self.bitrate_bps <= 200_000_000:
            raise ValueError(f"bitrate_bps must be from 10000 to 200000000 bits per second, not {self.bitrate_bps!r}")
        if not 1 <= self.fps <= 240:
            raise ValueError(f"fps must be from 1 to 240 pictures per second, not {self.fps!r}")
        if not 0.1 <= self.key_frame_interval_s <= 600:
            raise ValueError(f"key_frame_interval_s must be from 0.1 to 600 seconds, not {self.key_frame_interval_s!r}")
        if self.max_size is not None and min(self.max_size) < MIN_SIDE:
            raise ValueError(f"max_size must be at least {MIN_SIDE}x{MIN_SIDE} pixels, not {self.max_size!r}")

    @property
    def mime_type(self) -> str:
        """The codec's name in SDP (RFC 6184 section 8.1, RFC 7741 section 6.1)."""
        return f"video/{self.codec}"

    @property
    def gop_pictures(self) -> int:
        """Pictures from one key frame to the next."""
        return max(1, round(self.fps * self.key_frame_interval_s))


def fitted_size(width: int, height: int, max_size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size to encode at: inside `max_size`, of the same shape, and even, as 4:2:0 chroma must be.

    Raises ValueError for a picture too small or too large to encode.
    """
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} cannot be encoded: {MIN_SIDE} to {MAX_SIDE} pixels a side")
    scale = 1.0 if max_size is None else min(1.0, max_size[0] / width, max_size[1] / height)
    return _even(width * scale), _even(height * scale)


def _even(side: float) -> int:
    return max(MIN_SIDE, int(side + 1e-6) // 2 * 2)
