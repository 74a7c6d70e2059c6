"""One encoder for live pictures: frames of any size and format in, complete access units out. Blocks: for a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoder_ladder import Rung, ladder
from metered_realtime.media.encoder_open import TIME_BASE, open_encoder
from metered_realtime.media.h264 import NAL_PPS, NAL_SPS, join_annex_b, nal_type, split_annex_b
from metered_realtime.media.hardware_encoders import HARDWARE, HardwareEncoders
from metered_realtime.media.video_settings import EncoderSettings, fitted_size

_PARAMETER_SETS = (NAL_SPS, NAL_PPS)
# Hardware holds a few pictures back; one that holds back so many gives nothing at all.
_MAX_HELD_PICTURES = 30

_log = logging.getLogger(__name__)


class VideoEncoder:
    """Encodes one stream; opens FFmpeg's encoder with the first frame, and again when the size of the frames changes.

    Any other than the software encoder that cannot be opened, fails, or gives nothing gives way to that, for good.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        *,
        hardware: HardwareEncoders = HARDWARE,
        open_codec: Callable[[str, str, EncoderSettings, tuple[int, int]], Any] = open_encoder,
    ) -> None:
        self._settings = settings
        self._hardware = hardware
        self._open_codec = open_codec
        self._rungs: list[Rung] = []
        self._codec: Any = None
        self._pixel_format = ""
        self._held = 0
        self._sets: list[bytes] = []
        self.size: tuple[int, int] | None = None

    @property
    def name(self) -> str | None:
        """The encoder in use."""
        return str(self._codec.name) if self._codec is not None else None

    @property
    def trying(self) -> str | None:
        """The encoder in use, or being opened; None while none has been chosen."""
        return self._rungs[0].encoder if self._rungs else None

    def encode(self, frame: av.VideoFrame, pts_90k: int, *, force_key: bool = False) -> list[AccessUnit]:
        """Return what the encoder has ready, which is one unit per frame unless it holds frames back.

        `frame` stays as it is. Raises av.FFmpegError or ValueError where it cannot be encoded; the next may be.
        """
        size = fitted_size(frame.width, frame.height, self._settings.max_size)
        while True:
            if self._codec is None or size != self.size:
                self._open(size)
                force_key = True
            picture = _prepared(frame, size, self._pixel_format)
            picture.pts, picture.time_base = pts_90k, TIME_BASE
            picture.pict_type = PictureType.I if force_key else PictureType.NONE
            try:
                packets = self._codec.encode(picture)
            except av.FFmpegError as error:
                self.close()
                if len(self._rungs) == 1:
                    raise
                self._hardware.failed(self._rungs[0].encoder)
                self._step_down(f"failed ({error.strerror})")
                continue
            self._held = 0 if packets else self._held + 1
            if self._held <= _MAX_HELD_PICTURES or len(self._rungs) == 1:
                return [self._unit(packet, pts_90k) for packet in packets]
            self.close()
            self._hardware.failed(self._rungs[0].encoder)
            self._step_down(f"took {self._held} pictures and gave none")

    def close(self) -> None:
        """Free the encoder and its threads; the next frame opens it anew."""
        self._codec = None
        self.size = None

    def _open(self, size: tuple[int, int]) -> None:
        self.close()
        self._held = 0
        self._rungs = self._rungs or ladder(self._settings, self._hardware)
        while True:
            try:
                self._open_in_some_format(size)
            except (av.FFmpegError, ValueError) as error:
                if len(self._rungs) == 1:
                    raise
                self._step_down(f"cannot be opened ({error})")
            else:
                self.size = size
                return

    def _open_in_some_format(self, size: tuple[int, int]) -> None:
        name, formats = self._rungs[0].encoder, self._rungs[0].pixel_formats
        for pixel_format in formats:
            try:
                self._codec = self._open_codec(name, pixel_format, self._settings, size)
            except (av.FFmpegError, ValueError):
                if pixel_format == formats[-1]:
                    raise
            else:
                self._pixel_format = pixel_format
                return

    def _step_down(self, why: str) -> None:
        _log.warning("the encoder %s %s; using %s instead", self._rungs[0].encoder, why, self._rungs[1].encoder)
        self._rungs = self._rungs[1:]

    def _unit(self, packet: Any, pts_90k: int) -> AccessUnit:
        data, is_key = bytes(packet), bool(packet.is_keyframe)
        if is_key and self._settings.codec == "H264":
            data = self._with_sets(data)
        return AccessUnit(data, packet.pts if packet.pts is not None else pts_90k, is_key)

    def _with_sets(self, data: bytes) -> bytes:
        """A newcomer starts at any key frame, and some hardware gives the parameter sets only with its first."""
        sets = [nal for nal in split_annex_b(data) if nal_type(nal) in _PARAMETER_SETS]
        if len({nal_type(nal) for nal in sets}) == 2:
            self._sets = sets
            return data
        known = self._sets or split_annex_b(bytes(self._codec.extradata or b""))
        return join_annex_b(known) + data if known else data


def _prepared(frame: av.VideoFrame, size: tuple[int, int], pixel_format: str) -> av.VideoFrame:
    """Return a frame of our own in the encoder's format: others may hold this one, and encoding writes into it."""
    is_full_range = frame.color_range == ColorRange.JPEG
    if frame.format.name == pixel_format and (frame.width, frame.height) == size and not is_full_range:
        return _copied(frame)
    return frame.reformat(
        width=size[0],
        height=size[1],
        format=pixel_format,
        dst_color_range=ColorRange.MPEG if is_full_range else None,
        interpolation="FAST_BILINEAR",
    )


def _copied(frame: av.VideoFrame) -> av.VideoFrame:
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for plane, target in zip(frame.planes, copy.planes, strict=True):
        source, lines = memoryview(plane), memoryview(target)
        if plane.line_size == target.line_size and len(source) == len(lines):
            lines[:] = source
            continue
        row_bytes = min(plane.line_size, target.line_size)
        for row in range(plane.height):
            at, to = row * plane.line_size, row * target.line_size
            lines[to : to + row_bytes] = source[at : at + row_bytes]
    return copy
