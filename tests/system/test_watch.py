"""Who gets what: pages that ask and pages that do not, two gateways in one channel, all as real processes."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.browser import Browser, Page
from tests.system.conftest import CHANNEL, Recorder, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "30")
PAGE = """
    globalThis.seen = { answers: [], streams: [], offers: 0, connections: 0 };
    globalThis.videos = new Map();
    globalThis.peer = new sdk.MeteredPeer({ apiKey: arg.key, url: arg.url });
    peer.on("data", ({ data }) => data.type === "edged/watching" && seen.answers.push(data));
    peer.on("peer-joined", ({ peer: remote }) => {
      remote.on("stream-added", ({ stream, metadata }) => {
        seen.streams.push(`+${stream.id}`);
        const video = Object.assign(document.createElement("video"), { muted: true, autoplay: true, srcObject: stream });
        document.body.append(video);
        videos.set(stream.id, video);
        globalThis.gateway = remote;
        if (globalThis.watched === remote.pc) return;
        globalThis.watched = remote.pc;
        seen.connections += 1;
        remote.pc.addEventListener("signalingstatechange", () => {
          if (watched.signalingState === "have-remote-offer") seen.offers += 1;
        });
      });
      remote.on("stream-removed", ({ stream }) => seen.streams.push(`-${stream.id}`));
    });
    await peer.join(arg.channel);
"""
WIDTH = "return videos.get(arg.stream)?.videoWidth === arg.width"


async def ask(page: Page, cameras: Any, number: int) -> dict[str, Any]:
    """Send a wish to the gateway and return its answer."""
    message = {"type": "edged/watch", "id": number, "cameras": cameras}
    await page.evaluate("await gateway.send(arg)", message)
    return await page.wait_for("return seen.answers.find((one) => one.id === arg)", number)


async def until_width(page: Page, stream: str, width: int) -> None:
    await page.wait_for(WIDTH, {"stream": stream, "width": width}, timeout_s=20)


def states(recorder: Recorder, camera: str, quality: str = "main") -> list[str]:
    events = (event["data"] for event in recorder.child.events_of("message", channel=CHANNEL))
    return [one["state"] for one in events if (one.get("camera"), one.get("quality")) == (camera, quality)]


async def until_state(recorder: Recorder, camera: str, quality: str, state: str) -> None:
    def is_there() -> bool:
        return states(recorder, camera, quality)[-1:] == [state]

    await recorder.child.until(is_there, f"{camera} {quality} {state}", timeout_s=20)


async def test_page_changes_what_it_gets_while_connected(site: Site) -> None:
    hub = await site.start_hub()
    rtsp = await site.start_camera(*SMALL)
    recorder = await site.start_recorder()
    yard = {"source": "test:", "sub": f"{rtsp.url}/cam", "linger_s": 0}
    await site.start_gateway(site.settings(cameras={"yard": yard, "gate": {"source": "test:", "linger_s": 0}}))
    async with Browser() as browser:
        page = await browser.open()
        await page.evaluate(PAGE, {"key": hub.key, "url": hub.url, "channel": CHANNEL})
        await until_width(page, "camera-yard", 640)
        await until_width(page, "camera-gate", 640)
        assert set(states(recorder, "yard", "sub")) == {"idle"}, "nobody asked for it"
        offers = await page.evaluate("return seen.offers")

        answer = await ask(page, {"yard": "sub", "gate": "sub", "barn": "main"}, 1)
        assert answer["cameras"] == {"yard": "sub", "gate": "main"}
        assert set(answer["reasons"]) == {"gate", "barn"}
        await until_width(page, "camera-yard", 320)
        await until_state(recorder, "yard", "main", "idle")
        await ask(page, {"yard": "main"}, 2)
        await until_width(page, "camera-yard", 640)
        await until_state(recorder, "yard", "sub", "idle")
        assert await page.evaluate("return [seen.offers, seen.streams.sort()]") == [
            offers,
            ["+camera-gate", "+camera-yard"],
        ], "the same track, and nothing negotiated"

        await ask(page, {"*": "none"}, 3)
        await until_state(recorder, "yard", "main", "idle")
        await until_state(recorder, "gate", "main", "idle")
        await ask(page, {"yard": "sub"}, 4)
        await until_width(page, "camera-yard", 320)
        assert states(recorder, "gate")[-1] == "idle"
        assert await page.evaluate("return seen.offers") > offers, "this is seen where it happens"
        assert await page.evaluate("return seen.connections") == 1, "no rebuild"
        assert page.errors == []


async def test_two_gateways_in_one_channel_send_each_other_nothing(site: Site) -> None:
    hub = await site.start_hub()
    recorder = await site.start_recorder()
    gateways: list[peers.Gateway] = []
    for name in ("north", "south"):
        cameras = {name: {"source": "test:", "linger_s": 0}}
        gateways.append(await site.start_gateway(site.settings(gateway={"name": name}, cameras=cameras)))
    for gateway in gateways:
        await gateway.log_line("is another gateway")
    for name in ("north", "south"):
        assert set(states(recorder, name)) == {"idle"}
    async with Browser() as browser:
        page = await browser.open()
        await page.evaluate(PAGE, {"key": hub.key, "url": hub.url, "channel": CHANNEL})
        await until_width(page, "camera-north", 640)
        await until_width(page, "camera-south", 640)
        for name in ("north", "south"):
            assert "live" in states(recorder, name), "a viewer opens it"
    for name in ("north", "south"):
        await until_state(recorder, name, "main", "idle")
        assert states(recorder, name).count("live") == 1
