"""The controls of a local camera - exposure, rotation, bit rate: listed, read and set. Every call may block. Linux."""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from metered_realtime.media import v4l2
from metered_realtime.media.source_errors import SourceError
from metered_realtime.media.v4l2_device import V4l2System

_BUTTON = "button"
_MAX_CONTROLS = 256


class ControlError(SourceError):
    """A control cannot be set as it was asked for."""

    retry_after_s = 60.0


@dataclass(frozen=True, slots=True)
class CameraControl(v4l2.ControlRange):
    """One control; `value` is None where it cannot be read, as that of a button."""

    value: int | None

    @property
    def key(self) -> str:
        """The name as one word: "exposure_time_absolute"."""
        letters = (letter.lower() if letter.isalnum() else " " for letter in self.name)
        return "_".join("".join(letters).split())


def list_controls(path: str, system: V4l2System | None = None) -> list[CameraControl]:
    """Return what can be set. Raises SourceError."""
    kernel = system if system is not None else V4l2System()
    fd = _opened(path, kernel)
    try:
        return list(_controls(kernel, fd).values())
    finally:
        kernel.close(fd)


def set_controls(path: str, values: Mapping[str, int], system: V4l2System | None = None) -> None:
    """Set controls by their keys, in the order given. Raises ControlError, which says what it takes, or SourceError."""
    kernel = system if system is not None else V4l2System()
    fd = _opened(path, kernel)
    try:
        known = {control.key: control for control in _controls(kernel, fd).values()}
        for key, value in values.items():
            if key not in known:
                raise ControlError(f"the camera {path} has no control {key!r}, but {', '.join(known) or 'none'}")
            _set(kernel, fd, path, known[key], value)
    finally:
        kernel.close(fd)


def suggest_encoding(
    path: str, *, bitrate_bps: int, gop_pictures: int, system: V4l2System | None = None
) -> tuple[str, ...]:
    """Ask the camera's own H.264 encoder for a rate and for key frames that often, each with its parameter sets.

    What it has no control for, or refuses, stays as it is. Returns the keys of the controls that were set. Raises
    SourceError where the camera cannot be opened.
    """
    kernel = system if system is not None else V4l2System()
    fd = _opened(path, kernel)
    wanted = {
        v4l2.CID_B_FRAMES: 0,
        v4l2.CID_GOP_SIZE: gop_pictures,
        v4l2.CID_H264_I_PERIOD: gop_pictures,
        v4l2.CID_BITRATE: bitrate_bps,
        v4l2.CID_REPEAT_SEQUENCE_HEADER: 1,
    }
    done: list[str] = []
    try:
        for number, control in _controls(kernel, fd).items():
            if number in wanted:
                value = min(max(wanted[number], control.minimum), control.maximum)
                with contextlib.suppress(OSError):
                    kernel.ioctl(fd, v4l2.VIDIOC_S_CTRL, v4l2.control(number, value))
                    done.append(control.key)
    finally:
        kernel.close(fd)
    return tuple(done)


def _set(kernel: V4l2System, fd: int, path: str, control: CameraControl, value: int) -> None:
    try:
        kernel.ioctl(fd, v4l2.VIDIOC_S_CTRL, v4l2.control(control.id, value))
    except (OSError, struct.error) as error:
        takes = f"it takes {control.minimum} to {control.maximum}"
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.ERANGE):
            takes = str(error.strerror)
        raise ControlError(f"the camera {path} does not set {control.key} to {value}: {takes}") from None


def _opened(path: str, kernel: V4l2System) -> int:
    try:
        return kernel.open(path)
    except OSError as error:
        raise SourceError(f"the camera {path} cannot be opened: {error.strerror}") from None


def _controls(kernel: V4l2System, fd: int) -> dict[int, CameraControl]:
    found: dict[int, CameraControl] = {}
    after = 0
    for _ in range(_MAX_CONTROLS):
        answer = v4l2.control_question(after, is_next=True)
        try:
            kernel.ioctl(fd, v4l2.VIDIOC_QUERYCTRL, answer)
        except OSError:
            break
        told, is_usable = v4l2.read_control_range(answer)
        if told.id <= after:
            break
        after = told.id
        if told.kind and is_usable:
            value = None if told.kind == _BUTTON else _value(kernel, fd, told.id)
            found[told.id] = CameraControl(
                told.id, told.name, told.kind, told.minimum, told.maximum, told.step, told.default, value
            )
    return found


def _value(kernel: V4l2System, fd: int, number: int) -> int | None:
    answer = v4l2.control(number)
    try:
        kernel.ioctl(fd, v4l2.VIDIOC_G_CTRL, answer)
    except OSError:
        return None
    return v4l2.read_control(answer)
