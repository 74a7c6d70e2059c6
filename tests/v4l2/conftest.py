"""Cameras of the Linux kernel, in the machine that scripts/test-v4l2 starts; nowhere else are these tests collected."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.child import Child

collect_ignore_glob = [] if os.environ.get("EDGED_TEST_V4L2") else ["test_*.py"]

# udev's name of the raw camera, made by a rule of the machine: it goes and comes back with the camera.
BY_ID = "/dev/v4l/by-id/usb-Vivid_0001-video-index0"
BY_PATH = "/dev/v4l/by-path/platform-vivid.0-video-index0"
MOTION, COMPRESSED = "/dev/video10", "/dev/video11"
_DRIVER = Path("/sys/bus/platform/drivers/vivid")
# Emulated, perhaps beside other work: what takes a second on a real machine takes many here.
PATIENCE_S = 150.0
TEST_S = 600


async def until(is_true: Callable[[], Any], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait for something the kernel or udev does, which nobody tells us of."""
    end_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < end_s, f"{what} did not happen within {within_s:g} s"
        await asyncio.sleep(0.05)


def run(*words: str) -> str:
    """Run a program and return what it wrote; it must end well."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def set_fault(name: str, value: int = 1) -> None:
    """Let the raw camera misbehave: "disconnect", "percentage_of_dropped_buffers", "inject_v4l2_buf_flag_error"."""
    run("v4l2-ctl", "--device", BY_ID, "--set-ctrl", f"{name}={value}")


def node(link: str = BY_ID) -> str:
    """Return the node that one of udev's names stands for at the moment."""
    return str(Path(link).resolve())


def node_in_planes() -> str:
    """Return the node of the second raw camera, which gives its pictures in separate planes."""
    names = Path("/sys/class/video4linux").glob("*/name")
    return next(f"/dev/{file.parent.name}" for file in names if file.read_text().strip() == "vivid-001-vid-cap")


async def unplug() -> None:
    (_DRIVER / "unbind").write_text("vivid.0")
    await until(lambda: not Path(BY_ID).exists(), "the camera's name going")


async def plug_in() -> None:
    (_DRIVER / "bind").write_text("vivid.0")
    await until(lambda: Path(BY_ID).exists() and Path(BY_PATH).exists(), "the camera's name coming back")
    run("udevadm", "settle")


@pytest.fixture
async def raw_camera() -> str:
    """The raw camera as it is when it has just been plugged in."""
    if (_DRIVER / "vivid.0").exists():
        await unplug()
    await plug_in()
    return BY_ID


def _feed(name: str, film: str, device: str) -> Child:
    words = ("-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", film, "-c", "copy")
    return Child(name, ["ffmpeg", *words, "-f", "v4l2", device])


async def _fed(feed: Child, device: str) -> None:
    def captures() -> bool:
        assert feed.returncode is None, feed.log
        return "Video Capture" in run("v4l2-ctl", "--device", device, "--info").partition("Device Caps")[2]

    await until(captures, f"{device} becoming a camera")


@pytest.fixture
async def fresh_loopback() -> None:
    """Both loopback nodes as after a start: the driver does not always take a second feeder."""
    await until(lambda: modprobe("--remove") == 0, "the loopback driver going")
    assert modprobe() == 0
    run("udevadm", "settle")


def modprobe(*options: str) -> int:
    return subprocess.run(["modprobe", *options, "v4l2loopback"], check=False, capture_output=True).returncode


@pytest.fixture
async def motion_camera(fresh_loopback: None) -> AsyncIterator[Child]:
    """What feeds `MOTION` with Motion JPEG, 320x240."""
    async with _feed("motion", "/srv/motion.avi", MOTION) as feed:
        await _fed(feed, MOTION)
        yield feed


@pytest.fixture
async def compressed_camera(fresh_loopback: None) -> AsyncIterator[Child]:
    """What feeds `COMPRESSED` with H.264, 320x240, a key frame each second."""
    async with _feed("compressed", "/srv/compressed.ts", COMPRESSED) as feed:
        await _fed(feed, COMPRESSED)
        yield feed
