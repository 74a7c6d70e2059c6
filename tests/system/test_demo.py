"""The two demonstrations, as a person would start them."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from scripts.lib import peers
from scripts.lib.browser import Browser
from scripts.lib.child import ROOT, Child
from scripts.lib.viewer import Viewer

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
PNG = b"\x89PNG\r\n\x1a\n"


def children_of(parent: int) -> list[int]:
    """Return the ids of the processes that `parent` has started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


async def test_headless_demo_reports_what_the_page_saw() -> None:
    screenshot = ROOT / "demo.png"
    screenshot.unlink(missing_ok=True)
    async with Child("demo", [ROOT / "scripts/demo", "--headless", "--seconds", "4"]) as demo:
        code = await demo.exited(timeout_s=90)
        last = [line for line in demo.log_lines if line.startswith("{")][-1]

    assert code == 0, demo.log
    summary = json.loads(last)
    assert summary["frames_decoded"] > 50
    assert (summary["width"], summary["height"]) == (1280, 720)
    assert 0 < summary["first_frame_ms"] < 10_000
    assert summary["readings_received"] >= 8
    assert summary["readings_lost"] == 0
    assert screenshot.read_bytes().startswith(PNG)


async def test_ctrl_c_ends_the_demo_and_all_that_it_started() -> None:
    async with Child("demo", [ROOT / "scripts/demo"]) as demo:
        await demo.log_line("are live at", timeout_s=60)
        started = children_of(demo.pid)
        assert len(started) >= 5

        demo.signal(signal.SIGINT)

        assert await demo.exited(timeout_s=30) == 0
        assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


async def test_edged_demo_shows_its_picture_and_its_sensors() -> None:
    command = peers.edged_command("demo", "--no-browser")
    async with Child("edged demo", command, env=peers.tree_environment()) as demo, Browser() as browser:
        line = await demo.log_line("http://", timeout_s=30)
        address = re.search(r"http://\S+", line)
        assert address is not None
        viewer = Viewer(await browser.open(address[0]))

        assert await viewer.first_frame_ms() < 10_000
        camera = (await viewer.cameras())[0]
        await viewer.frames_above(camera.name, 25)
        assert (await viewer.readings_at_least(3)).count >= 3

        demo.signal(signal.SIGINT)
        assert await demo.exited(timeout_s=15) in (0, 130)
