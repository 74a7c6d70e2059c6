"""The controls of a camera as bytes: numbers and structures of `linux/v4l2-controls.h`, packed and read. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from metered_realtime.media.v4l2 import READ, WRITE, ioctl_number, shown_text

_CONTROL = struct.Struct("@Ii")
_QUERY = struct.Struct("@2I32s4iI2I")

# What an encoder inside a camera can be asked.
CID_B_FRAMES = 0x0099_09CA
CID_GOP_SIZE = 0x0099_09CB
CID_BITRATE = 0x0099_09CF
CID_REPEAT_SEQUENCE_HEADER = 0x0099_09E2
CID_FORCE_KEY_FRAME = 0x0099_09E5
CID_H264_I_PERIOD = 0x0099_0A66

CONTROL_KINDS = {1: "number", 2: "switch", 3: "menu", 4: "button", 9: "menu"}
_CONTROL_NEXT = 0x8000_0000
_CONTROL_DISABLED = 0x0001

VIDIOC_G_CTRL = ioctl_number(READ | WRITE, 27, _CONTROL.size)
VIDIOC_S_CTRL = ioctl_number(READ | WRITE, 28, _CONTROL.size)
VIDIOC_QUERYCTRL = ioctl_number(READ | WRITE, 36, _QUERY.size)


@dataclass(frozen=True, slots=True)
class ControlRange:
    """What a control takes. `kind` is one of `CONTROL_KINDS`' values, or empty for one that is no use here."""

    id: int
    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int

    @property
    def key(self) -> str:
        """The name as one word: "exposure_time_absolute"."""
        letters = (letter.lower() if letter.isalnum() else " " for letter in self.name)
        return "_".join("".join(letters).split())


def control_question(control_id: int, *, is_next: bool = False) -> bytearray:
    """Ask QUERYCTRL for a control, or for the one after it."""
    return bytearray(_QUERY.pack(control_id | (_CONTROL_NEXT if is_next else 0), 0, b"", 0, 0, 0, 0, 0, 0, 0))


def read_control_range(data: bytes | bytearray) -> tuple[ControlRange, bool]:
    """Read the answer to QUERYCTRL: the control, and whether it can be used now."""
    number, kind, name, minimum, maximum, step, default, flags = _QUERY.unpack(data)[:8]
    text, known = shown_text(name), CONTROL_KINDS.get(kind, "")
    return ControlRange(number, text, known, minimum, maximum, step, default), not flags & _CONTROL_DISABLED


def control_value(control_id: int, value: int = 0) -> bytearray:
    """Name a control and its value for S_CTRL and G_CTRL. Raises struct.error for a value beyond 32 bits."""
    return bytearray(_CONTROL.pack(control_id, value))


def read_control(data: bytes | bytearray) -> int:
    """Return the value in the answer to G_CTRL."""
    return int(_CONTROL.unpack(data)[1])
