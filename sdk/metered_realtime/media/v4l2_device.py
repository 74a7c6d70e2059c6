"""One camera of the Linux kernel: opened, set up, and its pictures taken out of shared memory. Every call may block."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from metered_realtime.media import v4l2
from metered_realtime.media.source_errors import (
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
)
from metered_realtime.media.v4l2_control_bytes import (
    CID_FORCE_KEY_FRAME,
    VIDIOC_QUERYCTRL,
    VIDIOC_S_CTRL,
    control_question,
    control_value,
    read_control_range,
)
from metered_realtime.media.v4l2_formats import CameraMode, nearest_size

_BUFFERS = 4
_MAX_ANSWERS = 256
# A driver may report one bad transfer; one that reports nothing else has lost its camera.
_MAX_FAULTS = 30


class Memory(Protocol):
    """A buffer of the device in our memory."""

    def __getitem__(self, part: slice) -> bytes: ...

    def close(self) -> None: ...


class V4l2System:
    """The calls of the kernel that a camera takes."""

    def open(self, path: str) -> int:
        """Open a device node."""
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        """Ask the driver; it answers in place."""
        fcntl.ioctl(fd, request, argument, True)

    def map(self, fd: int, length: int, offset: int) -> Memory:
        """Map one of its buffers."""
        return mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def is_readable(self, fd: int, within_s: float) -> bool:
        """Wait until the driver has something to say."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(within_s * 1000))

    def close(self, fd: int) -> None:
        """Close the node."""
        os.close(fd)


@dataclass(frozen=True, slots=True)
class CapturedPicture:
    """One picture as the camera gave it; `stamp_s` is on the monotonic clock, None where it has none."""

    data: bytes
    stamp_s: float | None


