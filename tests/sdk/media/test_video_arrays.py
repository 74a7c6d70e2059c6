from __future__ import annotations

from array import array as number_array
from typing import Any

import pytest

from metered_realtime.media.video_arrays import picture_from
from tests.sdk.media.pictures import BLUE, GREEN, RED, array, colour


@pytest.mark.parametrize(("width", "height"), [(64, 48), (99, 51), (322, 16)])
def test_an_array_of_any_width_becomes_a_frame(width: int, height: int) -> None:
    frame = picture_from(array(RED, width, height), "rgb24")
    assert (frame.width, frame.height, frame.format.name, frame.pts) == (width, height, "rgb24", None)
    assert colour(frame) == RED


@pytest.mark.parametrize(
    ("pixels", "pixel_format"),
    [(GREEN, "rgb24"), (GREEN[::-1], "bgr24"), ((*GREEN, 255), "rgba"), ((*GREEN[::-1], 255), "bgra")],
)
def test_the_order_of_colours_is_told(pixels: tuple[int, ...], pixel_format: str) -> None:
    assert colour(picture_from(array(pixels), pixel_format)) == GREEN


def test_two_dimensions_or_one_channel_are_gray() -> None:
    flat = memoryview(bytes([77]) * 600).cast("B", (20, 30))
    assert colour(picture_from(flat, "rgb24")) == (77, 77, 77)
    assert colour(picture_from(array((77,)), "gray")) == (77, 77, 77)


def test_an_array_that_is_not_contiguous_is_read_in_its_own_order() -> None:
    rows = bytes(BLUE) * 30 + bytes(RED) * 30
    upside_down = memoryview(rows).cast("B", (2, 90))[::-1]
    frame = picture_from(upside_down, "gray")
    assert bytes(frame.planes[0])[:3] == bytes(RED)


@pytest.mark.parametrize(
    ("wrong", "error", "word"),
    [
        ("text", TypeError, "str"),
        (b"flat", ValueError, "shape"),
        (number_array("f", [1.0, 2.0]), ValueError, "bytes"),
        (memoryview(b"").cast("B"), ValueError, "shape"),
        (memoryview(bytes(24)).cast("B", (2, 3, 4)), ValueError, "rgb24"),
    ],
)
def test_anything_else_is_refused_with_its_reason(wrong: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        picture_from(wrong, "rgb24")


def test_an_unknown_pixel_format_is_refused() -> None:
    with pytest.raises(ValueError, match="cmyk"):
        picture_from(array(RED), "cmyk")
