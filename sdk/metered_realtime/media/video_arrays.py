"""Pictures from anything that lays its bytes open, such as an array of numpy, without importing numpy."""

from __future__ import annotations

from typing import Any

import av

_CHANNELS = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "gray": 1}


def picture_from(array: Any, pixel_format: str) -> av.VideoFrame:
    """Return a copy of `array` as a frame.

    `array`: bytes of shape (height, width, channels), or (height, width) for gray, contiguous or not.
    Raises TypeError for what has no such bytes, ValueError for another shape or pixel format.
    """
    if pixel_format not in _CHANNELS:
        raise ValueError(f"the pixel format must be one of {', '.join(_CHANNELS)}, not {pixel_format!r}")
    try:
        view = memoryview(array)
    except TypeError:
        raise TypeError(f"expected an av.VideoFrame or an array of bytes, not {type(array).__name__}") from None
    if view.format not in ("B", "b", "c") or view.ndim not in (2, 3):
        raise ValueError(f"expected bytes of shape (height, width, channels), not {view.format!r} of {view.shape}")
    shape = view.shape or ()
    height, width = shape[0], shape[1]
    channels = shape[2] if view.ndim == 3 else 1
    if channels == 1:
        pixel_format = "gray"
    if channels != _CHANNELS[pixel_format] or not height or not width:
        raise ValueError(f"{pixel_format} has {_CHANNELS[pixel_format]} bytes a pixel; this is of shape {shape}")
    frame = av.VideoFrame(width, height, pixel_format)
    _fill(frame.planes[0], view.tobytes(), width * channels)
    return frame


def _fill(plane: Any, data: bytes, row_bytes: int) -> None:
    if plane.line_size == row_bytes and plane.buffer_size == len(data):
        plane.update(data)
        return
    rows = memoryview(plane)
    for row, at in enumerate(range(0, len(data), row_bytes)):
        start = row * plane.line_size
        rows[start : start + row_bytes] = data[at : at + row_bytes]
