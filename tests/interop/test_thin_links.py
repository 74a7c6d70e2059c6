"""Two Chromiums watch one camera of ours; the link to one of them becomes too thin, and widens again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import av
import pytest
import pytest_asyncio

from metered_realtime import AccessUnit, EncodedVideoSource, MediaStream, MeteredPeer, PeerLinkChange, RemotePeer
from metered_realtime import aiortc_adapter as adapter
from metered_realtime.description import read_description
from metered_realtime.media.source import SenderTrack
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from metered_realtime.stats import PeerLink
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage, Room, join_page
from tests.sdk.thin_path import ThinPath, thin_paths

__all__ = ["thin_paths"]

pytestmark = pytest.mark.asyncio(loop_scope="session")
WIDTH, HEIGHT, PICTURES_PER_S, GROUP = 320, 240, 25, 25
WANTED_BPS, THIN_BPS = 1_500_000, 500_000
PATIENCE_S = 40.0

COUNTERS = """
    for (const s of (await remotes.get(arg).pc.getStats()).values())
      if (s.type === "inbound-rtp" && s.kind === "video") return {
        decoded: s.framesDecoded, keys: s.keyFramesDecoded, lost: s.packetsLost, asked: s.pliCount };
"""


def clip() -> list[AccessUnit]:
    """Return one group of pictures that are hard to encode."""
    encoder = VideoEncoder(EncoderSettings(fps=PICTURES_PER_S, bitrate_bps=WANTED_BPS, key_frame_interval_s=10))
    noise = random.Random(1).randbytes(WIDTH * HEIGHT * 6)
    units = []
    for number in range(GROUP):
        frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
        plane = frame.planes[0]
        start = number * 4321
        plane.update(bytes(each >> 2 for each in noise[start : start + plane.buffer_size]))
        units += encoder.encode(frame, number * 90_000 // PICTURES_PER_S, force_key=number == 0)
    return units


async def run_camera(source: EncodedVideoSource) -> None:
    loop, units = asyncio.get_running_loop(), clip()
    start_s = loop.time()
    for number in itertools.count():
        unit = units[number % GROUP]
        source.push(AccessUnit(unit.data, number * 90_000 // PICTURES_PER_S, unit.is_key))
        await asyncio.sleep(max(0.0, start_s + number / PICTURES_PER_S - loop.time()))


@pytest_asyncio.fixture(loop_scope="session")
async def camera(room: Room) -> AsyncIterator[MeteredPeer]:
    """A peer that sends the camera."""
    source = EncodedVideoSource()
    running = asyncio.create_task(run_camera(source))
    async with MeteredPeer(api_key=room.key, url=room.url) as peer:
        peer.add_stream(MediaStream([source], id="camera"))
        await peer.join(room.channel)
        yield peer
    running.cancel()


async def counters(page: Page, camera: MeteredPeer) -> dict[str, int]:
    """Return what the page has counted; waits for the first report of it."""
    found: dict[str, int] = await page.wait_for(COUNTERS, camera.peer_id)
    return found


async def decoded(page: Page, camera: MeteredPeer, more: int, field: str = "decoded") -> None:
    """Wait until the page has decoded so many pictures more."""
    before = await counters(page, camera)
    async with asyncio.timeout(PATIENCE_S):
        while (await counters(page, camera))[field] < before[field] + more:
            await asyncio.sleep(0.2)


async def watching(page: Page, room: Room, camera: MeteredPeer) -> RemotePeer:
    peer_id = await join_page(page, room)
    await page.wait_for("return remotes.get(arg)?.state === 'connected'", camera.peer_id, timeout_s=PATIENCE_S)
    await decoded(page, camera, GROUP)
    return next(remote for remote in camera.remote_peers if remote.id == peer_id)


@pytest.mark.timeout(120)
async def test_chromium_on_a_thin_link_goes_on_decoding_and_another_loses_nothing(
    room: Room, open_page: OpenPage, camera: MeteredPeer, thin_paths: dict[Any, ThinPath]
) -> None:
    page, other_page = await open_page(), await open_page()
    remote, other = await watching(page, room, camera), await watching(other_page, room, camera)
    path = ThinPath()
    thin_paths[remote.pc.ice] = path
    before = await counters(other_page, camera)
    async with camera.events(PeerLinkChange) as changes, asyncio.timeout(PATIENCE_S):
        path.bps = THIN_BPS
        change = await anext(changes)
        assert change.peer is remote
        assert change.link.is_thin
        await decoded(page, camera, 3, "keys")
        assert remote.link is not None
        assert remote.link.wanted_bps > 2 * THIN_BPS

        path.bps = None
        async for change in changes:
            assert change.peer is remote
            if not change.link.is_thin:
                break
    await decoded(page, camera, GROUP)
    (track,) = (await remote.stats()).tracks
    assert track.thinned_pictures > GROUP

    now = await counters(other_page, camera)
    assert now["decoded"] - before["decoded"] > 4 * GROUP
    assert (now["lost"], now["asked"]) == (before["lost"], before["asked"])
    (track,) = (await other.stats()).tracks
    assert track.thinned_pictures == 0
    assert other.link is not None
    assert not other.link.is_thin


OFFER = """
    const pc = globalThis.raw = new RTCPeerConnection();
    const video = document.createElement("video");
    video.autoplay = video.muted = true;
    document.body.append(video);
    pc.ontrack = (e) => { video.srcObject = new MediaStream([e.track]); };
    pc.addTransceiver("video", { direction: "recvonly" });
    await pc.setLocalDescription(await pc.createOffer());
    if (pc.iceGatheringState !== "complete")
      await new Promise((done) => {
        pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
      });
    return pc.localDescription.sdp.replace(/a=rtcp-fb:\\d+ goog-remb\\r\\n/g, "");
"""
RAW_COUNTERS = COUNTERS.replace("remotes.get(arg).pc", "raw")


@pytest.mark.timeout(120)
async def test_a_chromium_that_offers_transport_wide_feedback_alone_is_read_as_well(
    open_page: OpenPage, thin_paths: dict[Any, ThinPath]
) -> None:
    page = await open_page()
    offer = await page.evaluate(OFFER)
    changes: asyncio.Queue[PeerLink] = asyncio.Queue()
    pc = adapter.open_connection([], on_link=changes.put_nowait)
    source, track, path = EncodedVideoSource(), SenderTrack("video"), ThinPath()
    track.switch(source.open_reader())
    adapter.bind_section(adapter.add_sender(pc, track, "video/H264"), read_description(offer).sections[0].mid, 0)
    await adapter.apply_offer(pc, offer)
    answer = await adapter.make_answer(pc, offer)
    running = asyncio.create_task(run_camera(source))
    try:
        await page.evaluate("await raw.setRemoteDescription({ type: 'answer', sdp: arg })", answer)
        thin_paths[pc.ice] = path
        async with asyncio.timeout(PATIENCE_S):
            while (link := pc.link_meter.link) is None or link.available_bps is None or link.wanted_bps < THIN_BPS:
                await asyncio.sleep(0.1)
            path.bps = THIN_BPS
            assert (await changes.get()).is_thin
            before = (await page.evaluate(RAW_COUNTERS))["keys"]
            while (await page.evaluate(RAW_COUNTERS))["keys"] < before + 3:
                await asyncio.sleep(0.2)
    finally:
        running.cancel()
        await pc.close()
