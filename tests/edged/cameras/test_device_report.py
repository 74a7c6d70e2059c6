from __future__ import annotations

import pytest

from edged.cameras.device_report import device_facts, device_lines, format_use
from metered_realtime.media.v4l2_controls import CameraControl
from metered_realtime.media.v4l2_formats import CameraMode


def test_a_local_camera_is_told_format_by_format_with_its_controls() -> None:
    modes = [
        CameraMode("YUYV", 640, 480, 30.0), CameraMode("YUYV", 1280, 720), CameraMode("H264", 1280, 720, 29.97),
        CameraMode("HEVC", 1280, 720),
    ]  # fmt: skip
    controls = [
        CameraControl(1, "Brightness", "number", 0, 255, 1, 128, 100),
        CameraControl(2, "Force Key Frame", "button", 0, 0, 0, 0, None),
    ]
    device = device_facts("Cam", "uvcvideo", modes, controls, modes[2])
    assert [*device_lines(device)] == [
        ("device", "Cam (uvcvideo)"),
        ("YUYV", "encoded here: 640x480@30 1280x720"),
        ("H264", "passed through as it is: 1280x720@29.97"),
        ("HEVC", "not used: browsers get no H.265 from here: 1280x720"),
        ("taken", "H264 1280x720"),
        ("control", "brightness: now 100, number 0 to 255, default 128"),
        ("control", "force_key_frame: button"),
    ]


def test_a_device_of_no_use_says_why_and_takes_nothing() -> None:
    device = device_facts("bcm2835-isp", "bcm2835-isp", [], [], None, fault="no camera")
    assert [*device_lines(device)] == [("device", "bcm2835-isp (bcm2835-isp)"), ("fault", "no camera")]


@pytest.mark.parametrize(
    ("fourcc", "use"),
    [
        ("MJPG", "decoded and encoded here"), ("NV12", "encoded here"), ("GREY", "encoded here, without colours"),
        ("BA81", "not used: raw of the sensor"), ("pBAA", "not used: raw of the sensor"),
        ("Z16", "not used: depth"), ("ABCD", "not used: this format is not read here"),
    ],
)  # fmt: skip
def test_what_is_done_with_a_format(fourcc: str, use: str) -> None:
    assert format_use(fourcc).startswith(use)
