"""The kernel's camera interface as bytes: numbers and structures of `linux/videodev2.h`, packed and read. Pure.

Structures follow the machine's own alignment, so that the same lines fit 32 and 64 bit kernels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

BUF_TYPE_VIDEO_CAPTURE = 1
BUF_TYPE_VIDEO_CAPTURE_MPLANE = 9
MEMORY_MMAP = 1

CAP_VIDEO_CAPTURE = 0x0000_0001
CAP_VIDEO_CAPTURE_MPLANE = 0x0000_1000
CAP_VIDEO_M2M_MPLANE = 0x0000_4000
CAP_VIDEO_M2M = 0x0000_8000
CAP_STREAMING = 0x0400_0000
CAP_DEVICE_CAPS = 0x8000_0000

BUF_FLAG_ERROR = 0x0000_0040
_BUF_FLAG_TIMESTAMP_MASK = 0x0000_E000
_BUF_FLAG_TIMESTAMP_MONOTONIC = 0x0000_2000

FRMSIZE_DISCRETE = 1
_FRMIVAL_DISCRETE = 1

WRITE, READ = 1, 2
_LONG = struct.calcsize("@l")

_CAPABILITY = struct.Struct("@16s32s32s6I")
_FMTDESC = struct.Struct("@3I32s5I")
_FORMAT = struct.Struct("@I0L12I152x")
_REQUEST = struct.Struct("@4IB3x")
_BUFFER = struct.Struct(f"@5I2l2I8B2I0LI{_LONG - 4}x3I0L")
_PARM = struct.Struct("@11I160x")
_FRMSIZE = struct.Struct("@11I")
_FRMIVAL = struct.Struct("@13I")
_INT = struct.Struct("@i")


def ioctl_number(direction: int, number: int, size: int) -> int:
    """Return the request number of one call: `READ`, `WRITE` or both, its number, and the size of its structure."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


VIDIOC_QUERYCAP = ioctl_number(READ, 0, _CAPABILITY.size)
VIDIOC_ENUM_FMT = ioctl_number(READ | WRITE, 2, _FMTDESC.size)
VIDIOC_S_FMT = ioctl_number(READ | WRITE, 5, _FORMAT.size)
VIDIOC_REQBUFS = ioctl_number(READ | WRITE, 8, _REQUEST.size)
VIDIOC_QUERYBUF = ioctl_number(READ | WRITE, 9, _BUFFER.size)
VIDIOC_QBUF = ioctl_number(READ | WRITE, 15, _BUFFER.size)
VIDIOC_DQBUF = ioctl_number(READ | WRITE, 17, _BUFFER.size)
VIDIOC_STREAMON = ioctl_number(WRITE, 18, _INT.size)
VIDIOC_S_PARM = ioctl_number(READ | WRITE, 22, _PARM.size)
VIDIOC_ENUM_FRAMESIZES = ioctl_number(READ | WRITE, 74, _FRMSIZE.size)
VIDIOC_ENUM_FRAMEINTERVALS = ioctl_number(READ | WRITE, 75, _FRMIVAL.size)


def fourcc_number(name: str) -> int:
    """Return the code of a four-letter pixel format ("YUYV")."""
    return int.from_bytes(name.encode("ascii").ljust(4)[:4], "little")


def fourcc_name(number: int) -> str:
    """Return the letters of a pixel format's code; what is no letter becomes a question mark."""
    text = (number & 0x7FFF_FFFF).to_bytes(4, "little").decode("ascii", "replace")
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text).rstrip()


