"""The controls of a local camera - exposure, rotation, bit rate: listed, read and set. Every call may block. Linux."""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from metered_realtime.media.source_errors import SourceError
from metered_realtime.media.v4l2_device import V4l2System

# linux/videodev2.h: struct v4l2_queryctrl, struct v4l2_control.
_QUERY = struct.Struct("@2I32s4iI2I")
_CONTROL = struct.Struct("@Ii")
_VIDIOC_G_CTRL = 3 << 30 | _CONTROL.size << 16 | ord("V") << 8 | 27
_VIDIOC_S_CTRL = 3 << 30 | _CONTROL.size << 16 | ord("V") << 8 | 28
_VIDIOC_QUERYCTRL = 3 << 30 | _QUERY.size << 16 | ord("V") << 8 | 36
_NEXT = 0x8000_0000
_DISABLED = 0x0001
_KINDS = {1: "number", 2: "switch", 3: "menu", 4: "button", 9: "menu"}
_BUTTON = "button"
_MAX_CONTROLS = 256


class ControlError(SourceError):
    """A control cannot be set as it was asked for."""

    retry_after_s = 60.0


@dataclass(frozen=True, slots=True)
class CameraControl:
    """One control; `value` is None where it cannot be read, as that of a button."""

    id: int
    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
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


def _set(kernel: V4l2System, fd: int, path: str, control: CameraControl, value: int) -> None:
    try:
        kernel.ioctl(fd, _VIDIOC_S_CTRL, bytearray(_CONTROL.pack(control.id, value)))
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
        answer = bytearray(_QUERY.pack(after | _NEXT, 0, b"", 0, 0, 0, 0, 0, 0, 0))
        try:
            kernel.ioctl(fd, _VIDIOC_QUERYCTRL, answer)
        except OSError:
            break
        number, kind, name, minimum, maximum, step, default, flags = _QUERY.unpack(answer)[:8]
        if number <= after:
            break
        after = number
        if kind in _KINDS and not flags & _DISABLED:
            text = name.partition(b"\0")[0].decode("utf-8", "replace")
            shown = "".join(letter if letter.isprintable() else "?" for letter in text)
            value = None if _KINDS[kind] == _BUTTON else _value(kernel, fd, number)
            found[number] = CameraControl(number, shown, _KINDS[kind], minimum, maximum, step, default, value)
    return found


def _value(kernel: V4l2System, fd: int, number: int) -> int | None:
    answer = bytearray(_CONTROL.pack(number, 0))
    try:
        kernel.ioctl(fd, _VIDIOC_G_CTRL, answer)
    except OSError:
        return None
    return int(_CONTROL.unpack(answer)[1])
