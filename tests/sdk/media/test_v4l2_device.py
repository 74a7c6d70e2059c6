"""A camera opened, set up and read, against a kernel that answers from ctypes structures."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from metered_realtime.media.source_errors import (
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
)
from metered_realtime.media.v4l2_device import CapturedPicture, V4l2Device, V4l2System
from metered_realtime.media.v4l2_formats import CameraMode
from tests.sdk.media.fake_camera import ERROR_FLAG, FakeCamera, FakeSystem

PATH = "/dev/video0"
MODE = CameraMode("YUYV", 640, 480, 30.0)


def webcam() -> FakeCamera:
    return FakeCamera({"YUYV": [(640, 480, [30, 15]), (1280, 720, [10])], "MJPG": (48, 1920, 2, 32, 1080, 2)})


def device(camera: FakeCamera) -> V4l2Device:
    return V4l2Device(PATH, FakeSystem({PATH: camera}))


def test_who_it_is_and_what_it_can_do() -> None:
    with device(webcam()) as camera:
        assert camera.capability().card == "Fake Cam"
        assert camera.capability().captures
        assert camera.modes(width=801, height=600) == [
            CameraMode("YUYV", 640, 480, 30.0),
            CameraMode("YUYV", 1280, 720, 10.0),
            CameraMode("MJPG", 800, 600, None),
        ]


def test_a_camera_that_tells_no_sizes_is_asked_for_the_one_wanted() -> None:
    with device(FakeCamera({"YUYV": []})) as camera:
        assert camera.modes(width=320, height=240) == [CameraMode("YUYV", 320, 240, None)]


def test_pictures_come_and_their_buffers_go_back() -> None:
    fake = webcam()
    with device(fake) as camera:
        picture = camera.set_up(MODE, fps=30)
        assert (picture.fourcc, picture.width, picture.height) == ("YUYV", 640, 480)
        assert fake.rates == [(1, 30)]
        camera.start()
        assert list(fake.queued) == [0, 1, 2, 3]
        assert camera.read(0.0) is None
        for number in range(10):
            fake.give(b"picture %d" % number, stamp_s=2.25)
            assert camera.read(1.0) == CapturedPicture(b"picture %d" % number, 2.25)
        assert len(fake.queued) == 4
    assert fake.closed == 1
    assert all(memory.is_closed for memory in fake.memories)


def test_damaged_and_empty_pictures_are_passed_over_and_counted() -> None:
    fake = webcam()
    with device(fake) as camera:
        camera.set_up(MODE, fps=0)
        assert fake.rates == []
        camera.start()
        fake.give(b"half", flags=ERROR_FLAG)
        fake.give(b"")
        fake.fail(errno.EIO)
        fake.give(b"whole")
        assert [camera.read(1.0) for _ in range(3)] == [None, None, None]
        assert camera.read(1.0) is not None
        assert camera.damaged_pictures == 2
        assert len(fake.queued) == 4


def test_a_camera_that_only_fails_is_lost() -> None:
    fake = webcam()
    with device(fake) as camera:
        camera.set_up(MODE, fps=30)
        camera.start()
        for _ in range(30):
            fake.fail(errno.EIO)
        assert [camera.read(1.0) for _ in range(29)] == [None] * 29
        with pytest.raises(SourceLostError):
            camera.read(1.0)


def test_an_unplugged_camera_is_lost() -> None:
    fake = webcam()
    with device(fake) as camera:
        camera.set_up(MODE, fps=30)
        camera.start()
        fake.unplug()
        with pytest.raises(SourceLostError, match=r"the camera /dev/video0 went away: No such device"):
            camera.read(1.0)
        with pytest.raises(SourceLostError):
            camera.modes(width=1, height=1)
    assert fake.closed == 1


def test_a_rate_that_cannot_be_set_is_no_reason_to_do_without_pictures() -> None:
    fake = webcam()
    fake.has_rates = False
    with device(fake) as camera:
        assert camera.set_up(MODE, fps=30).fourcc == "YUYV"


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.ENOENT, SourceNotFoundError, "is not there: is it plugged in"),
        (errno.ENODEV, SourceNotFoundError, "is not there"),
        (errno.EACCES, SourceDeniedError, 'add the user to the group "video"'),
        (errno.EBUSY, SourceBusyError, "is in use by another program"),
        (errno.ENOMEM, SourceError, "failed: refused"),
    ],
)
def test_why_it_cannot_be_opened_is_a_sentence(number: int, kind: type[Exception], says: str) -> None:
    fake = webcam()
    fake.open_error = number
    with pytest.raises(kind, match=says), device(fake):
        pass


def test_a_node_that_knows_none_of_it_is_no_camera(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with V4l2Device(str(plain)) as camera, pytest.raises(SourceFormatError, match="no camera"):
        camera.capability()


def test_no_buffers_and_buffers_of_nobody_are_faults() -> None:
    fake = webcam()
    fake.buffer_count = 0
    with device(fake) as camera:
        camera.set_up(MODE, fps=30)
        with pytest.raises(SourceFormatError, match="no memory"):
            camera.start()
    fake = webcam()
    fake.names_wrong_buffer = True
    with device(fake) as camera:
        camera.set_up(MODE, fps=30)
        camera.start()
        fake.give(b"x")
        with pytest.raises(SourceError, match="names a buffer"):
            camera.read(1.0)


def test_memory_that_cannot_be_mapped_is_a_fault() -> None:
    class Full(FakeSystem):
        def map(self, fd: int, length: int, offset: int):  # type: ignore[no-untyped-def]
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with V4l2Device(PATH, Full({PATH: webcam()})) as camera:
        camera.set_up(MODE, fps=30)
        with pytest.raises(SourceError, match="Cannot allocate memory"):
            camera.start()


def test_the_kernel_itself_maps_and_waits(tmp_path: Path) -> None:
    system = V4l2System()
    path = tmp_path / "memory"
    path.write_bytes(b"picture".ljust(4096, b"\0"))
    fd = system.open(str(path))
    memory = system.map(fd, 4096, 0)
    assert memory[slice(0, 7)] == b"picture"
    memory.close()
    system.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    readable, writable = os.pipe()
    assert not system.is_readable(readable, 0.0)
    os.write(writable, b"x")
    assert system.is_readable(readable, 1.0)
    os.close(readable)
    os.close(writable)
