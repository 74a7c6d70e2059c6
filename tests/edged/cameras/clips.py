"""Small films on disk, for the cameras that play files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

FRAMES = 10
FPS = 50


def film(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = FRAMES,
    b_frames: int = 0,
    size: tuple[int, int] = (64, 48),
    **options: str,
) -> Path:
    """Write a film and return its path."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.gop_size = 5
        stream.codec_context.options = options
        for index in range(frames):
            frame = av.VideoFrame(*size, stream.pix_fmt)
            for plane in frame.planes:
                plane.update(bytes((index * 20 % 256,)) * plane.buffer_size)
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sound(path: Path) -> Path:
    """Write a film that has no pictures and return its path."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=48000)
        for index in range(10):
            frame = av.AudioFrame("fltp", "stereo", 1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 48000, index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
