"""The camera of the bench `video`: served by gst-rtsp-server, and killed and started again where that is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from scripts.lib import peers
from scripts.lib.bench.viewing.figures import Order
from scripts.lib.bench.viewing.servers import PROGRAMS, prefer
from scripts.lib.child import Child

ENCODE_LIMIT_S = 90.0


class BenchCamera:
    """A camera at `url` with a path for each mount; `mounts`: name -> pictures from key frame to key frame."""

    def __init__(self, folder: Path, port: int, mounts: Mapping[str, int], content_s: int) -> None:
        self.url = f"rtsp://127.0.0.1:{port}"
        self._folder = folder
        self._argv: list[str | os.PathLike[str]] = [
            peers.SYSTEM_PYTHON,
            PROGRAMS / "video_rtsp_camera.py",
            str(port),
            "--folder",
            folder,
        ]
        self._argv += ["--seconds", str(content_s)]
        for name, gop in mounts.items():
            self._argv += ["--mount", f"{name}={gop}"]
        self._child = Child("camera", self._argv)

    async def start(self) -> None:
        self._child = Child("camera", self._argv)
        await self._child.start()
        await self._child.event("ready", timeout_s=ENCODE_LIMIT_S)
        prefer(self._child.pid)

    async def stop(self) -> None:
        await self._child.stop()

    async def restart(self, away_s: float) -> None:
        """Kill it as a power cut does, and start it again."""
        self._child.signal(signal.SIGKILL)
        await self._child.stop()
        await asyncio.sleep(away_s)
        await self.start()

    def order(self, mount: str) -> Order:
        """Return which picture follows which at a mount."""
        return Order(self._folder / f"{mount}.h264")


@contextlib.asynccontextmanager
async def bench_camera(
    folder: Path, port: int, mounts: Mapping[str, int], content_s: int
) -> AsyncIterator[BenchCamera]:
    """Run the camera; the first start encodes what it shows."""
    camera = BenchCamera(folder, port, mounts, content_s)
    try:
        await camera.start()
        yield camera
    finally:
        await camera.stop()
