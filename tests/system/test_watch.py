"""Who gets what: pages that ask and pages that do not, two gateways in one channel, all as real processes."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.browser import Browser, Page
from scripts.lib.viewer import Viewer
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
        const video = document.createElement("video");
        Object.assign(video, { muted: true, autoplay: true, srcObject: stream });
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
        await until_state(recorder, name, "main", "idle")
        assert set(states(recorder, name)) == {"idle"}
    async with Browser() as browser:
        page = await browser.open()
        await page.evaluate(PAGE, {"key": hub.key, "url": hub.url, "channel": CHANNEL})
        await until_width(page, "camera-north", 640)
        await until_width(page, "camera-south", 640)
        for name in ("north", "south"):
            await until_state(recorder, name, "main", "live")
    for name in ("north", "south"):
        await until_state(recorder, name, "main", "idle")
        assert states(recorder, name).count("live") == 1


TILE = "return edgedViewer.cameras().some((one) => one.name === arg[0] && one.width === arg[1] && one.state === arg[2])"


async def until_tile(viewer: Viewer, name: str, width: int, state: str = "live") -> None:
    await viewer.page.wait_for(TILE, [name, width, state], timeout_s=20)


async def test_viewer_page_asks_for_small_pictures_and_for_none_out_of_sight(site: Site) -> None:
    await site.start_hub()
    rtsp = await site.start_camera(*SMALL)
    recorder = await site.start_recorder()
    one = {"source": "test:", "sub": f"{rtsp.url}/cam", "linger_s": 0}
    cameras = {"yard": one, "gate": one, "barn": {"source": "test:", "linger_s": 0}}
    await site.start_gateway(site.settings(cameras=cameras))
    viewer = await site.open_viewer()
    page = viewer.page
    for name, width in (("yard", 320), ("gate", 320), ("barn", 640)):
        await until_tile(viewer, name, width)
    await until_state(recorder, "yard", "main", "idle")

    click = """
        const tiles = [...document.querySelectorAll(".camera")];
        tiles.find((one) => one.querySelector("strong").textContent === arg).querySelector("video").click();
    """
    await page.evaluate(click, "yard")
    await until_tile(viewer, "yard", 640)
    await until_state(recorder, "gate", "main", "idle")
    await page.evaluate(click, "gate")
    await until_tile(viewer, "gate", 640)
    await until_tile(viewer, "yard", 320)
    await page.evaluate(click, "gate")
    await until_tile(viewer, "gate", 320)

    # Out of sight: nothing of it is sent, and the tile says so.
    await page.evaluate("document.querySelectorAll('.camera')[2].style.marginTop = '400vh'")
    hidden = await page.wait_for("return edgedViewer.cameras().find((one) => one.quality === 'none')?.name")
    assert (await viewer.camera_in_state(hidden, "idle")).reason == "out of sight"
    await page.evaluate("document.querySelectorAll('.camera')[2].style.marginTop = ''")
    await viewer.camera_in_state(hidden, "live")
    assert page.errors == []


async def test_viewer_page_on_a_phone_gets_what_is_near_and_nothing_while_it_is_put_away(site: Site) -> None:
    hub = await site.start_hub()
    recorder = await site.start_recorder()
    names = [f"camera-{number}" for number in range(10)]
    await site.start_gateway(site.settings(cameras={name: {"source": "test:", "linger_s": 0} for name in names}))
    async with Browser() as browser:
        page = await browser.open(f"{hub.page}#channel={CHANNEL}&key={hub.key}", width=390, height=700)
        viewer = Viewer(page)
        await viewer.joined()
        order = "return [...document.querySelectorAll('.camera strong')].map((one) => one.textContent)"
        assert (
            sorted(await page.wait_for(f"const all = (() => {{ {order} }})(); return all.length === 10 && all"))
            == names
        )
        shown = await page.evaluate(order)
        await viewer.camera_in_state(shown[0], "live")
        assert (await viewer.camera_in_state(shown[9], "idle")).reason == "out of sight"
        await until_state(recorder, shown[9], "main", "idle")
        assert await page.evaluate("return document.documentElement.scrollWidth") == 390

        await page.evaluate("document.querySelectorAll('.camera')[9].scrollIntoView()")
        await viewer.camera_in_state(shown[9], "live")
        await viewer.camera_in_state(shown[0], "idle")

        await page.evaluate(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'));"
        )
        for name in names:
            await until_state(recorder, name, "main", "idle")
        await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        await viewer.camera_in_state(shown[9], "live")
