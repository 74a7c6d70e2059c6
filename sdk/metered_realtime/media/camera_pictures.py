"""Pictures of a local camera, in whatever format it gives them, to frames as encoders take them. Blocking."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.annex_b_units import AnnexBUnits
from metered_realtime.media.decoding import VideoDecoder
from metered_realtime.media.source_errors import SourceFormatError
from metered_realtime.media.v4l2 import PictureFormat
from metered_realtime.media.v4l2_device import CapturedPicture
from metered_realtime.media.v4l2_formats import GREY, H264, JPEG_FORMATS, RAW_FORMATS, tight_picture

_TIME_BASE = Fraction(1, CLOCK_RATE)
_FFMPEG_NAMES = RAW_FORMATS | GREY


class PictureDecoder:
    """Decodes one format; a new format takes a new one. Raises SourceFormatError for one it cannot decode."""

    def __init__(self, picture: PictureFormat, clock: Callable[[], float] = time.monotonic) -> None:
        self.damaged_pictures = 0
        self._picture = picture
        self._clock = clock
        self._units = AnnexBUnits()
        self._h264 = VideoDecoder()
        self._codec: Any = None
        if picture.fourcc in JPEG_FORMATS:
            self._codec = av.CodecContext.create("mjpeg", "r")
        elif picture.fourcc in _FFMPEG_NAMES:
            self._codec = av.CodecContext.create("rawvideo", "r")
            self._codec.width, self._codec.height = picture.width, picture.height
            self._codec.pix_fmt = _FFMPEG_NAMES[picture.fourcc]
        elif picture.fourcc != H264:
            raise SourceFormatError(f"the camera gives pictures as {picture.fourcc}, which cannot be used here")

    def decode(self, captured: CapturedPicture) -> list[Any]:
        """Return the frame in a picture, as yuv420p on a clock of 90 kHz; none for one that is damaged."""
        at_s = captured.stamp_s if captured.stamp_s is not None else self._clock()
        if self._codec is None:
            unit = self._units.push(captured.data, at_s)
            return [] if unit is None else self._h264.decode(unit)
        frames: list[Any] = []
        # Brought to one format once, here, and not in the encoder of every viewer.
        with contextlib.suppress(av.FFmpegError):
            frames = [self._as_encoders_like(frame) for frame in self._decode(captured.data)]
        self.damaged_pictures += not frames
        for frame in frames:
            frame.pts, frame.time_base = round(at_s * CLOCK_RATE), _TIME_BASE
        return frames

    def _decode(self, data: bytes) -> list[Any]:
        whole = tight_picture(data, self._picture) if self._picture.fourcc in _FFMPEG_NAMES else data
        return [] if whole is None else list(self._codec.decode(av.Packet(whole)))

    def _as_encoders_like(self, frame: Any) -> Any:
        return frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
