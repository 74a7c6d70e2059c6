"""The cameras of a machine, with the paths that stay."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from metered_realtime.media.camera_list import CameraInfo, first_camera, list_cameras
from metered_realtime.media.source_errors import SourceBusyError, SourceNotFoundError
from metered_realtime.media.v4l2_formats import CameraMode
from tests.sdk.media.fake_camera import METADATA, STREAMING, FakeCamera, FakeSystem


def nodes(dev: Path, cameras: dict[str, FakeCamera]) -> FakeSystem:
    for name in cameras:
        (dev / name).touch()
    return FakeSystem({str(dev / name): camera for name, camera in cameras.items()})


def webcam(card: str = "Webcam") -> FakeCamera:
    return FakeCamera({"YUYV": [(640, 480, [30])], "Z16": [(640, 480, [90])]}, card=card)


def test_cameras_in_the_order_of_their_numbers_with_the_path_that_stays(tmp_path: Path) -> None:
    metadata = FakeCamera({}, caps=METADATA | STREAMING)
    busy = webcam()
    busy.open_error = errno.EBUSY
    system = nodes(tmp_path, {"video10": webcam("Ten"), "video2": webcam("Two"), "video3": metadata, "video4": busy})
    (tmp_path / "videocodec").touch()
    for folder, link, node in (
        ("by-path", "pci-1", "video2"),
        ("by-id", "usb-Two", "video2"),
        ("by-path", "p", "video10"),
    ):
        (tmp_path / "v4l" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "v4l" / folder / link).symlink_to(f"../../{node}")
    mode = (CameraMode("YUYV", 640, 480, 30.0),)
    at = str(tmp_path)
    assert list_cameras(system=system, dev=tmp_path) == [
        CameraInfo(f"{at}/video2", f"{at}/v4l/by-id/usb-Two", "Two", "fake", mode),
        CameraInfo(f"{at}/video4", f"{at}/video4", "", "", (), f"the camera {at}/video4 is in use by another program"),
        CameraInfo(f"{at}/video10", f"{at}/v4l/by-path/p", "Ten", "fake", mode),
    ]


def test_the_first_that_captures(tmp_path: Path) -> None:
    system = nodes(tmp_path, {"video0": FakeCamera({}, caps=METADATA | STREAMING), "video1": webcam()})
    assert first_camera(system=system, dev=tmp_path) == str(tmp_path / "video1")


def test_no_camera_is_said_and_why_the_one_there_is_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no camera on this machine"):
        first_camera(system=FakeSystem({}), dev=tmp_path)
    busy = webcam()
    busy.open_error = errno.EBUSY
    with pytest.raises(SourceBusyError):
        first_camera(system=nodes(tmp_path, {"video0": busy}), dev=tmp_path)
