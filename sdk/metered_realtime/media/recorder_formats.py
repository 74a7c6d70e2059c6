"""What each container takes, and how it is written so that a file cut off at any moment can be played. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from metered_realtime.media.h264 import NAL_PPS, NAL_SPS, join_annex_b, nal_type, split_annex_b
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.video_settings import VideoCodec

AUDIO_RATE = 48_000
# A piece of a file that reaches the disk at once: what a power cut can take.
_PIECE_MS = 1000
_VP8_KEY_START = b"\x9d\x01\x2a"


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What the head of a file says of one stream; `head` is the parameter sets of H.264, which hold its size.

    VP8 may change its size at any key frame (RFC 6386 section 9.1), as browsers do all the time, and stays one stream.
    """

    kind: Literal["video", "audio"]
    codec: str
    width: int = field(default=0, compare=False)
    height: int = field(default=0, compare=False)
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of file. `video` and `audio` are what raw media is encoded as, `passes` what is written as it comes."""

    muxer: str
    options: tuple[tuple[str, str], ...]
    video: VideoCodec
    audio: str
    passes: tuple[str, ...]


# Nothing waits in FFmpeg for longer than that either, whatever another stream brings.
_AT_ONCE = (("flush_packets", "1"), ("max_interleave_delta", str(_PIECE_MS * 1000)))
_MATROSKA = (("cluster_time_limit", str(_PIECE_MS)), *_AT_ONCE)
_CONTAINERS = {
    ".mp4": Container(
        muxer="mp4",
        options=(
            ("movflags", "frag_keyframe+empty_moov+default_base_moof"),
            ("frag_duration", str(_PIECE_MS * 1000)),
            *_AT_ONCE,
        ),
        video="H264",
        audio="aac",
        passes=("video/h264",),
    ),
    ".mkv": Container("matroska", _MATROSKA, "H264", "libopus", ("video/h264", "video/vp8")),
    ".webm": Container("webm", _MATROSKA, "VP8", "libopus", ("video/vp8",)),
}


def container_for(path: str) -> Container:
    """Return the container for the suffix of a file name. Raises ValueError for another than .mp4, .mkv, .webm."""
    suffix = PurePath(path).suffix.lower()
    if suffix not in _CONTAINERS:
        raise ValueError(f"a recording ends in {', '.join(_CONTAINERS)}, not in {suffix!r}")
    return _CONTAINERS[suffix]


def format_of_key(data: bytes, codec: VideoCodec) -> StreamFormat | None:
    """Return the format a key frame begins; None where it does not say."""
    return _format_of_h264(data) if codec == "H264" else _format_of_vp8(data)


def _format_of_h264(data: bytes) -> StreamFormat | None:
    sets = [nal for nal in split_annex_b(data) if nal_type(nal) in (NAL_SPS, NAL_PPS)]
    if {nal_type(nal) for nal in sets} != {NAL_SPS, NAL_PPS}:
        return None
    try:
        sps = parse_sps(next(nal for nal in sets if nal_type(nal) == NAL_SPS))
    except H264Error:
        return None
    return StreamFormat("video", "h264", sps.width, sps.height, join_annex_b(sets))


def _format_of_vp8(data: bytes) -> StreamFormat | None:
    """Read the head of a key frame (RFC 6386 section 9.1)."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != _VP8_KEY_START:
        return None
    width, height = int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    return StreamFormat("video", "vp8", width, height)
