"""A Raspberry Pi's camera program, played by one that takes the same options and writes real H.264."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.cameras.errors import CameraError
from edged.cameras.libcamera import find_program, rpicam_words
from edged.cameras.pictures import can_be_encoded, open_pictures
from edged.settings import CameraSettings, Secret
from metered_realtime.media.access_unit import AccessUnit
from tests.sdk.media.test_rtsp import decoded_sizes

# Refuses what rpicam-vid does not know, and has what it was asked for in the pictures.
PROGRAM = """#!{python}
import argparse, json, os, signal, sys, time
from fractions import Fraction
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("nopreview", "inline", "flush", "hflip", "vflip", "low-latency"):
    parser.add_argument("--" + flag, action="store_true")
for option in ("timeout", "camera", "width", "height", "framerate", "bitrate", "intra", "rotation"):
    parser.add_argument("--" + option, type=int)
for option in ("codec", "profile", "level", "output", "exposure", "lens-position"):
    parser.add_argument("--" + option)
given = parser.parse_args()
here = {folder!r}
with open(here + "/told", "w") as file:
    json.dump({{"pid": os.getpid(), **vars(given)}}, file)
sys.stderr.write("[0:01] INFO Camera camera_manager.cpp:284 libcamera v0.3.2\\n")
if given.camera:
    sys.exit("ERROR: *** no cameras available ***")
assert (given.codec, given.output, given.timeout, given.inline) == ("h264", "-", 0, True)
sys.path[:0] = {path!r}
import av
codec = av.CodecContext.create("libx264", "w")
codec.width, codec.height, codec.pix_fmt, codec.gop_size = given.width, given.height, "yuv420p", given.intra
codec.time_base, codec.framerate, codec.bit_rate = Fraction(1, given.framerate), given.framerate, given.bitrate
codec.max_b_frames, codec.profile = 0, given.profile.capitalize()
codec.options = {{"preset": "ultrafast", "tune": "zerolatency"}}
for number in range(10_000):
    frame = av.VideoFrame(given.width, given.height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([number % 200]) * plane.buffer_size)
    frame.pts = number
    for packet in codec.encode(frame):
        sys.stdout.buffer.write(bytes(packet))
    if given.flush:
        sys.stdout.buffer.flush()
    time.sleep(1 / given.framerate)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program in it that is all there is on the PATH."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    (tmp_path / "rpicam-vid").write_text(PROGRAM.format(python=sys.executable, folder=str(tmp_path), path=site))
    (tmp_path / "rpicam-vid").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def camera(source: str = "libcamera:", **options: Any) -> CameraSettings:
    return CameraSettings(name="pi", source=Secret(source), width=64, height=48, fps=25, **options)


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "told").read_text()))


async def first(settings: CameraSettings, count: int) -> tuple[list[AccessUnit], Any]:
    units: list[AccessUnit] = []
    async with asyncio.timeout(15), open_pictures(settings) as pictures:
        async for unit in pictures.access_units():
            units.append(unit)
            if len(units) == count:
                break
    return units, pictures


async def test_its_pictures_are_those_that_the_settings_ask_for(folder: Path) -> None:
    settings = camera(bitrate_kbps=400, controls={"rotation": 180, "hflip": True, "vflip": False, "lens_position": 0.5})
    units, pictures = await first(settings, 60)
    assert decoded_sizes([unit.data for unit in units[:3]]) == [(64, 48)] * 3
    assert [number for number, unit in enumerate(units) if unit.is_key] == [0, 50], "one in two seconds"
    assert (pictures.video.profile, pictures.road) == ("Constrained Baseline", "by rpicam-vid")
    asked = told(folder)
    assert (asked["framerate"], asked["bitrate"], asked["rotation"]) == (25, 400_000, 180)
    assert (asked["hflip"], asked["vflip"], asked["lens_position"], asked["camera"]) == (True, False, "0.5", None)


async def test_leaving_ends_it(folder: Path) -> None:
    await first(camera(), 1)
    with pytest.raises(ProcessLookupError):
        os.kill(told(folder)["pid"], 0)


async def test_killed_or_stalled_it_is_lost_with_a_reason(folder: Path) -> None:
    for number, reason in ((signal.SIGKILL, "was ended by signal 9"), (signal.SIGSTOP, "sent no picture for 1 s")):
        async with asyncio.timeout(15), open_pictures(camera(timeout_s=1)) as pictures:
            units = pictures.access_units()
            await anext(units)
            os.kill(told(folder)["pid"], number)
            with pytest.raises(CameraError, match=reason):
                async for _ in units:
                    pass


async def test_a_camera_that_is_not_plugged_in_is_told_in_the_programs_words(folder: Path) -> None:
    with pytest.raises(CameraError, match=r"rpicam-vid ended with status 1: ERROR: \*\*\* no cameras available"):
        await first(camera("libcamera:3"), 1)


async def test_without_the_program_the_owner_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CameraError, match=r"needs the program rpicam-vid.* apt install") as missing:
        open_pictures(camera())
    assert missing.value.retry_after_s == 60.0
    assert not can_be_encoded(camera())


def test_no_value_of_the_settings_becomes_an_option(folder: Path) -> None:
    words = rpicam_words("rpicam-vid", "", camera(controls={"exposure": "--output", "ev": -0.5}))
    assert [word for word in words if word.startswith(("--exposure", "--ev", "--output"))] == [
        "--exposure=--output",
        "--ev=-0.5",
        "--output",
    ]
    assert words[-1] == "-"


def test_the_programs_older_name_is_found_too() -> None:
    assert find_program({"libcamera-vid": "/usr/bin/libcamera-vid"}.get) == "/usr/bin/libcamera-vid"


def test_a_large_picture_at_a_high_rate_is_announced_as_such() -> None:
    large = CameraSettings(name="pi", source=Secret("libcamera:"), width=1920, height=1080, fps=60)
    words = rpicam_words("rpicam-vid", "1", large)
    assert "--level=4.2" in words
    assert words[words.index("--camera") + 1] == "1"
    assert not [word for word in rpicam_words("rpicam-vid", "", camera()) if word.startswith("--level")]
