"""What a real driver gives, format by format, told by the colour bars it shows."""

from __future__ import annotations

from typing import Any

import pytest

from metered_realtime.media.camera_pictures import PictureDecoder
from metered_realtime.media.v4l2_controls import set_controls
from metered_realtime.media.v4l2_device import V4l2Device
from metered_realtime.media.v4l2_formats import GREY, RAW_FORMATS, CameraMode

WIDTH, HEIGHT = 640, 360
BARS = 8
# The same colours in RGB and in YUV are rounded twice.
ROUNDING = 6

Bar = tuple[int, int, int]


def bars(path: str, fourcc: str) -> list[Bar]:
    """Return (Y, U, V) in the middle of each of the camera's bars, taken in a format."""
    with V4l2Device(path) as device:
        taken = device.set_up(CameraMode(fourcc, WIDTH, HEIGHT), fps=15)
        assert (taken.fourcc, taken.width, taken.height) == (fourcc, WIDTH, HEIGHT)
        device.start()
        decoder = PictureDecoder(taken)
        frames: list[Any] = []
        while len(frames) < 2:
            if (captured := device.read(5.0)) is not None:
                assert captured.stamp_s is not None, "vivid stamps by the monotonic clock"
                frames += decoder.decode(captured)
    assert decoder.damaged_pictures == 0
    assert (frames[-1].width, frames[-1].height, frames[-1].format.name) == (WIDTH, HEIGHT, "yuv420p")
    return [colour(frames[-1], WIDTH * (2 * bar + 1) // (2 * BARS), HEIGHT // 2) for bar in range(BARS)]


def colour(frame: Any, x: int, y: int) -> Bar:
    luma, blue, red = frame.planes
    half = x // 2, y // 2
    return (
        bytes(luma)[y * luma.line_size + x],
        bytes(blue)[half[1] * blue.line_size + half[0]],
        bytes(red)[half[1] * red.line_size + half[0]],
    )


@pytest.fixture
def still_camera(raw_camera: str) -> str:
    """The raw camera without the clock that it writes into its picture."""
    set_controls(raw_camera, {"osd_text_mode": 2})
    return raw_camera


def test_every_raw_format_shows_the_same_colours(still_camera: str) -> None:
    wanted = bars(still_camera, "YU12")
    lumas = [bar[0] for bar in wanted]
    assert lumas == sorted(lumas, reverse=True), "white, yellow, cyan, green, magenta, red, blue, black"
    assert len(set(wanted)) == BARS
    for fourcc in RAW_FORMATS:
        seen = bars(still_camera, fourcc)
        far = max(
            abs(a - b) for left, right in zip(seen, wanted, strict=True) for a, b in zip(left, right, strict=True)
        )
        assert far <= ROUNDING, f"{fourcc}: {seen} for {wanted}"


def test_without_colours_bright_stays_bright(still_camera: str) -> None:
    (fourcc,) = GREY
    lumas = [bar[0] for bar in bars(still_camera, fourcc)]
    assert lumas == sorted(lumas, reverse=True)
    assert lumas[0] - lumas[-1] > 100
    assert {bar[1:] for bar in bars(still_camera, fourcc)} == {(128, 128)}


def test_a_size_between_two_becomes_the_nearest_the_camera_has(raw_camera: str) -> None:
    with V4l2Device(raw_camera) as device:
        taken = device.set_up(CameraMode("YUYV", WIDTH + 10, HEIGHT + 5), fps=15)
    assert (taken.width, taken.height) == (WIDTH, HEIGHT)
    assert taken.stride >= 2 * WIDTH
