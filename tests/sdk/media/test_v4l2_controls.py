from __future__ import annotations

import ctypes
import errno

import pytest

from metered_realtime.media.source_errors import SourceError
from metered_realtime.media.v4l2_controls import ControlError, list_controls, set_controls, suggest_encoding
from metered_realtime.media.v4l2_device import V4l2System

PATH = "/dev/video0"


class Query(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("name", ctypes.c_char * 32),
        ("minimum", ctypes.c_int32),
        ("maximum", ctypes.c_int32),
        ("step", ctypes.c_int32),
        ("default", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 2),
    )


class Value(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("value", ctypes.c_int32))


class Kernel(V4l2System):
    """(id, type, name, minimum, maximum, flags) of each control, and the values set."""

    def __init__(self, *controls: tuple[int, int, str, int, int, int]) -> None:
        self.controls = controls
        self.values: dict[int, int] = {}
        self.refusal = errno.ERANGE
        self.refused_ids: set[int] = set()
        self.is_open = False

    def open(self, path: str) -> int:
        if path != PATH:
            raise OSError(errno.ENOENT, "No such file or directory")
        self.is_open = True
        return 7

    def close(self, fd: int) -> None:
        assert fd == 7
        self.is_open = False

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        assert (fd, request >> 16 & 0x3FFF) == (7, len(argument))
        {36: self._query, 27: self._get, 28: self._set}[request & 0xFF](argument)

    def _query(self, argument: bytearray) -> None:
        answer = Query.from_buffer(argument)
        asked, is_next = answer.id & 0x7FFF_FFFF, bool(answer.id & 0x8000_0000)
        for number, kind, name, minimum, maximum, flags in self.controls:
            if (number > asked if is_next else number == asked) or number == -1:
                answer.id, answer.type, answer.name, answer.flags = number, kind, name.encode(), flags
                answer.minimum, answer.maximum, answer.step, answer.default = minimum, maximum, 1, minimum
                return
        raise OSError(errno.EINVAL, "Invalid argument")

    def _get(self, argument: bytearray) -> None:
        answer = Value.from_buffer(argument)
        if answer.id not in self.values:
            raise OSError(errno.EACCES, "Permission denied")
        answer.value = self.values[answer.id]

    def _set(self, argument: bytearray) -> None:
        asked = Value.from_buffer(argument)
        _, _, _, minimum, maximum, _ = next(control for control in self.controls if control[0] == asked.id)
        if not minimum <= asked.value <= maximum or asked.id in self.refused_ids:
            raise OSError(self.refusal, "refused by the driver")
        self.values[asked.id] = asked.value


def camera() -> Kernel:
    return Kernel(
        (0x980900, 1, "Brightness", 0, 255, 0),
        (0x980914, 2, "Horizontal Flip", 0, 1, 0),
        (0x980920, 6, "Camera Controls", 0, 0, 0),
        (0x980921, 1, "Broken", 0, 1, 1),
        (0x9A0901, 3, "Auto Exposure, Manual\x07", 0, 3, 0),
        (0x9A0910, 4, "Force Key Frame", 0, 0, 0),
    )


def test_what_can_be_set_is_listed_with_its_bounds() -> None:
    kernel = camera()
    kernel.values[0x980900] = 128
    controls = {control.key: control for control in list_controls(PATH, kernel)}
    assert list(controls) == ["brightness", "horizontal_flip", "auto_exposure_manual", "force_key_frame"]
    found = controls["brightness"]
    assert (found.kind, found.minimum, found.maximum, found.step, found.value) == ("number", 0, 255, 1, 128)
    assert controls["horizontal_flip"].value is None
    assert controls["auto_exposure_manual"].name.endswith("?")
    assert not kernel.is_open


def test_controls_are_set_by_name() -> None:
    kernel = camera()
    set_controls(PATH, {"brightness": 7, "horizontal_flip": 1}, kernel)
    assert kernel.values == {0x980900: 7, 0x980914: 1}
    assert not kernel.is_open


@pytest.mark.parametrize(
    ("values", "refusal", "says"),
    [
        ({"zoom": 1}, errno.ERANGE, r"has no control 'zoom', but brightness, horizontal_flip"),
        ({"brightness": 999}, errno.ERANGE, r"does not set brightness to 999: it takes 0 to 255"),
        ({"brightness": 999}, errno.EBUSY, r"refused by the driver"),
        ({"brightness": 1 << 40}, errno.EBUSY, r"it takes 0 to 255"),
    ],
)
def test_what_cannot_be_set_is_told(values: dict[str, int], refusal: int, says: str) -> None:
    kernel = camera()
    kernel.refusal = refusal
    with pytest.raises(ControlError, match=says):
        set_controls(PATH, values, kernel)
    assert not kernel.is_open


def encoding_camera() -> Kernel:
    return Kernel(
        (0x980900, 1, "Brightness", 0, 255, 0),
        (0x9909CA, 1, "Video B Frames", 0, 2, 0),
        (0x9909CF, 1, "Video Bitrate", 25_000, 1_500_000, 0),
        (0x9909E2, 2, "Repeat Sequence Header", 0, 1, 0),
        (0x990A66, 1, "H264 I-Frame Period", 0, 1000, 0),
    )


def test_an_encoder_in_the_camera_is_asked_for_what_live_viewers_need_within_its_bounds() -> None:
    kernel = encoding_camera()
    done = suggest_encoding(PATH, bitrate_bps=2_000_000, gop_pictures=60, system=kernel)
    assert done == ("video_b_frames", "h264_i_frame_period", "video_bitrate", "repeat_sequence_header")
    assert kernel.values == {0x9909CA: 0, 0x9909CF: 1_500_000, 0x9909E2: 1, 0x990A66: 60}
    assert not kernel.is_open


def test_what_it_refuses_or_has_no_control_for_stays_as_it_is() -> None:
    refusing = encoding_camera()
    refusing.refused_ids.add(0x9909CF)
    assert "video_bitrate" not in suggest_encoding(PATH, bitrate_bps=500_000, gop_pictures=60, system=refusing)
    assert suggest_encoding(PATH, bitrate_bps=500_000, gop_pictures=60, system=camera()) == ()


def test_a_camera_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceError, match="is not there: is it plugged in"):
        list_controls("/dev/video9", camera())


def test_a_driver_that_goes_in_a_circle_is_left() -> None:
    assert len(list_controls(PATH, Kernel((0x980900, 1, "Brightness", 0, 1, 0)))) == 1
