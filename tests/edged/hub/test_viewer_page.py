"""The viewer page in Chromium, in channels where others publish what they like."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from edged.hub.pages import Pages, find_browser_sdk
from scripts.lib.browser import Browser, Page
from scripts.lib.viewer import Viewer
from tests.edged.hub.conftest import KEY, Client, RunningHub, running_hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

HTML = "<img src=x onerror='document.title = 1'><script>document.title = 1</script>"
CAMERA = """
    const canvas = document.createElement("canvas");
    const brush = canvas.getContext("2d");
    globalThis.drawing = setInterval(() => brush.fillRect(Math.random() * 300, Math.random() * 150, 9, 9), 50);
    globalThis.peer = new sdk.MeteredPeer({ apiKey: arg.key, url: arg.url });
    peer.addStream(canvas.captureStream(20), { name: arg.name, camera: arg.name, gateway: "farm-1" });
    await peer.join("farm");
"""
STRANGE: list[Any] = [
    None, 1, "text", [], {"type": 1}, {"type": "edged/readings"}, {"type": "edged/readings", "readings": 1},
    {"type": "edged/readings", "readings": [None, 1, "x", [], {}, {"id": 1, "topic": 1, "time_ms": "now"}]},
    {"type": "edged/readings", "gateway": {}, "readings": [{"id": "i", "topic": "t" * 2000, "time_ms": 1}]},
    {"type": "edged/camera"}, {"type": "edged/camera", "camera": 1, "state": "live"},
    {"type": "edged/camera", "camera": "c", "state": "constructor"},
    {"type": "edged/watching", "cameras": {"c": "sub"}}, {"type": "edged/gateway"}, {"type": "edged/watching"},
    {"type": "edged/watching", "cameras": {"yard": {}, "c": "x"}, "reasons": 1},
]  # fmt: skip


def readings(*values: tuple[str, Any], gateway: Any = "farm-1", time_ms: float | None = None) -> dict[str, Any]:
    now_ms = time.time() * 1000 if time_ms is None else time_ms
    return {
        "type": "edged/readings",
        "gateway": gateway,
        "readings": [
            {"id": f"{topic}/{number}/{now_ms}", "topic": topic, "value": value, "time_ms": now_ms}
            for number, (topic, value) in enumerate(values)
        ],
    }


def camera(name: Any, state: str, reason: Any = "") -> dict[str, Any]:
    return {"type": "edged/camera", "camera": name, "state": state, "reason": reason, "since_ms": 0}


async def publish(client: Client, *messages: Any) -> None:
    for message in messages:
        await client.send(type="publish", channel="farm", data=message)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def hub() -> AsyncIterator[RunningHub]:
    async with running_hub(pages=Pages(find_browser_sdk())) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(hub: RunningHub, browser: Browser) -> AsyncIterator[Viewer]:
    page = await browser.open(f"http://127.0.0.1:{hub.port}/#channel=farm&key={KEY}")
    viewer = Viewer(page)
    await viewer.joined()
    yield viewer
    await page.close()
    assert page.errors == []


@pytest_asyncio.fixture(loop_scope="module")
async def member(hub: RunningHub) -> Client:
    """Somebody in the channel of the page."""
    client = await hub.client()
    await client.send(type="subscribe", channel="farm")
    return client


async def open_camera(browser: Browser, hub: RunningHub, name: str) -> Page:
    page = await browser.open()
    await page.evaluate(CAMERA, {"key": KEY, "url": f"ws://127.0.0.1:{hub.port}", "name": name})
    return page


async def test_what_others_publish_is_text_and_never_breaks_the_page(viewer: Viewer, member: Client):
    await publish(
        member,
        *STRANGE,
        readings((HTML, HTML), (f"a/{HTML}", {HTML: HTML}), ("huge", 1e308), ("huge", -1e308), gateway=HTML),
        camera(HTML, "lost", HTML),
        camera("yard", "failed", {"not": "text"}),
        readings(("last", 1)),
    )
    await viewer.readings_at_least(5)

    seen = await viewer.page.evaluate(
        "const main = document.querySelector('main');"
        "return { made: main.querySelectorAll('img, script').length, title: document.title, text: main.innerText }"
    )
    assert (seen["made"], seen["title"]) == (0, "farm · edged")
    assert "<img src=x" in seen["text"]
    assert "7 not shown" in seen["text"]
    assert [(one.name[:4], one.state, one.reason[:4]) for one in await viewer.cameras()] == [
        ("<img", "lost", "<img"),
        ("yard", "failed", ""),
    ]
    assert [line.text for line in viewer.page.console if line.type == "error"] == []


async def test_flood_of_topics_is_shown_up_to_a_bound_and_the_rest_is_told(viewer: Viewer, member: Client):
    for start in range(0, 600, 50):
        await publish(member, readings(*((f"flood/{start + number}", number) for number in range(50))))

    seen = await viewer.readings_at_least(600)
    assert len(seen.topics) == 500
    assert await viewer.page.evaluate("return document.getElementById('reading-count').textContent") == (
        "600 received, 100 not shown"
    )


async def test_reading_from_the_future_makes_no_other_look_old(viewer: Viewer, member: Client):
    await publish(member, readings(("wrong", 1), time_ms=1e15), readings(("right", 1)))

    script = """
        const ages = [...document.querySelectorAll(".foot span:first-child")].map((one) => one.textContent);
        return ages.length === 2 && ages.every(Boolean) && ages;
    """
    ages = await viewer.page.wait_for(script)
    assert not [age for age in ages if "days" in age or "long" in age]


async def test_late_readings_replace_no_newer_value_and_a_reading_may_have_no_time(viewer: Viewer, member: Client):
    now_ms = time.time() * 1000
    late = readings(("door", "late"), time_ms=now_ms - 60_000) | {"backlog": True}
    kept = readings(("door", "kept"), time_ms=now_ms - 30_000)
    kept["readings"][0]["retained"] = True
    unset = {"id": "g/b/1", "topic": "unset", "value": "no clock", "clock": "unset", "uptime_ms": 5}
    await publish(
        member,
        readings(("door", "new"), time_ms=now_ms),
        late,
        kept,
        {"type": "edged/readings", "gateway": "farm-1", "readings": [unset]},
        readings(("back", "first"), time_ms=now_ms),
        readings(("back", "clock set back"), time_ms=now_ms - 3_600_000),
    )

    assert (await viewer.readings_at_least(6)).topics == ("door", "unset", "back")
    script = """
        const values = [...document.querySelectorAll(".value")].map((one) => one.textContent);
        return values.length === 3 && values.every(Boolean) && values.sort();
    """
    assert await viewer.page.wait_for(script) == ["clock set back", "new", "no clock"]


async def test_camera_is_announced_by_members_of_the_channel_only(viewer: Viewer, member: Client, hub: RunningHub):
    stranger = await hub.client()
    await publish(stranger, camera("stranger", "live"))
    await publish(member, camera("yard", "idle"))

    assert (await viewer.camera_in_state("yard", "idle")).name == "yard"
    assert len(await viewer.cameras()) == 1


async def test_camera_with_a_picture_has_a_tile_among_any_number_without(
    viewer: Viewer, member: Client, hub: RunningHub, browser: Browser
):
    await publish(member, *(camera(f"word {number}", "connecting") for number in range(120)))
    await viewer.page.wait_for("return edgedViewer.cameras().length === 100")

    page = await open_camera(browser, hub, "yard")
    await viewer.camera_in_state("yard", "live")
    assert len(await viewer.cameras()) == 100
    await page.close()


async def test_picture_stays_while_the_hub_is_away(viewer: Viewer, hub: RunningHub, browser: Browser):
    page = await open_camera(browser, hub, "yard")
    before = await viewer.camera_in_state("yard", "live")

    await hub.end()
    await viewer.page.wait_for("return edgedViewer.state() === 'reconnecting'")
    after = await viewer.frames_above("yard", before.frames + 20)
    assert after.state == "live"
    await page.close()


async def test_second_picture_on_a_slow_link_is_shown_with_the_reason(
    viewer: Viewer, hub: RunningHub, browser: Browser
):
    page = await open_camera(browser, hub, "yard")
    await viewer.camera_in_state("yard", "live")
    say = "for (const message of arg) await peer.send(message)"
    slow = {"cameras": {"yard": "sub", "barn": "sub"}, "reasons": {"yard": f"your link is slow {HTML}", "barn": {}}}
    await page.evaluate(say, [{"type": "edged/gateway", "gateway": "farm-1"}, {"type": "edged/watching", **slow}])
    await viewer.page.wait_for("return edgedViewer.cameras()[0].note.startsWith('your link is slow <img')")
    shown = "return document.querySelector('.note').textContent"
    assert (await viewer.page.evaluate(shown)).startswith("second picture: your link is slow <img")
    assert len(await viewer.cameras()) == 1

    await page.evaluate(say, [{"type": "edged/watching", "cameras": {"yard": "main"}, "reasons": None}])
    await viewer.page.wait_for("return edgedViewer.cameras()[0].quality === 'main'")
    await viewer.page.wait_for("return document.querySelector('.note').textContent === ''")
    await page.close()


async def test_picture_that_stands_still_is_lost_until_its_camera_is_back(
    viewer: Viewer, hub: RunningHub, browser: Browser
):
    page = await open_camera(browser, hub, "yard")
    await viewer.camera_in_state("yard", "live")
    await page.evaluate("clearInterval(drawing)")
    assert (await viewer.camera_in_state("yard", "lost")).reason.startswith("no new picture for")
    await page.evaluate("for (const message of arg) await peer.send(message)", [camera("yard", "lost", "rebooting")])
    await viewer.page.wait_for("return edgedViewer.cameras()[0].reason === 'rebooting'")
    await page.evaluate("await peer.send(arg)", camera("yard", "live"))
    assert (await viewer.camera_in_state("yard", "connecting")).reason == "waiting for the next picture"
    await page.close()


async def test_stream_without_a_picture_has_no_tile(viewer: Viewer, hub: RunningHub, browser: Browser):
    page = await browser.open()
    await page.evaluate(
        """
        const sound = new AudioContext().createMediaStreamDestination();
        globalThis.peer = new sdk.MeteredPeer({ apiKey: arg.key, url: arg.url });
        peer.addStream(sound.stream, { name: "microphone" });
        await peer.join("farm");
        """,
        {"key": KEY, "url": f"ws://127.0.0.1:{hub.port}"},
    )
    await page.wait_for("return [...peer.peers.values()].some((one) => one.state === 'connected')")
    assert await viewer.cameras() == []
    await page.close()


@pytest.mark.parametrize(
    ("fragment", "sentence"),
    [
        ("channel=farm&key=wrong", "The hub does not know this key; give one that it was started with."),
        (f"channel=_metered/x&key={KEY}", "This channel belongs to the hub itself; choose another name."),
        (f"channel=a%01b&key={KEY}", "This is not a channel name: it may have 256 bytes, and no control characters."),
        (f"channel={'a' * 257}&key={KEY}", "This is not a channel name: it may have 256 bytes, and no"),
    ],
)
async def test_what_cannot_be_joined_is_said_and_asked_again(
    fragment: str, sentence: str, hub: RunningHub, browser: Browser
):
    page = await browser.open(f"http://127.0.0.1:{hub.port}/#{fragment}")
    await page.wait_for("return edgedViewer.state() === 'failed'")

    said = await page.evaluate(
        "return [document.getElementById('notice').textContent, document.getElementById('join').hidden]"
    )
    assert said[0].startswith(sentence)
    assert said[1] is False
    await page.close()
