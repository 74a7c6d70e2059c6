"""The demonstration: the real hub in a child process, the real gateway in this one."""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from edged import demo
from edged.demo import HubChild, HubChildError, demo_settings

ROOT = Path(__file__).parents[2]
KEY = "pk_live_test"


@pytest.fixture
def sdk(tmp_path):
    path = tmp_path / "sdk.mjs"
    path.write_text("export {};\n")
    return path


def command(*words):
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    env.pop("DISPLAY", None)
    env.pop("WAYLAND_DISPLAY", None)
    return subprocess.Popen(
        [sys.executable, "-m", "edged", "demo", *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_of(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


async def test_the_hub_starts_with_a_key_that_no_process_list_shows(tmp_path, sdk):
    hub = HubChild(tmp_path, "127.0.0.1:0", KEY, sdk, is_verbose=False)
    ready = await hub.start()
    try:
        assert ready["url"].startswith("ws://127.0.0.1:")
        assert KEY not in Path(f"/proc/{hub.pid}/cmdline").read_text()
        assert (tmp_path / "hub.yaml").stat().st_mode & 0o077 == 0
    finally:
        await hub.stop()
    assert hub.pid is None


async def test_a_hub_that_cannot_start_says_why_in_one_sentence(tmp_path, sdk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HubChildError, match=f"127.0.0.1:{port} is in use by another program"):
            await HubChild(tmp_path, f"127.0.0.1:{port}", KEY, sdk, is_verbose=False).start()


async def test_a_hub_that_ends_by_itself_ends_the_demonstration(tmp_path, sdk):
    hub = HubChild(tmp_path, "127.0.0.1:0", KEY, sdk, is_verbose=False)
    await hub.start()
    stop = asyncio.Event()
    hub.kill()
    await hub.watch(stop)
    assert stop.is_set()
    assert hub.has_failed


async def test_a_hub_that_is_told_to_end_has_not_failed(tmp_path, sdk):
    hub = HubChild(tmp_path, "127.0.0.1:0", KEY, sdk, is_verbose=False)
    await hub.start()
    stop = asyncio.Event()
    stop.set()
    await asyncio.gather(hub.watch(stop), hub.stop())
    assert not hub.has_failed
    await hub.stop()


def test_the_settings_of_the_demonstration_have_no_fault():
    settings = demo_settings("ws://127.0.0.1:1", KEY)
    assert not list(settings.cross_faults())
    assert settings.cameras[0].source == "test:"


def test_a_browser_sdk_that_is_not_there_is_one_sentence(capsys):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert demo.run(parser.parse_args(["--browser-sdk", "/nowhere/index.mjs"])) == 1
    assert capsys.readouterr().err == (
        "edged demo: /nowhere/index.mjs: there is no such file; give the browser SDK's index.mjs\n"
    )


def test_the_demonstration_prints_one_line_and_leaves_nothing_behind(sdk):
    child = command("--no-browser", "--browser-sdk", str(sdk))
    try:
        line = child.stdout.readline()
        assert line.startswith("Camera and sensors are live at  http://127.0.0.1:")
        page = line.split()[6]
        assert "#channel=demo&key=pk_live_" in page
        with urllib.request.urlopen(page.split("#")[0] + "healthz", timeout=10) as answer:
            assert json.load(answer)
        hubs = children_of(child.pid)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, out, err) == (0, "", "")
    assert hubs
    assert not any(Path(f"/proc/{hub}").exists() for hub in hubs)


def test_the_demonstration_ends_after_the_seconds_it_was_given(sdk):
    child = command("--no-browser", "--browser-sdk", str(sdk), "--seconds", "0.5", "--verbose")
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert out.count("\n") == 1
    assert "ready: gateway demo, cameras: 1, routes: 1" in err
    assert "pk_live_" not in err.replace("pk_live_***", "")
    assert "Traceback" not in err
