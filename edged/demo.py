"""`edged demo`: the whole product on one machine with nothing else at hand. The hub in a child process, a built-in
test picture and a built-in greenhouse, and one line with the address of the viewer page."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged import log
from edged.app import serve
from edged.broker import Door, Subscriptions
from edged.browser_sdk import BrowserSdkError, fetch
from edged.demo_sensors import TOPIC, Greenhouse
from edged.errors import EdgedError
from edged.hub.pages import find_browser_sdk
from edged.process import run_until_signal
from edged.settings import (
    CameraSettings,
    GatewaySettings,
    HubLinkSettings,
    MqttSettings,
    RouteSettings,
    Secret,
    Settings,
    SiteSettings,
    TelemetrySettings,
)

_log = logging.getLogger(__name__)

CHANNEL = "demo"
_HUB_READY_S = 20.0
_HUB_STOP_S = 5.0
EXIT_FAILED = 1


class HubChildError(EdgedError):
    """The hub of the demonstration did not start, or ended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `edged demo`."""
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0", help="where the page is served")
    parser.add_argument("--seconds", metavar="N", type=float, default=None, help="stop after N seconds")
    parser.add_argument("--no-browser", action="store_true", help="print the address, do not open a browser")
    parser.add_argument("--browser-sdk", metavar="FILE", default="", help="file of the browser SDK (default: fetch it)")
    parser.add_argument("--verbose", action="store_true", help="show what happens")


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration until a signal, or for --seconds, and return the exit code."""
    key = f"pk_live_{secrets.token_hex(8)}"
    log.configure("info" if arguments.verbose else "warning", [key])
    try:
        sdk = _find_sdk(arguments.browser_sdk)
        with tempfile.TemporaryDirectory(prefix="edged-demo-") as folder:
            hub = HubChild(Path(folder), arguments.listen, key, sdk, is_verbose=arguments.verbose)
            return run_until_signal(
                lambda stop: _demonstrate(stop, hub, key, Path(folder), arguments), on_abort=hub.kill
            )
    except EdgedError as err:
        sys.stderr.write(f"edged demo: {err}\n")
        return EXIT_FAILED


def _find_sdk(given: str) -> Path:
    try:
        found = find_browser_sdk(given)
    except FileNotFoundError:
        raise BrowserSdkError(f"{given}: there is no such file; give the browser SDK's index.mjs") from None
    return found if found is not None else fetch(lambda line: print(line, flush=True))  # noqa: T201 - said to people


def demo_settings(url: str, key: str) -> Settings:
    """Return what a user would write in a settings file for this."""
    return Settings(
        gateway=GatewaySettings(name="demo"),
        hub=HubLinkSettings(url=url, key=Secret(key), channel=CHANNEL),
        cameras=(CameraSettings(name="picture", source=Secret("test:")),),
        telemetry=TelemetrySettings(routes=(RouteSettings(topic=TOPIC),)),
        # The greenhouse is no broker that could be told.
        site=SiteSettings(state="never"),
    )


def _open_greenhouse(
    _: MqttSettings, __: str, ___: Subscriptions, on_message: Callable[[Any], None], **_more: Any
) -> Door:
    return Greenhouse(on_message)


async def _demonstrate(
    stop: asyncio.Event, hub: HubChild, key: str, state_dir: Path, arguments: argparse.Namespace
) -> int:
    ready = await hub.start()
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(hub.watch(stop), name="hub child")]
            if arguments.seconds is not None:
                helpers.append(group.create_task(_stop_after(arguments.seconds, stop), name="time limit"))
            await serve(
                demo_settings(ready["url"], key),
                stop,
                state_dir=state_dir,
                open_door=_open_greenhouse,
                on_started=lambda: _show(f"{ready['page']}#channel={CHANNEL}&key={key}", arguments),
            )
            for helper in helpers:
                helper.cancel()
    finally:
        await hub.stop()
    if hub.has_failed:
        raise HubChildError("the hub ended by itself; run with --verbose to see why")
    return 0


def _show(address: str, arguments: argparse.Namespace) -> None:
    print(f"Camera and sensors are live at  {address}  (Ctrl-C ends it)", flush=True)  # noqa: T201 - said to people
    if not arguments.no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)


async def _stop_after(seconds: float, stop: asyncio.Event) -> None:
    await asyncio.sleep(seconds)
    stop.set()


class HubChild:
    """`edged hub` as a child process with a key of its own, which it reads from a file, not from its command line."""

    def __init__(self, folder: Path, listen: str, key: str, sdk: Path, *, is_verbose: bool) -> None:
        self._folder = folder
        self._listen = listen
        self._key = key
        self._sdk = sdk
        self._is_verbose = is_verbose
        self._process: asyncio.subprocess.Process | None = None
        self.has_failed = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> dict[str, Any]:
        """Start it and return its ready line. Raises HubChildError."""
        config = self._folder / "hub.yaml"
        config.touch(mode=0o600)
        config.write_text(f"keys:\n  - key: {json.dumps(self._key)}\n")
        command = [sys.executable, "-m", "edged", "hub", "--listen", self._listen, "--config", str(config)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            "--browser-sdk",
            str(self._sdk),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if self._is_verbose else asyncio.subprocess.PIPE,
            env={**os.environ, "STATE_DIRECTORY": str(self._folder)},
            # Ctrl-C is for us alone: the hub stays up until the parts have said good-bye to it.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_HUB_READY_S):
                return await self._ready_line(self._process)
        except TimeoutError:
            await self.stop()
            raise HubChildError(f"the hub was not ready within {_HUB_READY_S:.0f} s; is this machine busy?") from None

    async def _ready_line(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None
        line = await process.stdout.readline()
        try:
            ready: dict[str, Any] = json.loads(line)
            return {"url": str(ready["url"]), "page": str(ready["page"])}
        except (ValueError, KeyError, TypeError):
            said = (await process.stderr.read(4096)).decode("utf-8", "replace").strip() if process.stderr else ""
            await self.stop()
            raise HubChildError(said.splitlines()[-1] if said else "the hub did not start") from None

    async def watch(self, stop: asyncio.Event) -> None:
        """Read what it says, and stop the demonstration when it ends by itself."""
        assert self._process is not None
        async with asyncio.TaskGroup() as group:
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    group.create_task(_drain(pipe), name="hub output")
            await self._process.wait()
        if not stop.is_set():
            self.has_failed = True
            stop.set()

    async def stop(self) -> None:
        """End it, by force if it does not listen."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _HUB_STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End it at once, for the case that we do."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def _drain(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(4096):
        pass
