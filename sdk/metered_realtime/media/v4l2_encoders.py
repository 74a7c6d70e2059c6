"""Device nodes that encode H.264 from memory to memory, found by asking every node of this machine. Blocks. Linux."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metered_realtime.media import v4l2
from metered_realtime.media.v4l2_device import V4l2System
from metered_realtime.media.v4l2_formats import H264

_MAX_FORMATS = 64


@dataclass(frozen=True, slots=True)
class EncoderNode:
    """One node that takes pictures and gives H.264."""

    path: str
    card: str


def _all_nodes() -> list[str]:
    return [str(path) for path in Path("/dev").glob("video*")]


def encoder_nodes(
    system: V4l2System | None = None, paths: Callable[[], list[str]] = _all_nodes
) -> tuple[tuple[EncoderNode, ...], tuple[str, ...]]:
    """Return the nodes, lowest number first, and what is to be said of nodes that could not be asked."""
    kernel = system if system is not None else V4l2System()
    found: list[EncoderNode] = []
    unasked: list[str] = []
    for path in sorted(paths(), key=lambda path: (len(path), path)):
        try:
            fd = kernel.open(path)
        except OSError as error:
            unasked.append(f"{path} cannot be opened: {error.strerror}")
            continue
        try:
            if (card := _encoder_card(kernel, fd)) is not None:
                found.append(EncoderNode(path, card))
        finally:
            kernel.close(fd)
    return tuple(found), tuple(unasked)


def _encoder_card(kernel: V4l2System, fd: int) -> str | None:
    answer = v4l2.empty_capability()
    try:
        kernel.ioctl(fd, v4l2.VIDIOC_QUERYCAP, answer)
    except OSError:
        return None
    who = v4l2.read_capability(answer)
    if not who.converts:
        return None
    # What comes out of a converter is what it captures, in one of two ways of counting planes.
    for kind in (v4l2.BUF_TYPE_VIDEO_CAPTURE_MPLANE, v4l2.BUF_TYPE_VIDEO_CAPTURE):
        if H264 in _formats(kernel, fd, kind):
            return who.card or who.driver
    return None


def _formats(kernel: V4l2System, fd: int, kind: int) -> list[str]:
    names: list[str] = []
    for index in range(_MAX_FORMATS):
        answer = v4l2.format_question(index, kind)
        try:
            kernel.ioctl(fd, v4l2.VIDIOC_ENUM_FMT, answer)
        except OSError:
            break
        names.append(v4l2.read_format_name(answer))
    return names
