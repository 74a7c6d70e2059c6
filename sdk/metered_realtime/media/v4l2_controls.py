"""The controls of a local camera - exposure, rotation, bit rate: listed, read and set. Every call may block. Linux."""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from metered_realtime.media.source_errors import SourceError
from metered_realtime.media.v4l2_control_bytes import (
    CID_B_FRAMES,
    CID_BITRATE,
    CID_GOP_SIZE,
    CID_H264_I_PERIOD,
    CID_REPEAT_SEQUENCE_HEADER,
    VIDIOC_G_CTRL,
    VIDIOC_QUERYCTRL,
    VIDIOC_S_CTRL,
    ControlRange,
    control_question,
    control_value,
    read_control,
    read_control_range,
)
from metered_realtime.media.v4l2_device import V4l2Device, V4l2System

_BUTTON = "button"
_MAX_CONTROLS = 256


class ControlError(SourceError):
    """A control cannot be set as it was asked for."""

    retry_after_s = 60.0


@dataclass(frozen=True, slots=True)
class CameraControl(ControlRange):
    """One control; `value` is None where it cannot be read, as that of a button."""

    value: int | None


def list_controls(path: str, system: V4l2System | None = None) -> list[CameraControl]:
    """Return what can be set. Raises SourceError."""
    kernel = system if system is not None else V4l2System()
    with V4l2Device(path, kernel) as device:
        fd = device.fileno()
        return [
            CameraControl(**asdict(told), value=None if told.kind == _BUTTON else _value(kernel, fd, told.id))
            for told in _controls(kernel, fd)
        ]


def set_controls(path: str, values: Mapping[str, int], system: V4l2System | None = None) -> None:
    """Set controls by their keys, in the order given. Raises ControlError, which says what it takes, or SourceError."""
    kernel = system if system is not None else V4l2System()
    with V4l2Device(path, kernel) as device:
        fd = device.fileno()
        known = {control.key: control for control in _controls(kernel, fd)}
        for key, value in values.items():
            if key not in known:
                raise ControlError(f"the camera {path} has no control {key!r}, but {', '.join(known) or 'none'}")
            _set(kernel, fd, path, known[key], value)


def suggest_encoding(
    path: str, *, bitrate_bps: int, gop_pictures: int, system: V4l2System | None = None
) -> tuple[str, ...]:
    """Ask the camera's own H.264 encoder for a rate and for key frames that often, each with its parameter sets.

    What it has no control for, or refuses, stays as it is. Returns the keys of the controls that were set. Raises
    SourceError where the camera cannot be opened.
    """
    kernel = system if system is not None else V4l2System()
    wanted = {
        CID_B_FRAMES: 0,
        CID_GOP_SIZE: gop_pictures,
        CID_H264_I_PERIOD: gop_pictures,
        CID_BITRATE: bitrate_bps,
        CID_REPEAT_SEQUENCE_HEADER: 1,
    }
    done: list[str] = []
    with V4l2Device(path, kernel) as device:
        for number, value in wanted.items():
            question = control_question(number)
            with contextlib.suppress(OSError):
                kernel.ioctl(device.fileno(), VIDIOC_QUERYCTRL, question)
                told, is_usable = read_control_range(question)
                if is_usable:
                    within = min(max(value, told.minimum), told.maximum)
                    kernel.ioctl(device.fileno(), VIDIOC_S_CTRL, control_value(number, within))
                    done.append(told.key)
    return tuple(done)


def _set(kernel: V4l2System, fd: int, path: str, control: ControlRange, value: int) -> None:
    try:
        kernel.ioctl(fd, VIDIOC_S_CTRL, control_value(control.id, value))
    except (OSError, struct.error) as error:
        takes = f"it takes {control.minimum} to {control.maximum}"
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.ERANGE):
            takes = str(error.strerror)
        raise ControlError(f"the camera {path} does not set {control.key} to {value}: {takes}") from None


def _controls(kernel: V4l2System, fd: int) -> Iterator[ControlRange]:
    after = 0
    for _ in range(_MAX_CONTROLS):
        answer = control_question(after, is_next=True)
        try:
            kernel.ioctl(fd, VIDIOC_QUERYCTRL, answer)
        except OSError:
            return
        told, is_usable = read_control_range(answer)
        if told.id <= after:
            return
        after = told.id
        if told.kind and is_usable:
            yield told


def _value(kernel: V4l2System, fd: int, number: int) -> int | None:
    answer = control_value(number)
    try:
        kernel.ioctl(fd, VIDIOC_G_CTRL, answer)
    except OSError:
        return None
    return read_control(answer)
