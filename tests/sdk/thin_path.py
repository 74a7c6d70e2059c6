"""A link as narrow as a test wants it, between our sender of pictures and its socket: a rate, and a short queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metered_realtime.ice_connection import IceConnection
from metered_realtime.media.rtp_image import Run
from metered_realtime.media_path import MediaPath

QUEUE_S = 0.3
DELAY_S = 0.01


class ThinPath:
    """Lets `bps` through, None: everything. What does not fit a queue of QUEUE_S is lost, as in a router."""

    def __init__(self) -> None:
        self.bps: float | None = None
        self.lost = 0
        self.inner: MediaPath | None = None
        self._free_s = 0.0
        self._loop = asyncio.get_running_loop()

    def send_run(self, view: memoryview, run: Run) -> bool:
        for start in range(run.start, run.end, run.packet_bytes):
            self.send_one(bytes(view[start : min(start + run.packet_bytes, run.end)]))
        return True

    def send_one(self, packet: bytes) -> bool:
        assert self.inner is not None
        now_s = self._loop.time()
        self._free_s = max(self._free_s, now_s)
        if self._free_s - now_s > QUEUE_S:
            self.lost += 1
            return True
        if self.bps is not None:
            self._free_s += len(packet) * 8 / self.bps
        # In order with what was let through before, also when the link has just become wide.
        self._loop.call_at(self._free_s + DELAY_S, self.inner.send_one, bytes(packet))
        return True


@pytest.fixture
def thin_paths(monkeypatch: pytest.MonkeyPatch) -> dict[Any, ThinPath]:
    """Connections (`pc.ice`) in this dict send their pictures through these paths."""
    paths: dict[Any, ThinPath] = {}
    outlet = IceConnection.outlet

    def found(ice: IceConnection) -> MediaPath | None:
        path = outlet(ice)
        if path is None or ice not in paths:
            return path
        paths[ice].inner = path
        return paths[ice]

    monkeypatch.setattr(IceConnection, "outlet", found)
    return paths