class V4l2Device:
    """A camera as a context manager: entering opens it, leaving gives everything back. Raises SourceError."""

    def __init__(self, path: str, system: V4l2System | None = None) -> None:
        self.path = path
        self.damaged_pictures = 0
        self._system = system if system is not None else V4l2System()
        self._fd = -1
        self._maps: list[Memory] = []
        self._faults = 0

    def __enter__(self) -> Self:
        try:
            self._fd = self._system.open(self.path)
        except OSError as error:
            raise self._error_of(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing the node stops the stream; its buffers live until they are unmapped.
        for memory in self._maps:
            memory.close()
        self._maps.clear()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._system.close(fd)

    def fileno(self) -> int:
        """The open node, for calls that are not made here; -1 while it is not open."""
        return self._fd

    def capability(self) -> v4l2.Capability:
        """Ask who it is."""
        answer = v4l2.empty_capability()
        self._ask(v4l2.VIDIOC_QUERYCAP, answer)
        return v4l2.read_capability(answer)

    def modes(self, *, width: int, height: int) -> list[CameraMode]:
        """Return what it can do; a range of sizes counts as the one of them nearest to the size given."""
        modes: list[CameraMode] = []
        for fourcc in self._formats():
            sizes = dict.fromkeys(nearest_size(sizes, width, height) for sizes in self._sizes(fourcc))
            modes += [
                CameraMode(fourcc, *size, self._max_fps(fourcc, *size)) for size in sizes or {(width, height): None}
            ]
        return modes

    def set_up(self, mode: CameraMode, *, fps: int) -> v4l2.PictureFormat:
        """Ask for a mode and a rate; return what the camera makes of it. A rate it refuses stays as it is."""
        answer = v4l2.wanted_format(mode.fourcc, mode.width, mode.height)
        self._ask(v4l2.VIDIOC_S_FMT, answer)
        if fps:
            self._try(v4l2.VIDIOC_S_PARM, v4l2.wanted_rate(fps))
        return v4l2.read_format(answer)

    @property
    def makes_key_frames(self) -> bool:
        """Whether its own encoder can be told to make a key frame now."""
        answer = control_question(CID_FORCE_KEY_FRAME)
        return self._try(VIDIOC_QUERYCTRL, answer) and read_control_range(answer)[1]

    def force_key_frame(self) -> bool:
        """Let the next picture be one that needs no other; False where it does not."""
        return self._try(VIDIOC_S_CTRL, control_value(CID_FORCE_KEY_FRAME, 1))

    def start(self) -> None:
        """Map its buffers and let it fill them."""
        answer = v4l2.wanted_buffers(_BUFFERS)
        self._ask(v4l2.VIDIOC_REQBUFS, answer)
        count = v4l2.read_buffer_count(answer)
        if not count:
            raise SourceFormatError(f"the camera {self.path} has no memory to read pictures from")
        for index in range(count):
            question = v4l2.buffer(index)
            self._ask(v4l2.VIDIOC_QUERYBUF, question)
            found = v4l2.read_buffer(question)
            try:
                self._maps.append(self._system.map(self._fd, found.length, found.offset))
            except OSError as error:
                raise self._error_of(error) from None
            self._ask(v4l2.VIDIOC_QBUF, v4l2.buffer(index))
        self._ask(v4l2.VIDIOC_STREAMON, v4l2.stream_type())

    def read(self, within_s: float) -> CapturedPicture | None:
        """Return the next picture; None where none came within that time, or it was damaged."""
        if not self._system.is_readable(self._fd, within_s):
            return None
        answer = v4l2.buffer()
        if not self._take(answer):
            return None
        filled = v4l2.read_buffer(answer)
        if filled.index >= len(self._maps):
            raise SourceError(f"the driver of the camera {self.path} names a buffer that it does not have")
        data = self._maps[filled.index][slice(0, filled.bytes_used)]
        self._ask(v4l2.VIDIOC_QBUF, v4l2.buffer(filled.index))
        if filled.flags & v4l2.BUF_FLAG_ERROR or not data:
            self.damaged_pictures += 1
            return None
        self._faults = 0
        return CapturedPicture(data, filled.stamp_s)

    def _take(self, answer: bytearray) -> bool:
        try:
            self._system.ioctl(self._fd, v4l2.VIDIOC_DQBUF, answer)
        except OSError as error:
            self._faults += 1
            if error.errno in (errno.EAGAIN, errno.EIO, errno.EINTR) and self._faults < _MAX_FAULTS:
                return False
            raise self._error_of(error) from None
        return True

    def _formats(self) -> Iterator[str]:
        for index in range(_MAX_ANSWERS):
            answer = v4l2.format_question(index)
            if not self._try(v4l2.VIDIOC_ENUM_FMT, answer):
                return
            yield v4l2.read_format_name(answer)

    def _sizes(self, fourcc: str) -> Iterator[v4l2.SizeRange]:
        for index in range(_MAX_ANSWERS):
            answer = v4l2.size_question(index, fourcc)
            if not self._try(v4l2.VIDIOC_ENUM_FRAMESIZES, answer):
                return
            sizes, may_go_on = v4l2.read_sizes(answer)
            yield sizes
            if not may_go_on:
                return

    def _max_fps(self, fourcc: str, width: int, height: int) -> float | None:
        rates: list[float] = []
        for index in range(_MAX_ANSWERS):
            answer = v4l2.interval_question(index, fourcc, width, height)
            if not self._try(v4l2.VIDIOC_ENUM_FRAMEINTERVALS, answer):
                break
            fps, may_go_on = v4l2.read_fps(answer)
            rates += [] if fps is None else [fps]
            if not may_go_on:
                break
        return max(rates, default=None)

    def _try(self, request: int, argument: bytearray) -> bool:
        """Ask what a driver may leave out: False where it does. Raises SourceError where the camera is gone."""
        try:
            self._system.ioctl(self._fd, request, argument)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise self._error_of(error) from None
            return False
        return True

    def _ask(self, request: int, argument: bytearray) -> None:
        try:
            self._system.ioctl(self._fd, request, argument)
        except OSError as error:
            raise self._error_of(error) from None

    def _error_of(self, error: OSError) -> SourceError:
        where = f"the camera {self.path}"
        if self._fd < 0 and error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return SourceNotFoundError(f"{where} is not there: is it plugged in?")
        if error.errno in (errno.EACCES, errno.EPERM):
            return SourceDeniedError(f'{where} may not be opened by this user: add the user to the group "video"')
        if error.errno == errno.EBUSY:
            return SourceBusyError(f"{where} is in use by another program")
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return SourceFormatError(f"{where} is no camera that can be read: {error.strerror}")
        if error.errno in (errno.ENODEV, errno.ENXIO, errno.EIO):
            return SourceLostError(f"{where} went away: {error.strerror}")
        return SourceError(f"{where} failed: {error.strerror}")
