"""The camera of a Raspberry Pi (`source: libcamera:`): rpicam-vid with the options that the settings mean. Pure, but
for looking for the program."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edged.cameras.errors import CameraError
from edged.settings import CameraSettings

# Debian's and Raspberry Pi OS's name since 2023, and the one before.
PROGRAMS = ("rpicam-vid", "libcamera-vid")
_MISSING_S = 60.0
_KEY_FRAME_INTERVAL_S = 2.0
# Macroblocks a second of H.264 level 4.0, rpicam-vid's default (ITU-T H.264 table A-1).
_LEVEL_4_RATE = 245_760


def find_program(which: Callable[[str], str | None] = shutil.which) -> str:
    """Return the program's path. Raises CameraError where this machine has none."""
    for name in PROGRAMS:
        if (path := which(name)) is not None:
            return path
    raise CameraError(
        "it needs the program rpicam-vid, which this machine does not have: apt install rpicam-apps-lite "
        "(Raspberry Pi OS)",
        retry_after_s=_MISSING_S,
    )


def rpicam_words(program: str, number: str, settings: CameraSettings) -> list[str]:
    """Return the command of a camera; `number` is which of several, empty for the first."""
    words = [program, "--nopreview", "--timeout", "0", "--codec", "h264", "--inline", "--flush"]
    if number:
        words += ["--camera", number]
    words += [
        *("--width", str(settings.width), "--height", str(settings.height), "--framerate", str(settings.fps)),
        *("--bitrate", str(settings.bitrate_kbps * 1000)),
        *("--intra", str(max(1, round(settings.fps * _KEY_FRAME_INTERVAL_S)))),
    ]
    options = {name.replace("_", "-"): value for name, value in settings.controls.items()}
    options.setdefault("profile", "baseline")
    macroblocks = -(-settings.width // 16) * -(-settings.height // 16)
    if macroblocks * settings.fps > _LEVEL_4_RATE:
        options.setdefault("level", "4.2")
    return [*words, *_options(options), "--output", "-"]


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value is False:
            continue
        # One word, so that no value is taken for an option.
        yield f"--{name}" if value is True else f"--{name}={value}"
