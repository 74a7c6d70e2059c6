"""A camera's bad day as one viewer sees it: it reboots, hangs, its cable is pulled. The viewer keeps its session, is
told every time, and goes on with a key frame at the time that really passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from metered_realtime import Data, MeteredPeer, PeerJoined, StreamAdded
from metered_realtime.media.received import ReceivedTrack
from scripts.lib.tcp_cutter import tcp_cutter
from tests.sdk.media.camera_process import camera as rtsp_camera
from tests.system.conftest import CHANNEL, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
TIMEOUT_S = 1
CLOCK_RATE = 90_000
# Of a gap in the timestamps from the real one: this machine is busy with other tests.
GAP_WITHIN_S = 0.25


class Picture(NamedTuple):
    at_s: float
    pts_90k: int
    is_key: bool


class Viewer:
    """A member that looks at the camera, and hears what is said of it."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.states: list[dict[str, Any]] = []
        self.streams = 0
        self._changed = asyncio.Event()
        self._watches: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def watching(self, site: Site) -> AsyncIterator[None]:
        assert site.hub is not None
        peer = MeteredPeer(api_key=site.hub.key, url=site.hub.url)
        peer.on(PeerJoined, lambda event: event.peer.on(StreamAdded, self._added))
        peer.on(Data, self._heard)
        try:
            async with peer.joined(CHANNEL, media="receive"):
                yield
        finally:
            for task in self._watches:
                task.cancel()

    def _heard(self, event: Data) -> None:
        if event.data.get("type") == "edged/camera":
            self.states.append(event.data)
            self._changed.set()

    def _added(self, event: StreamAdded) -> None:
        self.streams += 1
        (track,) = event.stream.get_video_tracks()
        self._watches.add(asyncio.create_task(self._watch(track), name="viewer"))

    async def _watch(self, track: ReceivedTrack) -> None:
        source = await track.encoded()
        assert source is not None
        reader = source.open_reader()
        while True:
            packet = await reader.recv()
            self.pictures.append(Picture(time.monotonic(), packet.pts, packet.is_keyframe))
            self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def sees(self, pictures: int) -> None:
        """Wait until so many more have come."""
        wanted = len(self.pictures) + pictures
        await self.until(lambda: len(self.pictures) >= wanted)


async def follow(viewer: Viewer, says: str, harm: Callable[[], None], repair: Callable[[], None]) -> None:
    """Let the camera be lost and come back, and look at what the viewer got of it."""
    began_ms = time.time_ns() // 1_000_000
    harm()
    await viewer.until(lambda: viewer.states[-1]["state"] == "lost")
    assert says in viewer.states[-1]["reason"]
    assert began_ms <= viewer.states[-1]["since_ms"] <= time.time_ns() // 1_000_000
    before = len(viewer.pictures) - 2
    repair()
    await viewer.until(lambda: viewer.states[-1]["state"] == "live")
    assert viewer.states[-1]["reason"] == ""
    await viewer.until(lambda: len(viewer.pictures) > before + 6)
    seen = viewer.pictures[before:]
    first = max(range(1, len(seen)), key=lambda number: seen[number].pts_90k - seen[number - 1].pts_90k)
    assert seen[first].is_key
    # A receiver gives a picture when the next one begins: the last one before the gap came only after it.
    gap_s = (seen[first].pts_90k - seen[0].pts_90k) / CLOCK_RATE
    assert gap_s == pytest.approx(seen[first].at_s - seen[0].at_s, abs=GAP_WITHIN_S)


async def test_a_viewer_keeps_its_session_whatever_happens_to_the_camera(site: Site) -> None:
    await site.start_hub()
    viewer = Viewer()
    with rtsp_camera() as process:
        async with tcp_cutter("127.0.0.1", process.port) as road:
            yard = {"source": f"rtsp://127.0.0.1:{road.port}/cam", "timeout_s": TIMEOUT_S}
            await site.start_gateway(site.settings(cameras={"yard": yard}))
            async with viewer.watching(site):
                await viewer.sees(5)
                await viewer.until(lambda: viewer.states[-1]["state"] == "live")
                await follow(viewer, "the connection", process.kill, process.start)
                await follow(viewer, "sent no picture for 1 s", process.freeze, process.thaw)
                await follow(viewer, "sent no picture for 1 s", road.unplug, road.plug)
                await follow(viewer, "the connection", road.cut, lambda: None)
    assert viewer.streams == 1, "the same session, and the same stream in it"
    told = [pts for _, pts, _ in viewer.pictures]
    assert told == sorted(set(told)), "time never stands still, and never goes back"
