"""A camera at the kernel's door: answers `V4l2System`'s calls from structures laid out by ctypes, not by our code."""

from __future__ import annotations

import ctypes
import errno
import threading
from collections import deque
from typing import Any

from metered_realtime.media.v4l2_device import V4l2System

CAPTURE = 0x0000_0001
CAPTURE_MPLANE = 0x0000_1000
METADATA = 0x0080_0000
STREAMING = 0x0400_0000
MONOTONIC = 0x2000
ERROR_FLAG = 0x40
BUFFER_BYTES = 1 << 20

U32 = ctypes.c_uint32


class Capability(ctypes.Structure):
    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus", ctypes.c_char * 32),
        ("version", U32),
        ("capabilities", U32),
        ("device_caps", U32),
        ("reserved", U32 * 3),
    )


class FormatDescription(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("type", U32),
        ("flags", U32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", ctypes.c_char * 4),
        ("mbus_code", U32),
        ("reserved", U32 * 3),
    )


class Format(ctypes.Structure):
    class Union(ctypes.Union):
        class Pixels(ctypes.Structure):
            _fields_ = (
                ("width", U32),
                ("height", U32),
                ("pixelformat", ctypes.c_char * 4),
                ("field", U32),
                ("bytesperline", U32),
                ("sizeimage", U32),
            )

        # A window has pointers in it: the union is aligned for them.
        _fields_ = (("pix", Pixels), ("pointer", ctypes.c_void_p), ("raw", ctypes.c_ubyte * 200))

    _fields_ = (("type", U32), ("fmt", Union))


class Requested(ctypes.Structure):
    _fields_ = (
        ("count", U32),
        ("type", U32),
        ("memory", U32),
        ("capabilities", U32),
        ("flags", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte * 3),
    )


class Buffer(ctypes.Structure):
    class Place(ctypes.Union):
        _fields_ = (("offset", U32), ("userptr", ctypes.c_ulong))

    _fields_ = (
        ("index", U32),
        ("type", U32),
        ("bytesused", U32),
        ("flags", U32),
        ("field", U32),
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("timecode", U32 * 4),
        ("sequence", U32),
        ("memory", U32),
        ("m", Place),
        ("length", U32),
        ("reserved2", U32),
        ("request_fd", U32),
    )


class Parameters(ctypes.Structure):
    _fields_ = (
        ("type", U32),
        ("capability", U32),
        ("capturemode", U32),
        ("numerator", U32),
        ("denominator", U32),
        ("rest", ctypes.c_ubyte * 184),
    )


class FrameSize(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("pixelformat", ctypes.c_char * 4),
        ("type", U32),
        ("numbers", U32 * 6),
        ("reserved", U32 * 2),
    )


class FrameInterval(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("pixelformat", ctypes.c_char * 4),
        ("width", U32),
        ("height", U32),
        ("type", U32),
        ("numbers", U32 * 6),
        ("reserved", U32 * 2),
    )


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


class FakeMemory:
    def __init__(self) -> None:
        self.data = bytearray(BUFFER_BYTES)
        self.is_closed = False

    def __getitem__(self, part: slice) -> bytes:
        assert not self.is_closed
        return bytes(self.data[part])

    def close(self) -> None:
        self.is_closed = True


class FakeCamera:
    """One camera. `formats`: letters -> list of (width, height, rates), or a tuple of six numbers, a range of sizes."""

    def __init__(
        self, formats: dict[str, Any], *, card: str = "Fake Cam", caps: int = CAPTURE | STREAMING, stride: int = 0
    ) -> None:
        self.formats = formats
        self.card = card
        self.caps = caps
        self.stride = stride
        self.made_format: str | None = None
        self.open_error: int | None = None
        self.is_plugged = True
        self.has_rates = True
        self.names_wrong_buffer = False
        self.buffer_count = 4
        self.rates: list[tuple[int, int]] = []
        # id -> (type, name, minimum, maximum)
        self.controls: dict[int, tuple[int, str, int, int]] = {}
        self.set_controls: list[tuple[int, int]] = []
        self.refuses_controls = False
        self.set_formats: list[tuple[str, int, int]] = []
        self.memories: list[FakeMemory] = []
        self.queued: deque[int] = deque()
        self.filled: deque[tuple[bytes, int, float] | int] = deque()
        self.is_streaming = False
        self.opened = 0
        self.closed = 0
        self.changed = threading.Condition()

    def give(self, data: bytes, *, flags: int = MONOTONIC, stamp_s: float = 1.5) -> None:
        """Have a picture ready."""
        self._put((data, flags, stamp_s))

    def fail(self, number: int) -> None:
        """Let the next DQBUF fail."""
        self._put(number)

    def unplug(self) -> None:
        with self.changed:
            self.is_plugged = False
            self.changed.notify_all()

    def plug(self) -> None:
        self.is_plugged = True

    def _put(self, item: tuple[bytes, int, float] | int) -> None:
        with self.changed:
            self.filled.append(item)
            self.changed.notify_all()


class FakeSystem(V4l2System):
    """The kernel with some cameras: path -> camera."""

    def __init__(self, cameras: dict[str, FakeCamera]) -> None:
        self.cameras = cameras
        self._open: dict[int, FakeCamera] = {}

    def open(self, path: str) -> int:
        camera = self.cameras.get(path)
        if camera is None or not camera.is_plugged:
            raise OSError(errno.ENOENT, "No such file or directory")
        if camera.open_error is not None:
            raise OSError(camera.open_error, "refused")
        camera.opened += 1
        fd = 1000 + len(self._open)
        self._open[fd] = camera
        return fd

    def close(self, fd: int) -> None:
        camera = self._open[fd]
        camera.closed += 1
        camera.is_streaming = False

    def map(self, fd: int, length: int, offset: int) -> FakeMemory:
        assert length == BUFFER_BYTES
        assert offset == len(self._open[fd].memories) * BUFFER_BYTES
        memory = FakeMemory()
        self._open[fd].memories.append(memory)
        return memory

    def is_readable(self, fd: int, within_s: float) -> bool:
        camera = self._open[fd]
        with camera.changed:
            return camera.changed.wait_for(lambda: bool(camera.filled) or not camera.is_plugged, within_s)

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        camera = self._open[fd]
        if not camera.is_plugged:
            raise OSError(errno.ENODEV, "No such device")
        number, size = request & 0xFF, request >> 16 & 0x3FFF
        assert size == len(argument)
        if number not in _CALLS:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        getattr(self, _CALLS[number])(camera, argument)

    def _querycap(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Capability.from_buffer(argument)
        answer.driver, answer.card = b"fake", camera.card.encode()
        answer.capabilities, answer.device_caps = 0x8000_0000 | CAPTURE | STREAMING, camera.caps

    def _enum_fmt(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = FormatDescription.from_buffer(argument)
        answer.pixelformat = _nth(list(camera.formats), answer.index).encode().ljust(4)

    def _s_fmt(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Format.from_buffer(argument)
        pix = answer.fmt.pix
        camera.set_formats.append((pix.pixelformat.decode(), pix.width, pix.height))
        if camera.made_format is not None:
            pix.pixelformat = camera.made_format.encode().ljust(4)
        pix.bytesperline, pix.sizeimage = camera.stride, BUFFER_BYTES
        camera.memories.clear()

    def _reqbufs(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Requested.from_buffer(argument)
        assert (answer.type, answer.memory) == (1, 1)
        answer.count = min(answer.count, camera.buffer_count)

    def _querybuf(self, _: FakeCamera, argument: bytearray) -> None:
        answer = Buffer.from_buffer(argument)
        answer.m.offset, answer.length = answer.index * BUFFER_BYTES, BUFFER_BYTES

    def _qbuf(self, camera: FakeCamera, argument: bytearray) -> None:
        camera.queued.append(Buffer.from_buffer(argument).index)

    def _dqbuf(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Buffer.from_buffer(argument)
        assert camera.is_streaming
        if not camera.filled:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        item = camera.filled.popleft()
        if isinstance(item, int):
            raise OSError(item, "fault")
        data, flags, stamp_s = item
        answer.index = camera.queued.popleft()
        camera.memories[answer.index].data[: len(data)] = data
        answer.bytesused, answer.flags = len(data), flags
        answer.seconds, answer.microseconds = int(stamp_s), round(stamp_s % 1 * 1_000_000)
        if camera.names_wrong_buffer:
            answer.index = 99

    def _stream_on(self, camera: FakeCamera, argument: bytearray) -> None:
        assert int.from_bytes(argument, "little") == 1
        camera.is_streaming = True

    def _s_parm(self, camera: FakeCamera, argument: bytearray) -> None:
        if not camera.has_rates:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        answer = Parameters.from_buffer(argument)
        camera.rates.append((answer.numerator, answer.denominator))

    def _query_control(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Query.from_buffer(argument)
        asked, is_next = answer.id & 0x7FFF_FFFF, bool(answer.id & 0x8000_0000)
        known = sorted(number for number in camera.controls if (number > asked if is_next else number == asked))
        answer.id = _nth(known, 0)
        answer.type, name, answer.minimum, answer.maximum = camera.controls[answer.id]
        answer.name = name.encode()

    def _set_control(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = Value.from_buffer(argument)
        if answer.id not in camera.controls or camera.refuses_controls:
            raise OSError(errno.EINVAL, "Invalid argument")
        camera.set_controls.append((answer.id, answer.value))

    def _enum_framesizes(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = FrameSize.from_buffer(argument)
        sizes = camera.formats[answer.pixelformat.decode().rstrip()]
        if isinstance(sizes, tuple):
            _nth([sizes], answer.index)
            answer.type, answer.numbers = 3, sizes
        else:
            answer.type = 1
            answer.numbers[:2] = _nth(sizes, answer.index)[:2]

    def _enum_frameintervals(self, camera: FakeCamera, argument: bytearray) -> None:
        answer = FrameInterval.from_buffer(argument)
        sizes = camera.formats[answer.pixelformat.decode().rstrip()]
        if isinstance(sizes, tuple):
            raise OSError(errno.EINVAL, "Invalid argument")
        rates = next((size[2] for size in sizes if size[:2] == (answer.width, answer.height)), [])
        answer.type = 1
        answer.numbers[:2] = (1, _nth(rates, answer.index))


_CALLS = {
    0: "_querycap",
    2: "_enum_fmt",
    5: "_s_fmt",
    8: "_reqbufs",
    9: "_querybuf",
    15: "_qbuf",
    17: "_dqbuf",
    18: "_stream_on",
    22: "_s_parm",
    28: "_set_control",
    36: "_query_control",
    74: "_enum_framesizes",
    75: "_enum_frameintervals",
}


def _nth(items: list[Any], index: int) -> Any:
    if index >= len(items):
        raise OSError(errno.EINVAL, "Invalid argument")
    return items[index]
