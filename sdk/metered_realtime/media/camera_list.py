"""Which cameras this machine has, and what they can do. Linux."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from metered_realtime.media.source_errors import SourceError, SourceNotFoundError
from metered_realtime.media.v4l2_device import V4l2Device, V4l2System
from metered_realtime.media.v4l2_formats import CameraMode, is_usable

DEV = Path("/dev")
_NODE = re.compile(r"video(\d+)$")


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """One camera. `stable_path` names it for ever, whatever is plugged in beside it; it is `path` where none exists.

    `modes` are those that can be used here; `problem` is a sentence where it could not be asked, else empty.
    """

    path: str
    stable_path: str
    name: str
    driver: str
    modes: tuple[CameraMode, ...]
    problem: str = ""


def list_cameras(
    *, width: int = 1280, height: int = 720, system: V4l2System | None = None, dev: Path = DEV
) -> list[CameraInfo]:
    """Return the cameras of this machine in the order of their numbers; blocks for some milliseconds each.

    Of a camera that scales freely the mode nearest to `width` and `height` stands for all.
    """
    stable = _stable_paths(dev)
    cameras: list[CameraInfo] = []
    for path in _nodes(dev):
        try:
            with V4l2Device(path, system) as device:
                who = device.capability()
                if not who.captures:
                    continue
                modes = tuple(mode for mode in device.modes(width=width, height=height) if is_usable(mode.fourcc))
                cameras.append(CameraInfo(path, stable.get(path, path), who.card, who.driver, modes))
        except SourceError as error:
            cameras.append(CameraInfo(path, stable.get(path, path), "", "", (), str(error)))
    return cameras


def first_camera(*, system: V4l2System | None = None, dev: Path = DEV) -> str:
    """Return the path of the first node that captures. Raises SourceError: SourceNotFoundError where there is none."""
    refused: SourceError | None = None
    for path in _nodes(dev):
        try:
            with V4l2Device(path, system) as device:
                if device.capability().captures:
                    return path
        except SourceError as error:
            refused = refused or error
    raise refused or SourceNotFoundError("there is no camera on this machine: is it plugged in?")


def _nodes(dev: Path) -> list[str]:
    found = ((match, path) for path in dev.glob("video*") if (match := _NODE.match(path.name)) is not None)
    return [str(path) for _, path in sorted(found, key=lambda item: int(item[0].group(1)))]


def _stable_paths(dev: Path) -> dict[str, str]:
    """Map nodes to the links that udev makes: by serial number where there is one, else by the port."""
    paths: dict[str, str] = {}
    for folder in ("by-path", "by-id"):
        for link in sorted((dev / "v4l" / folder).glob("*")):
            paths[str(dev / link.resolve().name)] = str(link)
    return paths
