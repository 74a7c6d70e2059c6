"""Viewers on bad links: a real camera, `edged run`, and Chromium behind a relay that loses, reorders and holds back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from edged.cameras.channel import CameraChannel
from edged.cameras.link_choice import LinkWaits
from edged.settings import CameraSettings, Secret
from edged.supervise import keep_running
from metered_realtime import MeteredPeer
from scripts.lib.browser import Browser, Page
from tests.system.conftest import CHANNEL, Site
from tests.turn import PASSWORD, USER, coturn
from tests.weather import BadLink, Weather, bad_link

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
# What the page shows: of every picture its place in the camera's time, and when its last packet came.
VIEWER = """
    const Real = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Real {
      constructor(config) {
        // Relayed addresses alone: everything passes the bad link.
        super(arg.turn ? { ...config, iceServers: [arg.turn], iceTransportPolicy: "relay" } : config);
      }
      setRemoteDescription(description) {
        // A machine that is busy looks like a slow link to a receiver that estimates its rate by delay.
        const estimates = /a=rtcp-fb:\\S+ (goog-remb|transport-cc)\\r\\n/g;
        if (arg.estimates) return super.setRemoteDescription(description);
        return super.setRemoteDescription({ type: description.type, sdp: description.sdp.replace(estimates, "") });
      }
    };
    globalThis.seen = { answers: [], pictures: [], widths: [] };
    globalThis.peer = new sdk.MeteredPeer({ apiKey: arg.key, url: arg.url });
    peer.on("data", ({ data }) => data.type === "edged/watching" && seen.answers.push(data));
    peer.on("peer-joined", ({ peer: remote }) => remote.on("stream-added", ({ stream }) => {
      globalThis.gateway = remote;
      const video = globalThis.video = document.createElement("video");
      Object.assign(video, { muted: true, autoplay: true, srcObject: stream });
      document.body.append(video);
      const shown = (_, { presentedFrames, receiveTime, rtpTimestamp }) => {
        seen.pictures.push([presentedFrames, rtpTimestamp, receiveTime]);
        if (seen.widths.at(-1) !== video.videoWidth) seen.widths.push(video.videoWidth);
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    }));
    await peer.join(arg.channel);
"""
COUNTS = """
    const report = [...(await gateway.pc.getStats()).values()];
    const inbound = report.find((one) => one.type === "inbound-rtp" && one.kind === "video");
    return { ...inbound, shown: seen.pictures.length };
"""
CLOCK_RATE = 90_000
FPS = 30
# A newcomer leaves out pictures until it shows the present.
CATCHING_UP = 60


@contextlib.asynccontextmanager
async def behind(weather: Weather) -> AsyncIterator[tuple[BadLink, dict[str, Any]]]:
    """A bad link, and the TURN server by which a page is put behind it."""
    async with coturn() as turn, bad_link(turn.port, weather) as link:
        yield link, {"urls": f"turn:127.0.0.1:{link.port}", "username": USER, "credential": PASSWORD}


async def watch(browser: Browser, site: Site, turn: dict[str, Any] | None = None, *, estimates: bool = False) -> Page:
    """Open a page that shows the one camera of the channel, and wait until it shows the present.

    `estimates`: it tells the gateway what its link takes, as browsers do.
    """
    assert site.hub is not None
    page = await browser.open()
    access = {"key": site.hub.key, "url": site.hub.url, "channel": CHANNEL, "turn": turn, "estimates": estimates}
    await page.evaluate(VIEWER, access)
    await page.wait_for("return seen.pictures.length > arg", CATCHING_UP, timeout_s=30)
    asked = await page.evaluate("return /goog-remb|transport-cc/.test(gateway.pc.remoteDescription.sdp)")
    assert asked is estimates
    return page


@dataclass(frozen=True, slots=True)
class Spell:
    """What a page saw in some seconds of one weather, by the camera's time: a busy machine shows pictures late.

    `longest_gap_s`: from one shown picture to the next. `latest_s`: how much later than the fastest picture the slowest
    one was complete. `left_out_s`: of how much time nothing was decoded.
    """

    longest_gap_s: float
    latest_s: float
    left_out_s: float
    repairs: int
    key_requests: int


async def spell(page: Page, pictures: int) -> Spell:
    """Wait until so many more pictures were shown."""
    before = await page.evaluate(COUNTS)
    await page.wait_for("return seen.pictures.length >= arg", before["shown"] + pictures, timeout_s=pictures / 2)
    after = await page.evaluate(COUNTS)
    repairs, key_requests, decoded = (
        after[name] - before[name] for name in ("retransmittedPacketsReceived", "pliCount", "framesDecoded")
    )
    shown = await page.evaluate("return seen.pictures.slice(...arg)", [before["shown"] - 1, after["shown"]])
    left_out_s = (shown[-1][1] - shown[0][1]) / CLOCK_RATE - decoded / FPS
    return Spell(longest_gap_s(shown), latest_s(shown), left_out_s, repairs, key_requests)


def longest_gap_s(shown: list[list[float]]) -> float:
    """Of pictures that the page was not told of, being too busy, nothing is known."""
    return max((b[1] - a[1]) / CLOCK_RATE for a, b in pairwise(shown) if b[0] == a[0] + 1)


def latest_s(shown: list[list[float]]) -> float:
    ways_s = [came_ms / 1000 - stamp / CLOCK_RATE for _, stamp, came_ms in shown]
    return max(ways_s) - min(ways_s)


async def settled(page: Page) -> list[list[float]]:
    """Return all that a page was shown since it had caught up with the present."""
    shown: list[list[float]] = await page.evaluate("return seen.pictures.slice(arg)", CATCHING_UP)
    return shown


async def test_what_gets_lost_on_the_way_is_sent_again_and_the_picture_goes_on(site: Site) -> None:
    await site.start_hub()
    rtsp = await site.start_camera("--width", "640", "--height", "360", "--kbps", "1500")
    gateway = await site.start_gateway(site.settings(cameras={"yard": {"source": f"{rtsp.url}/cam"}}))
    async with Browser() as browser, behind(Weather(loss=0.05, delay_s=0.02)) as (link, turn):
        good = await watch(browser, site)
        page = await watch(browser, site, turn)
        lost = link.down.lost
        random = await spell(page, 200)
        lost = link.down.lost - lost
        assert lost > 50, "this is seen where it happens"
        assert random.latest_s < 0.5 + latest_s(await settled(good)) + link.latest_s
        assert random.left_out_s < 0.5
        assert random.repairs >= 0.8 * lost
        assert random.key_requests == 0, "nothing was given up"
        assert not any("slow link" in event.get("STATUS", "") for event in gateway.events_of("notify"))

        link.weather = Weather(loss=0.01, delay_s=0.02, jitter_s=0.03)
        reordered = await spell(page, 90)
        assert reordered.latest_s < 0.5 + latest_s(await settled(good)) + link.latest_s
        assert reordered.left_out_s < 0.5
        assert reordered.repairs > 0

        # Where much is lost in runs the link may be taken for too thin: ends of groups of pictures are left out.
        link.weather = Weather(loss=0.1, burst=4, delay_s=0.02)
        bursts = await spell(page, 60)
        assert bursts.longest_gap_s < 2.5 + longest_gap_s(await settled(good)), "a key frame shows a picture again"
        assert bursts.repairs > 0
        assert [*good.errors, *page.errors] == []


THIN_BPS = 600_000
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "30")
GIVEN = "const last = seen.answers.at(-1); return last?.cameras.yard === arg && last"


class Gateway:
    """The cameras of `edged run`, in this process, with shorter waits."""

    def __init__(self, site: Site, camera: CameraSettings, waits: LinkWaits) -> None:
        self._site = site
        self.peer: MeteredPeer | None = None
        self.words: list[str] = []
        self.channel = CameraChannel(
            CHANNEL,
            (camera,),
            gateway="farm-1",
            open_peer=self._open,
            report=lambda name: lambda _state, detail: self.words.append(f"{name}: {detail}"),
            waits=waits,
        )

    def _open(self) -> MeteredPeer:
        assert self._site.hub is not None
        self.peer = MeteredPeer(url=self._site.hub.url, api_key=self._site.hub.key)
        return self.peer

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        jobs = (self.channel.run_cameras(), keep_running("channel", self.channel.run))
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def thinned_pictures(self, page: Page) -> int:
        """Return how many pictures were left out of what this page is sent."""
        assert self.peer is not None
        peer_id = await page.evaluate("return peer.peerId")
        (remote,) = (one for one in self.peer.remote_peers if one.id == peer_id)
        return sum(track.thinned_pictures for track in (await remote.stats()).tracks)


async def test_viewer_on_a_thin_link_gets_the_second_picture_and_nobody_else_is_touched(site: Site) -> None:
    await site.start_hub()
    main, sub = await site.start_camera(), await site.start_camera(*SMALL)
    yard = CameraSettings(name="yard", source=Secret(f"{main.url}/cam"), sub=Secret(f"{sub.url}/cam"), linger_s=0.0)
    gateway = Gateway(site, yard, LinkWaits(retry_s=8.0, max_retry_s=8.0))
    weather = Weather(rate_bps=THIN_BPS, delay_s=0.02, queue_s=0.3)
    async with gateway.running(), Browser() as browser, behind(weather) as (link, turn):
        good = await watch(browser, site)
        thin = await watch(browser, site, turn, estimates=True)
        answer = await thin.wait_for(GIVEN, "sub", timeout_s=20)
        assert "slow" in answer["reasons"]["yard"]
        await thin.wait_for("return seen.widths.at(-1) === 320")
        assert (await spell(thin, 75)).longest_gap_s < 1 + longest_gap_s(await settled(good))
        assert "channel farm: joined channel farm, 2 viewers, 1 on a slow link" in gateway.words

        link.weather = Weather(delay_s=0.02)
        answer = await thin.wait_for(GIVEN, "main", timeout_s=40)
        assert answer["reasons"] == {}
        await thin.wait_for("return seen.widths.at(-1) === 1280")
        assert (await spell(thin, 30)).longest_gap_s < 1 + longest_gap_s(await settled(good))
        assert await good.evaluate("return [seen.widths, seen.answers]") == [[1280], []]
        assert await gateway.thinned_pictures(good) == 0
        assert [*good.errors, *thin.errors] == []
