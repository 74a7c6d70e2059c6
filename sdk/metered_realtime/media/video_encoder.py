"""One encoder for live pictures: frames of any size and format in, complete access units out. Blocks: for a thread."""

from __future__ import annotations

import logging
import os
from fractions import Fraction
from typing import Any

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.h264 import NAL_PPS, NAL_SPS, join_annex_b, nal_type, split_annex_b
from metered_realtime.media.video_settings import EncoderSettings, fitted_size

_TIME_BASE = Fraction(1, CLOCK_RATE)
_PARAMETER_SETS = (NAL_SPS, NAL_PPS)
_SMALL_PIXELS = 640 * 480

_log = logging.getLogger(__name__)


class VideoEncoder:
    """Encodes one stream; opens FFmpeg's encoder with the first frame, and again when the size of the frames changes.

    An encoder that was asked for by name and cannot be opened gives way to the software encoder, once and for good.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._names = settings.encoder_names
        self._codec: Any = None
        self._sets: list[bytes] = []
        self.size: tuple[int, int] | None = None

    @property
    def name(self) -> str | None:
        """The encoder in use."""
        return str(self._codec.name) if self._codec is not None else None

    def encode(self, frame: av.VideoFrame, pts_90k: int, *, force_key: bool = False) -> list[AccessUnit]:
        """Return what the encoder has ready, which is one unit per frame unless it holds frames back.

        `frame` stays as it is. Raises av.FFmpegError or ValueError where it cannot be encoded; the next may be.
        """
        size = fitted_size(frame.width, frame.height, self._settings.max_size)
        picture = _prepared(frame, size)
        picture.pts, picture.time_base = pts_90k, _TIME_BASE
        if self._codec is None or size != self.size:
            self._open(size)
            force_key = True
        picture.pict_type = PictureType.I if force_key else PictureType.NONE
        try:
            packets = self._codec.encode(picture)
        except av.FFmpegError:
            self.close()
            raise
        return [self._unit(packet, pts_90k) for packet in packets]

    def close(self) -> None:
        """Free the encoder and its threads; the next frame opens it anew."""
        self._codec = None
        self.size = None

    def _open(self, size: tuple[int, int]) -> None:
        self.close()
        while True:
            try:
                self._codec = _opened(self._names[0], self._settings, size)
            except (av.FFmpegError, ValueError) as error:
                if len(self._names) == 1:
                    raise
                _log.warning(
                    "the encoder %s cannot be opened (%s); using %s instead", self._names[0], error, self._names[1]
                )
                self._names = self._names[1:]
            else:
                self.size = size
                return

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


def _opened(name: str, settings: EncoderSettings, size: tuple[int, int]) -> Any:
    codec: Any = av.CodecContext.create(name, "w")
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.time_base = _TIME_BASE
    codec.framerate = Fraction(settings.fps)
    codec.bit_rate = settings.bitrate_bps
    codec.gop_size = settings.gop_pictures
    codec.max_b_frames = 0
    codec.thread_count = 1 if size[0] * size[1] <= _SMALL_PIXELS else min(4, os.cpu_count() or 1)
    rate = str(settings.bitrate_bps)
    if name == "libx264":
        codec.profile = "Baseline"
        codec.options = {
            "preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "maxrate": rate, "bufsize": rate,
        }  # fmt: skip
    elif name == "libvpx":
        codec.qmin, codec.qmax = 2, 63
        codec.options = {
            "deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "static-thresh": "1", "bufsize": rate,
            "minrate": rate, "maxrate": rate, "undershoot-pct": "100", "overshoot-pct": "15", "partitions": "0",
        }  # fmt: skip
    codec.open()
    return codec


def _prepared(frame: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
    """Return a frame of our own in the encoder's format: others may hold this one, and encoding writes into it."""
    is_full_range = frame.color_range == ColorRange.JPEG
    if frame.format.name == "yuv420p" and (frame.width, frame.height) == size and not is_full_range:
        return _copied(frame)
    return frame.reformat(
        width=size[0],
        height=size[1],
        format="yuv420p",
        dst_color_range=ColorRange.MPEG if is_full_range else None,
        interpolation="FAST_BILINEAR",
    )


def _copied(frame: av.VideoFrame) -> av.VideoFrame:
    copy = av.VideoFrame(frame.width, frame.height, "yuv420p")
    for plane, target in zip(frame.planes, copy.planes, strict=True):
        source, lines = memoryview(plane), memoryview(target)
        if plane.line_size == target.line_size and len(source) == len(lines):
            lines[:] = source
            continue
        for line in range(plane.height):
            at, to = line * plane.line_size, line * target.line_size
            lines[to : to + plane.width] = source[at : at + plane.width]
    return copy