@dataclass(frozen=True, slots=True)
class Capability:
    """Who a device is; `caps` are those of this node, not of the whole device."""

    driver: str
    card: str
    bus: str
    caps: int

    @property
    def captures(self) -> bool:
        """Whether pictures can be read from this node."""
        return bool(self.caps & CAP_VIDEO_CAPTURE) and bool(self.caps & CAP_STREAMING)

    @property
    def converts(self) -> bool:
        """Whether this node takes pictures from memory and gives back others: an encoder, a decoder, a scaler."""
        return bool(self.caps & (CAP_VIDEO_M2M | CAP_VIDEO_M2M_MPLANE))

    @property
    def captures_in_planes(self) -> bool:
        """Whether this node captures with the multi-planar calls only, as some camera processors do."""
        return bool(self.caps & CAP_VIDEO_CAPTURE_MPLANE) and not self.caps & CAP_VIDEO_CAPTURE


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a device delivers: `stride` is bytes from row to row (of the first plane), 0 where compressed."""

    fourcc: str
    width: int
    height: int
    stride: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """One of the device's buffers, as QUERYBUF and DQBUF tell; `stamp_s` is on the monotonic clock, or None."""

    index: int
    bytes_used: int
    flags: int
    stamp_s: float | None
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes a format comes in: from the smallest to the largest in steps; one size where both are the same."""

    min_width: int
    max_width: int
    step_width: int
    min_height: int
    max_height: int
    step_height: int


def empty_capability() -> bytearray:
    """Return room for QUERYCAP."""
    return bytearray(_CAPABILITY.size)


def read_capability(data: bytes | bytearray) -> Capability:
    """Read the answer to QUERYCAP."""
    driver, card, bus, _, caps, device_caps, *_ = _CAPABILITY.unpack(data)
    return Capability(
        shown_text(driver), shown_text(card), shown_text(bus), device_caps if caps & CAP_DEVICE_CAPS else caps
    )


def format_question(index: int, kind: int = BUF_TYPE_VIDEO_CAPTURE) -> bytearray:
    """Ask ENUM_FMT for the format number `index`."""
    return bytearray(_FMTDESC.pack(index, kind, 0, b"", 0, 0, 0, 0, 0))


def read_format_name(data: bytes | bytearray) -> str:
    """Return the four letters of the answer to ENUM_FMT."""
    return fourcc_name(_FMTDESC.unpack(data)[4])


def size_question(index: int, fourcc: str) -> bytearray:
    """Ask ENUM_FRAMESIZES for the size number `index` of a format."""
    return bytearray(_FRMSIZE.pack(index, fourcc_number(fourcc), *([0] * 9)))


def read_sizes(data: bytes | bytearray) -> tuple[SizeRange, bool]:
    """Return the sizes of the answer to ENUM_FRAMESIZES, and whether there may be another answer."""
    _, _, kind, *numbers = _FRMSIZE.unpack(data)
    if kind == FRMSIZE_DISCRETE:
        width, height = numbers[:2]
        return SizeRange(width, width, 1, height, height, 1), True
    return SizeRange(*numbers[:6]), False


def interval_question(index: int, fourcc: str, width: int, height: int) -> bytearray:
    """Ask ENUM_FRAMEINTERVALS for the picture interval number `index` of a format in a size."""
    return bytearray(_FRMIVAL.pack(index, fourcc_number(fourcc), width, height, *([0] * 9)))


def read_fps(data: bytes | bytearray) -> tuple[float | None, bool]:
    """Return the (largest) rate of the answer to ENUM_FRAMEINTERVALS, and whether there may be another answer."""
    values = _FRMIVAL.unpack(data)
    numerator, denominator = values[5:7]
    return (denominator / numerator if numerator else None), values[4] == _FRMIVAL_DISCRETE


def wanted_format(fourcc: str, width: int, height: int) -> bytearray:
    """Ask S_FMT for a format; the driver answers with what it makes of that."""
    return bytearray(_FORMAT.pack(BUF_TYPE_VIDEO_CAPTURE, width, height, fourcc_number(fourcc), *([0] * 9)))


def read_format(data: bytes | bytearray) -> PictureFormat:
    """Read the answer to S_FMT."""
    _, width, height, pixels, _, stride, size_bytes, *_ = _FORMAT.unpack(data)
    return PictureFormat(fourcc_name(pixels), width, height, stride, size_bytes)


def wanted_rate(fps: int) -> bytearray:
    """Ask S_PARM for a number of pictures per second."""
    return bytearray(_PARM.pack(BUF_TYPE_VIDEO_CAPTURE, 0, 0, 1, fps, *([0] * 6)))


def wanted_buffers(count: int) -> bytearray:
    """Ask REQBUFS for buffers to be mapped; 0 gives them back."""
    return bytearray(_REQUEST.pack(count, BUF_TYPE_VIDEO_CAPTURE, MEMORY_MMAP, 0, 0))


def read_buffer_count(data: bytes | bytearray) -> int:
    """Return how many buffers REQBUFS gave."""
    return int(_REQUEST.unpack(data)[0])


def buffer(index: int = 0) -> bytearray:
    """Name a buffer for QUERYBUF and QBUF; for DQBUF the index is of no matter."""
    numbers = [0] * _BUFFER_FIELDS
    numbers[0], numbers[1], numbers[_BUFFER_MEMORY] = index, BUF_TYPE_VIDEO_CAPTURE, MEMORY_MMAP
    return bytearray(_BUFFER.pack(*numbers))


def read_buffer(data: bytes | bytearray) -> Buffer:
    """Read the answer to QUERYBUF or DQBUF."""
    values = _BUFFER.unpack(data)
    index, _, bytes_used, flags = values[:4]
    seconds, microseconds = values[5:7]
    is_monotonic = flags & _BUF_FLAG_TIMESTAMP_MASK == _BUF_FLAG_TIMESTAMP_MONOTONIC
    stamp_s = seconds + microseconds / 1_000_000 if is_monotonic and (seconds or microseconds) else None
    return Buffer(index, bytes_used, flags, stamp_s, values[_BUFFER_MEMORY + 1], values[_BUFFER_MEMORY + 2])


def stream_type() -> bytearray:
    """The argument of STREAMON."""
    return bytearray(_INT.pack(BUF_TYPE_VIDEO_CAPTURE))


# index type bytesused flags field | seconds microseconds | timecode (10) | sequence memory | offset length 2 reserved
_BUFFER_FIELDS = 23
_BUFFER_MEMORY = 18


def shown_text(raw: bytes) -> str:
    """Return a driver's words, without what cannot be printed."""
    text = raw.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
