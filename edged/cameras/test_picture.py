"""The built-in picture (`source: test:`): a short moving clip, encoded once per process and repeated for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction
from typing import Any, Self

from edged.cameras.errors import CameraError
from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.h264 import NAL_SPS, nal_type, split_annex_b
from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.rtsp import VideoDescription

WIDTH = 640
HEIGHT = 360
FRAMES_PER_S = 15
CLIP_S = 4
_FRAMES = FRAMES_PER_S * CLIP_S
_KEY_EVERY = FRAMES_PER_S
_BAR_WIDTH = 64
_STEP_90K = CLOCK_RATE // FRAMES_PER_S
_MAX_LATE_S = 1.0


class Clip:
    """The encoded frames. Made at the first use; `frames()` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: tuple[tuple[bytes, bool], ...] = ()

    def frames(self) -> tuple[tuple[bytes, bool], ...]:
        """Return (Annex-B, is it a key frame) of each frame; takes part of a second the first time."""
        with self._lock:
            if not self._frames:
                self._frames = _encode()
            return self._frames


_CLIP = Clip()


class TestPicture:
    """The clip as a live source: an async context manager with the shape of an RTSP client."""

    __test__ = False

    def __init__(self, clip: Clip = _CLIP) -> None:
        self._clip = clip
        self._frames: tuple[tuple[bytes, bool], ...] = ()
        self._video = VideoDescription("H264", WIDTH, HEIGHT)

    async def __aenter__(self) -> Self:
        self._frames = await asyncio.to_thread(self._clip.frames)
        sps = parse_sps(next(nal for nal in split_annex_b(self._frames[0][0]) if nal_type(nal) == NAL_SPS))
        self._video = VideoDescription.of(sps, has_b_frames=sps.has_b_frames)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held open."""

    @property
    def video(self) -> VideoDescription:
        """What the picture is like."""
        return self._video

    @property
    def road(self) -> str:
        """Part of `Pictures`."""
        return ""

    async def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate at the clip's own pace, without end, with timestamps that go on over the repeats."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        index = 0
        while True:
            data, is_key = self._frames[index % len(self._frames)]
            yield AccessUnit(data, index * _STEP_90K, is_key)
            index += 1
            due_s += 1 / FRAMES_PER_S
            late_s = loop.time() - due_s
            if late_s > _MAX_LATE_S:
                due_s += late_s
            await asyncio.sleep(max(0.0, -late_s))


def _encode() -> tuple[tuple[bytes, bool], ...]:
    import av  # noqa: PLC0415 - only a picture that is watched needs the encoder

    try:
        codec: Any = av.CodecContext.create("libx264", "w")
    except (ValueError, av.FFmpegError) as error:
        raise CameraError(
            "the built-in picture needs an H.264 encoder, which this build of PyAV has not: use an rtsp:// source",
            retry_after_s=60.0,
        ) from error
    codec.width, codec.height = WIDTH, HEIGHT
    codec.pix_fmt = "yuv420p"
    codec.bit_rate = 400_000
    codec.framerate = Fraction(FRAMES_PER_S, 1)
    codec.time_base = Fraction(1, FRAMES_PER_S)
    codec.gop_size = _KEY_EVERY
    codec.profile = "Baseline"
    codec.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "x264-params": "scenecut=0:sliced-threads=0:threads=1",
    }
    packets = []
    for index in range(_FRAMES):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.pts = index
        _draw(frame.planes, index)
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return tuple((bytes(packet), packet.is_keyframe) for packet in packets)


def _draw(planes: Sequence[Any], index: int) -> None:
    """A bright bar that crosses the picture once per clip, before a colour that goes round once."""
    turn = index / _FRAMES
    left = round(turn * WIDTH)
    row = bytearray(48 + (column * 96) // WIDTH for column in range(WIDTH))
    for column in range(_BAR_WIDTH):
        row[(left + column) % WIDTH] = 235
    triangle = abs(2 * turn - 1)
    _fill(planes[0], bytes(row), HEIGHT)
    _fill(planes[1], bytes((64 + round(128 * triangle),)) * (WIDTH // 2), HEIGHT // 2)
    _fill(planes[2], bytes((192 - round(128 * triangle),)) * (WIDTH // 2), HEIGHT // 2)


def _fill(plane: Any, row: bytes, rows: int) -> None:
    plane.update((row + bytes(plane.line_size - len(row))) * rows)
