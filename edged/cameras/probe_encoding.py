"""What `edged probe` finds out with FFmpeg: a camera's own coding where it is not H.264, and which encoder there is."""

from __future__ import annotations

import time
from typing import Any

from edged.cameras.measure import Measure
from edged.cameras.pictures import address_with_login, tls_of
from edged.cameras.report import rate_facts
from edged.settings import CameraSettings
from edged.settings_checks import camera_source_kind
from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.ffmpeg_input import FfmpegInput
from metered_realtime.media.hardware_encoders import HARDWARE, HardwareEncoders
from metered_realtime.media.rtsp_source import ffmpeg_options, shown_address

_NAMES = {"hevc": "H265", "h264": "H264", "mjpeg": "MJPEG", "mpeg4": "MPEG-4", "av1": "AV1", "vp9": "VP9", "vp8": "VP8"}
_ENOUGH_S = 2.0


def coding_facts(settings: CameraSettings, within_s: float) -> dict[str, Any]:
    """Return what FFmpeg says of an RTSP camera or a file, nothing of anything else. Blocks. Raises SourceError."""
    source = settings.source.reveal().strip()
    kind = camera_source_kind(source)
    if kind in ("rtsp", "rtsps"):
        url = address_with_login(settings)
        options = ffmpeg_options(url, settings.transport, tls_of(settings))
        what = FfmpegInput(url, f"the camera at {shown_address(url)}", options=options, timeout_s=settings.timeout_s)
    elif kind == "file":
        what = FfmpegInput(source.partition(":")[2], "the file")
    else:
        return {}
    with what.open() as container:
        try:
            return _facts_of(container, time.monotonic() + within_s)
        except OSError as error:
            raise what.error_of(error, is_open=True) from None


def _facts_of(container: Any, end_s: float) -> dict[str, Any]:
    if not container.streams.video:
        return {}
    stream = container.streams.video[0]
    measure, began_s = Measure(), time.monotonic()
    for packet in container.demux(stream):
        now_s = time.monotonic()
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is not None and packet.size:
            measure.push(AccessUnit(bytes(packet), round(stamp * packet.time_base * CLOCK_RATE), packet.is_keyframe))
        if now_s >= end_s or (measure.keys > 1 and now_s - began_s >= _ENOUGH_S) or measure.pictures >= 1000:
            break
    codec = stream.codec_context
    pixels = codec.format
    return {
        "pictures": measure.pictures,
        "codec": _NAMES.get(codec.name, codec.name.upper()),
        "profile": codec.profile,
        "width": codec.width,
        "height": codec.height,
        "bit_depth": None if pixels is None else max(part.bits for part in pixels.components),
        "b_frames": bool(codec.has_b_frames),
        "audio": [one.codec_context.name.upper() for one in container.streams.audio],
        **rate_facts(measure.rates()),
    }


def encoder_facts(settings: CameraSettings, hardware: HardwareEncoders = HARDWARE) -> dict[str, Any]:
    """Return what this machine encodes with, and what was tried. Blocks: the search takes its time."""
    if settings.encoder not in ("", "auto"):
        named = hardware.named(settings.encoder) if settings.encoder.startswith("h264_") else None
        found_name = None if named is None else settings.encoder
        return {"asked_for": settings.encoder, "found": found_name, "tried": [], "passed_over": []}
    search = hardware.search()
    found = search.found
    return {
        "asked_for": "auto",
        "found": None if found is None else found.candidate.encoder,
        "tried": [
            {"encoder": one.candidate.encoder, "device": one.candidate.device, "reason": one.reason}
            for one in search.trials
        ],
        "passed_over": [*search.passed_over],
    }
