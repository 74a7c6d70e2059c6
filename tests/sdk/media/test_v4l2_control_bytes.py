"""The structures against those of the kernel's header, laid out by ctypes."""

from __future__ import annotations

import ctypes
import struct

import pytest

from metered_realtime.media import v4l2_control_bytes as controls
from tests.sdk.media.fake_camera import Query, Value


@pytest.mark.parametrize(
    ("call", "number", "structure"),
    [
        (controls.VIDIOC_G_CTRL, 27, Value),
        (controls.VIDIOC_S_CTRL, 28, Value),
        (controls.VIDIOC_QUERYCTRL, 36, Query),
    ],
)
def test_a_call_carries_its_number_and_the_size_of_its_structure(call: int, number: int, structure: type) -> None:
    assert (call & 0xFF, call >> 8 & 0xFF, call >> 30) == (number, ord("V"), 3)
    assert call >> 16 & 0x3FFF == ctypes.sizeof(structure)


def test_a_control_is_described_and_one_that_is_switched_off_is_of_no_use() -> None:
    raw = Query(9963776, 1, b"Exposure Time, Absolute", -1, 255, 1, 128, 0)
    told, is_usable = controls.read_control_range(bytes(raw))
    assert (told.key, told.kind, told.minimum, told.default) == ("exposure_time_absolute", "number", -1, 128)
    assert is_usable
    raw.flags, raw.type = 1, 7
    told, is_usable = controls.read_control_range(bytes(raw))
    assert (told.kind, is_usable) == ("", False)


def test_a_value_to_bytes_and_back() -> None:
    assert controls.read_control(controls.control_value(1, -7)) == -7
    assert Query.from_buffer(controls.control_question(5, is_next=True)).id == 0x8000_0005
    with pytest.raises(struct.error):
        controls.control_value(1, 2**31)
