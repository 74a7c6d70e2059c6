"""The real parts of a site, each started on a free port of loopback: broker, hub, camera, gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts.lib.child import ROOT, Child

# The system's Python has GStreamer's bindings; a virtual environment has not.
SYSTEM_PYTHON = "/usr/bin/python3"
DEMO_KEY = "pk_live_demo"

Echo = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Broker:
    """A running mosquitto."""

    child: Child
    port: int


@dataclass(frozen=True, slots=True)
class Hub:
    """A running `edged hub`."""

    child: Child
    url: str
    page: str
    key: str


@dataclass(frozen=True, slots=True)
class Camera:
    """A running RTSP server; `url` has no path yet ("/cam", "/h265", ...)."""

    child: Child
    url: str


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def edged_command(*words: str) -> list[str]:
    """Return the command line of this tree's `edged`."""
    return [sys.executable, "-m", "edged", *words]


def tree_environment() -> dict[str, str]:
    """Return the environment in which Python finds both packages of this tree first."""
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk"), *([before] if before else [])])}


@contextlib.asynccontextmanager
async def mosquitto(*, port: int = 0, extra: str = "", echo: Echo = None) -> AsyncIterator[Broker]:
    """Run mosquitto on loopback; `extra` are further lines of its configuration file."""
    # Debian puts it where a user's PATH may not look.
    program = next((p for p in ("/usr/sbin/mosquitto",) if Path(p).exists()), "mosquitto")
    with tempfile.TemporaryDirectory(prefix="edged-mosquitto-") as folder:
        chosen = port or free_port()
        file = Path(folder) / "mosquitto.conf"
        # `user root`: started as root, it would otherwise change its user and lose the folder.
        file.write_text(f"listener {chosen} 127.0.0.1\nallow_anonymous true\nuser root\n{extra}\n")
        async with Child("mosquitto", [program, "-c", file], echo=echo) as child:
            await child.log_line(" running")
            yield Broker(child, chosen)


@contextlib.asynccontextmanager
async def hub(*words: str, port: int = 0, key: str = DEMO_KEY, echo: Echo = None) -> AsyncIterator[Hub]:
    """Run `edged hub` on loopback; `words` are further arguments."""
    command = edged_command("hub", "--listen", f"127.0.0.1:{port}", "--key", key, *words)
    async with Child("hub", command, env=tree_environment(), echo=echo) as child:
        ready = await child.event("ready")
        yield Hub(child, ready["url"], ready["page"], key)


@contextlib.asynccontextmanager
async def rtsp_camera(*words: str, port: int = 0, echo: Echo = None) -> AsyncIterator[Camera]:
    """Run gst-rtsp-server on loopback; `words` are arguments of rtsp_camera.py."""
    command = [SYSTEM_PYTHON, str(ROOT / "scripts/lib/rtsp_camera.py"), str(port), *words]
    async with Child("camera", command, echo=echo) as child:
        ready = await child.event("ready", timeout_s=30)
        yield Camera(child, ready["url"])


class Gateway(Child):
    """`edged run` with a configuration file; what it tells systemd arrives as events of kind "notify"."""

    def __init__(
        self,
        config: Path,
        *,
        env: Mapping[str, str] | None = None,
        echo: Echo = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """`launcher` is a command that runs `edged` with the words that follow it, under conditions of its own."""
        # An abstract name: there is no file to remove, and every gateway has its own.
        self._notify_name = f"edged-notify-{os.getpid()}-{id(self)}"
        self._notify: socket.socket | None = None
        environment = {**tree_environment(), **(env or {}), "NOTIFY_SOCKET": f"@{self._notify_name}"}
        words = ("run", "--config", str(config))
        command = [*launcher, *words] if launcher else edged_command(*words)
        super().__init__("edged", command, env=environment, echo=echo)

    async def start(self) -> Self:
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notify.bind(f"\0{self._notify_name}")
        asyncio.get_running_loop().add_reader(self._notify, self._take_notification)
        return await super().start()

    async def stop(self, *, grace_s: float = 8.0) -> int | None:
        code = await super().stop(grace_s=grace_s)
        if self._notify is not None:
            asyncio.get_running_loop().remove_reader(self._notify)
            self._notify.close()
            self._notify = None
        return code

    async def ready(self, *, timeout_s: float = 20.0) -> None:
        """Wait until it has told systemd READY=1."""
        await self.event("notify", READY="1", timeout_s=timeout_s)

    def _take_notification(self) -> None:
        assert self._notify is not None
        with contextlib.suppress(BlockingIOError):
            text = self._notify.recv(4096).decode()
            self.add_event({"event": "notify", **dict(line.split("=", 1) for line in text.splitlines() if "=" in line)})


@contextlib.asynccontextmanager
async def gateway(config: Path, *, env: Mapping[str, str] | None = None, echo: Echo = None) -> AsyncIterator[Gateway]:
    """Run `edged run CONFIG` and wait until it is ready."""
    async with Gateway(config, env=env, echo=echo) as child:
        await child.ready()
        yield child
