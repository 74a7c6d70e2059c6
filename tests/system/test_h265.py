"""An H.265 camera before viewers that take it (webrtcbin of GStreamer) and viewers that do not (Chromium here)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metered_realtime import Direct, SignallingClient
from scripts.lib.child import ROOT, Child
from scripts.lib.peers import SYSTEM_PYTHON
from tests.system.conftest import CHANNEL, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "300")


class Member:
    """webrtcbin as a member of the channel: we only carry its letters."""

    def __init__(self, child: Child, client: SignallingClient) -> None:
        self.child = child
        self._client = client
        self._letters: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        client.on(Direct, lambda event: self._letters.put_nowait((event.sender_peer_id, event.data)))

    async def carry(self) -> None:
        """Carry letters both ways until cancelled."""
        offers = 0
        while True:
            sender, data = await self._letters.get()
            if data.get("type") == "rtc-description" and data["description"]["type"] == "offer":
                await self.child.tell({"do": "offer", "sdp": data["description"]["sdp"]})
                offers += 1
                answer = await self.child.event("answer", number=offers)
                description = {"type": "answer", "sdp": answer["sdp"]}
                await self._client.send(sender, {"type": "rtc-description", "description": description})
                for init in (await self.child.event("candidates"))["inits"] if offers == 1 else ():
                    await self._client.send(sender, {"type": "rtc-ice", "candidate": init})
            elif data.get("type") == "rtc-ice" and data["candidate"]:
                await self.child.tell({"do": "candidate", "init": data["candidate"]})


@contextlib.asynccontextmanager
async def member(site: Site, codec: str) -> AsyncIterator[Member]:
    assert site.hub is not None
    program = [SYSTEM_PYTHON, str(ROOT / "scripts/lib/webrtc_viewer.py"), "--codec", codec]
    async with (
        Child("webrtcbin", program) as child,
        SignallingClient(api_key=site.hub.key, url=site.hub.url) as client,
    ):
        await child.event("ready", timeout_s=30)
        viewer = Member(child, client)
        await client.subscribe(CHANNEL)
        carrying = asyncio.create_task(viewer.carry())
        try:
            yield viewer
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])


async def test_every_viewer_gets_the_codec_it_takes(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera(*SMALL)
    await site.start_gateway(site.settings(cameras={"yard": {"source": f"{camera.url}/h265"}}))
    async with member(site, "H265") as hevc:
        assert (await hevc.child.event("track"))["codec"] == "H265"
        picture = await hevc.child.event("picture", number=25)
        assert (picture["width"], picture["height"]) == (320, 240)
        browser = await site.open_viewer()
        seen = await browser.frames_above("yard", 25, timeout_s=40)
        assert (seen.width, seen.height, seen.state) == (320, 240, "live")
        async with member(site, "H265") as late:
            await late.child.event("picture", number=1, timeout_s=5)
        await hevc.child.event("picture", number=50)


async def test_without_an_encoder_the_others_are_told_why_and_nobody_else_is_touched(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera(*SMALL)
    yard = {"source": f"{camera.url}/h265", "transcode": "never"}
    await site.start_gateway(site.settings(cameras={"yard": yard}))
    browser = await site.open_viewer()
    refused = await browser.camera_in_state("yard", "failed")
    assert refused.reason == (
        "it sends H.265, which this viewer does not take: choose H.264 (AVC) in the camera's settings, "
        "or set transcode: auto"
    )
    async with member(site, "H265") as hevc:
        await hevc.child.event("picture", number=25)
    assert (await browser.camera_in_state("yard", "failed")).frames == 0


async def test_without_an_encoder_the_others_get_the_second_picture(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera(*SMALL)
    yard = {"source": f"{camera.url}/h265", "sub": f"{camera.url}/cam", "transcode": "never"}
    await site.start_gateway(site.settings(cameras={"yard": yard}))
    browser = await site.open_viewer()
    seen = await browser.frames_above("yard", 25, timeout_s=40)
    assert seen.state == "live"
    async with member(site, "H265") as hevc:
        await hevc.child.event("picture", number=25)
