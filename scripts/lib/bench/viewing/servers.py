"""The servers that the bench `video` compares: ours, stock aiortc, and whatever was handed to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scripts.lib import peers
from scripts.lib.child import ROOT, Child

PROGRAMS = ROOT / "scripts/lib/bench/programs"
CHANNEL = "bench"
PRIORITY = -15
START_LIMIT_S = 15.0
CONFIG = """
gateway: {{name: bench}}
hub: {{url: "{hub.url}", key: "{hub.key}", channel: {channel}}}
cameras: {{yard: {{source: "{camera}", linger_s: 3600}}}}
"""

Address = dict[str, str]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process, and what a viewer needs to join."""

    pid: int
    at: Address


Start = Callable[[str, int], AbstractAsyncContextManager[Server]]
"""Starts a server for a camera's URL with that many seconds between key frames."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The server under test has a core of its own, where there are two; everything else shares the others."""

    server: frozenset[int]
    rest: frozenset[int]

    @classmethod
    def here(cls) -> Cores:
        every = sorted(os.sched_getaffinity(0))
        return cls(frozenset(every[:1]), frozenset(every[1:] or every))

    def enter(self) -> None:
        """Leave the server's core to it; children do the same."""
        os.sched_setaffinity(0, self.rest)

    @contextlib.contextmanager
    def for_server(self) -> Iterator[None]:
        """What is started inside runs on the server's core."""
        os.sched_setaffinity(0, self.server)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self.rest)


def prefer(pid: int) -> None:
    """Let a process go before what the machine does otherwise, where that is allowed: latencies are to be a server's.

    Linux shares the cores out among sessions first (sched(7), autogroup), and each child is a session of its own.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), PRIORITY)


@contextlib.asynccontextmanager
async def ours(camera: str, folder: Path, cores: Cores) -> AsyncIterator[Server]:
    """Run a hub, and the gateway with this camera."""
    async with peers.hub() as hub:
        config = folder / "edged.yaml"
        config.write_text(CONFIG.format(hub=hub, camera=camera, channel=CHANNEL))
        async with contextlib.AsyncExitStack() as stack:
            gateway = peers.Gateway(config, env={"STATE_DIRECTORY": str(folder)})
            with cores.for_server():
                await stack.enter_async_context(gateway)
            await gateway.ready()
            prefer(hub.child.pid)
            prefer(gateway.pid)
            yield Server(gateway.pid, {"hub": hub.url, "key": hub.key, "channel": CHANNEL})


@contextlib.asynccontextmanager
async def stock(camera: str, cores: Cores) -> AsyncIterator[Server]:
    """Run stock aiortc."""
    child = Child("stock aiortc", [sys.executable, PROGRAMS / "video_stock.py", camera], env=peers.tree_environment())
    async with contextlib.AsyncExitStack() as stack:
        with cores.for_server():
            await stack.enter_async_context(child)
        ready = await child.event("ready")
        prefer(child.pid)
        yield Server(child.pid, {"whep": ready["url"]})


@contextlib.asynccontextmanager
async def started(name: str, url: str, program: str, cores: Cores, _camera: str, gop_s: int) -> AsyncIterator[Server]:
    """Run a peer's start program, which has to become the server (exec), until the end of the block."""
    child = Child(name, [program])
    async with contextlib.AsyncExitStack() as stack:
        with cores.for_server():
            await stack.enter_async_context(child)
        await _accepts(url)
        prefer(child.pid)
        yield Server(child.pid, {"whep": url.replace("{gop}", str(gop_s))})


async def _accepts(url: str) -> None:
    """Wait until something listens there."""
    parts = urlsplit(url)
    async with asyncio.timeout(START_LIMIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@contextlib.asynccontextmanager
async def handed(url: str, pid: int, cores: Cores, _camera: str, gop_s: int) -> AsyncIterator[Server]:
    """Use a server that runs already, on the server's core until the end of the block."""
    before: dict[int, tuple[set[int], int]] = {}
    for thread in [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]:
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            before[thread] = (os.sched_getaffinity(thread), os.getpriority(os.PRIO_PROCESS, thread))
            os.sched_setaffinity(thread, cores.server)
    prefer(pid)
    try:
        yield Server(pid, {"whep": url.replace("{gop}", str(gop_s))})
    finally:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text("0")
        for thread, (cpus, priority) in before.items():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, cpus)
                os.setpriority(os.PRIO_PROCESS, thread, priority)
