"""FFmpeg's encoders by name, each opened for pictures that are looked at while they are taken. Blocking."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.video_settings import EncoderSettings

TIME_BASE = Fraction(1, CLOCK_RATE)
_SMALL_PIXELS = 640 * 480
# Encoders that want their pictures in the device's memory: FFmpeg takes them there.
_DEVICE_KINDS = {"h264_vaapi": "vaapi"}
_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"},
    "libopenh264": {"allow_skip_frames": "1", "rc_mode": "bitrate"},
    "libvpx": {
        "deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "static-thresh": "1",
        "undershoot-pct": "100", "overshoot-pct": "15", "partitions": "0",
    },
    "h264_nvenc": {"preset": "p2", "tune": "ull", "zerolatency": "1", "delay": "0", "rc": "cbr", "forced-idr": "1"},
    "h264_qsv": {"preset": "veryfast", "async_depth": "1", "look_ahead": "0", "forced_idr": "1"},
    "h264_vaapi": {"async_depth": "1"},
}  # fmt: skip
# One rate for all pictures of a group, so that a key frame is no burst; hardware has its own ways.
_BOUND_RATE = {"libx264": ("maxrate", "bufsize"), "libvpx": ("maxrate", "bufsize", "minrate")}
_BASELINE = ("libx264", "h264_v4l2m2m", "h264_qsv")


def open_encoder(name: str, pixel_format: str, settings: EncoderSettings, size: tuple[int, int]) -> Any:
    """Return the open codec context. Raises av.FFmpegError or ValueError where there is none, or it takes no such."""
    codec: Any = av.CodecContext.create(name, "w", hwaccel=_device(name))
    codec.width, codec.height = size
    codec.pix_fmt = pixel_format
    codec.time_base = TIME_BASE
    codec.framerate = Fraction(settings.fps)
    codec.bit_rate = settings.bitrate_bps
    codec.gop_size = settings.gop_pictures
    codec.max_b_frames = 0
    codec.thread_count = 1 if size[0] * size[1] <= _SMALL_PIXELS else min(4, os.cpu_count() or 1)
    if name in _BASELINE:
        codec.profile = "Baseline"
    if name == "libvpx":
        codec.qmin, codec.qmax = 2, 63
    rate = dict.fromkeys(_BOUND_RATE.get(name, ()), str(settings.bitrate_bps))
    codec.options = _OPTIONS.get(name, {}) | rate
    codec.open()
    return codec


def _device(name: str) -> Any:
    kind = _DEVICE_KINDS.get(name)
    if kind is None:
        return None
    from av.codec.hwaccel import HWAccel  # noqa: PLC0415 - of no use without such a device

    try:
        return HWAccel(kind, allow_software_fallback=False)
    except (LookupError, NotImplementedError) as error:
        raise ValueError(f"this FFmpeg knows no {kind} device") from error
