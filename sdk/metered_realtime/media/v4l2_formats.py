"""Which of a camera's formats to take, and its raw pictures without the gaps between their rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metered_realtime.media.v4l2 import PictureFormat, SizeRange

H264 = "H264"
JPEG_FORMATS = ("MJPG", "JPEG")
# FFmpeg's names of the raw formats that can be used, the cheapest to turn into what encoders take first.
RAW_FORMATS = {
    "YU12": "yuv420p", "NV12": "nv12", "NV21": "nv21", "YUYV": "yuyv422", "UYVY": "uyvy422",
    "RGB3": "rgb24", "BGR3": "bgr24",
}  # fmt: skip
GREY = {"GREY": "gray"}
# Decoding costs more than copying, and a picture without colours is the last resort.
_PREFERENCE = (*RAW_FORMATS, *JPEG_FORMATS, H264, *GREY)
# "29.97" is 30.
_RATE_SLACK = 0.95


@dataclass(frozen=True, slots=True)
class CameraMode:
    """One way a camera can be used; `max_fps` is None where it does not tell."""

    fourcc: str
    width: int
    height: int
    max_fps: float | None = None


def is_usable(fourcc: str) -> bool:
    """Whether pictures of this format can be turned into frames here, or passed through."""
    return fourcc in _PREFERENCE


def nearest_size(sizes: SizeRange, width: int, height: int) -> tuple[int, int]:
    """Return the size of a range that is nearest to the one wanted."""
    return (
        _nearest(width, sizes.min_width, sizes.max_width, sizes.step_width),
        _nearest(height, sizes.min_height, sizes.max_height, sizes.step_height),
    )


def choose_mode(
    modes: Iterable[CameraMode], *, width: int, height: int, fps: int, passthrough: bool
) -> CameraMode | None:
    """Return the best mode: the size wanted, then the rate, then the cheapest format. None where none can be used."""

    def cost(mode: CameraMode) -> tuple[int, float, int]:
        distance = abs(mode.width - width) * max(height, mode.height) + abs(mode.height - height) * max(
            width, mode.width
        )
        missing = 0.0 if mode.max_fps is None or mode.max_fps >= fps * _RATE_SLACK else fps - mode.max_fps
        return distance, missing, _PREFERENCE.index(mode.fourcc)

    usable = (mode for mode in modes if (mode.fourcc == H264 if passthrough else is_usable(mode.fourcc)))
    return min(usable, key=cost, default=None)


def tight_picture(data: bytes, picture: PictureFormat) -> bytes | None:
    """Return a raw picture with its rows next to each other; None for one that is cut short."""
    planes = _planes(picture)
    if all(stride == row_bytes for row_bytes, _, stride in planes):
        needed = sum(row_bytes * rows for row_bytes, rows, _ in planes)
        return data[:needed] if len(data) >= needed else None
    pieces: list[bytes] = []
    start = 0
    for row_bytes, rows, stride in planes:
        if start + stride * (rows - 1) + row_bytes > len(data):
            return None
        pieces.extend(data[start + stride * row : start + stride * row + row_bytes] for row in range(rows))
        start += stride * rows
    return b"".join(pieces)


def _planes(picture: PictureFormat) -> list[tuple[int, int, int]]:
    """Return (bytes of a row, rows, stride) of each plane."""
    width, height = picture.width, picture.height
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    if picture.fourcc == "YU12":
        stride = max(picture.stride, width)
        chroma = (half_width, half_height, max(stride // 2, half_width))
        return [(width, height, stride), chroma, chroma]
    if picture.fourcc in ("NV12", "NV21"):
        stride = max(picture.stride, width)
        return [(width, height, stride), (2 * half_width, half_height, max(stride, 2 * half_width))]
    row_bytes = {"YUYV": 4 * half_width, "UYVY": 4 * half_width, "GREY": width}.get(picture.fourcc, 3 * width)
    return [(row_bytes, height, max(picture.stride, row_bytes))]


def _nearest(wanted: int, smallest: int, largest: int, step: int) -> int:
    clamped = min(max(wanted, smallest), largest)
    return clamped - (clamped - smallest) % step if step > 1 else clamped
