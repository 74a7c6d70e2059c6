"""Choosing a mode, and rows without gaps."""

from __future__ import annotations

import pytest

from metered_realtime.media.v4l2 import PictureFormat, SizeRange
from metered_realtime.media.v4l2_formats import CameraMode, choose_mode, is_usable, nearest_size, tight_picture

WEBCAM = [
    CameraMode("YUYV", 640, 480, 30.0),
    CameraMode("YUYV", 1280, 720, 10.0),
    CameraMode("MJPG", 640, 480, 30.0),
    CameraMode("MJPG", 1280, 720, 29.97),
    CameraMode("H264", 1280, 720, 30.0),
    CameraMode("Z16", 640, 480, 90.0),
]


def choose(
    modes: list[CameraMode], width: int, height: int, fps: int, *, passthrough: bool = False
) -> CameraMode | None:
    return choose_mode(modes, width=width, height=height, fps=fps, passthrough=passthrough)


@pytest.mark.parametrize(
    ("wish", "chosen"),
    [
        ((640, 480, 30), CameraMode("YUYV", 640, 480, 30.0)),
        ((1280, 720, 30), CameraMode("MJPG", 1280, 720, 29.97)),  # raw would be too slow
        ((1280, 720, 10), CameraMode("YUYV", 1280, 720, 10.0)),
        ((1920, 1080, 30), CameraMode("MJPG", 1280, 720, 29.97)),
        ((320, 240, 0), CameraMode("YUYV", 640, 480, 30.0)),
    ],
)
def test_size_then_rate_then_the_cheapest_format(wish: tuple[int, int, int], chosen: CameraMode) -> None:
    assert choose(WEBCAM, *wish) == chosen


def test_only_h264_is_passed_through() -> None:
    assert choose(WEBCAM, 640, 480, 30, passthrough=True) == CameraMode("H264", 1280, 720, 30.0)
    assert choose(WEBCAM[:4], 640, 480, 30, passthrough=True) is None


def test_a_camera_of_no_known_format_has_no_mode() -> None:
    assert choose([WEBCAM[-1]], 640, 480, 30) is None
    assert not is_usable("Z16")
    assert is_usable("GREY")


def test_colours_are_better_than_none() -> None:
    grey, jpeg = CameraMode("GREY", 640, 480), CameraMode("MJPG", 640, 480)
    assert choose([grey, jpeg], 640, 480, 30) == jpeg


def test_the_nearest_size_of_a_range() -> None:
    sizes = SizeRange(48, 1920, 16, 32, 1080, 1)
    assert nearest_size(sizes, 640, 480) == (640, 480)
    assert nearest_size(sizes, 650, 10) == (640, 32)
    assert nearest_size(sizes, 4000, 4000) == (1920, 1080)


@pytest.mark.parametrize(
    ("fourcc", "stride", "size_bytes"),
    [("YUYV", 8, 16), ("GREY", 4, 8), ("RGB3", 12, 24), ("NV12", 4, 12), ("YU12", 4, 12)],
)
def test_a_picture_without_gaps_stays_as_it_is(fourcc: str, stride: int, size_bytes: int) -> None:
    data = bytes(range(size_bytes))
    picture = PictureFormat(fourcc, 4, 2, stride, size_bytes)
    assert tight_picture(data + b"tail", picture) == data
    assert tight_picture(data[:-1], picture) is None


def test_gaps_between_rows_are_taken_out() -> None:
    assert tight_picture(b"abcd....efgh....", PictureFormat("GREY", 4, 2, 8, 16)) == b"abcdefgh"
    # NV12: one half-height plane of pairs with the same gap.
    assert tight_picture(b"abcd....efgh....uvuv....", PictureFormat("NV12", 4, 2, 8, 24)) == b"abcdefghuvuv"
    # Planar: each of the two colour planes has half the gap.
    assert tight_picture(b"abcd....efgh....uu..vv..", PictureFormat("YU12", 4, 2, 8, 24)) == b"abcdefghuuvv"
    # The last row may be the end of the data.
    assert tight_picture(b"abcd....efgh", PictureFormat("GREY", 4, 2, 8, 12)) == b"abcdefgh"
    assert tight_picture(b"abcd....efg", PictureFormat("GREY", 4, 2, 8, 12)) is None


def test_odd_sizes_round_up() -> None:
    assert tight_picture(bytes(3 * 3 + 2 * 4 + 9), PictureFormat("YU12", 3, 3, 3, 0)) == bytes(9 + 4 + 4)
    assert tight_picture(bytes(64), PictureFormat("YUYV", 3, 1, 0, 0)) == bytes(8)
