"""Chromium with the real browser SDK and a Python peer (official, ours) in one channel of our hub."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scripts.lib.browser import Page
from tests.interop.conftest import SDKS, OpenPage, Room, RunProgram, join_page, page_event

pytestmark = pytest.mark.asyncio(loop_scope="session")
PYTHON_SDKS = pytest.mark.parametrize("sdk", SDKS)
METADATA = {"name": "yard", "role": "camera", "place": {"floor": 2}}
FRAMES_ENOUGH = 25
AUDIBLE = 1000  # of 32767


async def video_in_page(page: Page, sender: str, width: int, height: int) -> dict[str, Any]:
    """Wait until the page has decoded frames of that size, and then more of them."""
    script = """
        const { video } = await inbound(arg.peer);
        return video?.frames >= arg.frames && video.width === arg.width && video.height === arg.height && video;
    """
    wanted = {"peer": sender, "frames": FRAMES_ENOUGH, "width": width, "height": height}
    first = await page.wait_for(script, wanted, timeout_s=25)
    later: dict[str, Any] = await page.wait_for(script, {**wanted, "frames": first["frames"] + FRAMES_ENOUGH})
    return later


@PYTHON_SDKS
async def test_presence_is_seen_both_ways(sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage) -> None:
    python = await run_program("peer", sdk)
    python_id = (await python.event("ready"))["peer"]
    page = await open_page()
    page_id = await join_page(page, room)

    await page_event(page, "peer_joined", peer=python_id)
    await python.event("peer_joined", peer=page_id)

    await page.evaluate("await peer.close()")
    await python.event("peer_left", peer=page_id)


@PYTHON_SDKS
async def test_page_sees_python_peer_leave(sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage) -> None:
    page = await open_page()
    page_id = await join_page(page, room)
    python = await run_program("peer", sdk)
    python_id = (await python.event("ready"))["peer"]
    await python.event("peer_joined", peer=page_id)
    await page_event(page, "peer_joined", peer=python_id)

    await python.tell({"do": "close"})

    await page_event(page, "peer_left", peer=python_id)
    assert await python.exited() == 0


@PYTHON_SDKS
async def test_broadcast_and_direct_messages_arrive_both_ways(
    sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage
) -> None:
    python = await run_program("peer", sdk)
    python_id = (await python.event("ready"))["peer"]
    page = await open_page()
    page_id = await join_page(page, room)
    await page_event(page, "peer_joined", peer=python_id)
    await python.event("peer_joined", peer=page_id)
    text = {"text": "22 °C, naïve ☂ \U0001f69c", "list": [1, 2.5, None, True]}

    await python.tell({"do": "send", "data": {"to": "all", **text}})
    await python.tell({"do": "send_to", "peer": page_id, "data": {"to": "you", **text}})
    await page.evaluate("await peer.send(arg)", {"to": "all", **text})
    await page.evaluate("await peer.sendTo(arg.id, arg.data)", {"id": python_id, "data": {"to": "you", **text}})

    broadcast = await page_event(page, "data", sender=python_id, kind="broadcast")
    direct = await page_event(page, "data", sender=python_id, kind="direct")
    assert broadcast["data"] == {"to": "all", **text}
    assert direct["data"] == {"to": "you", **text}
    assert (await python.event("data", sender=page_id, kind="broadcast"))["data"] == {"to": "all", **text}
    assert (await python.event("data", sender=page_id, kind="direct"))["data"] == {"to": "you", **text}


@PYTHON_SDKS
async def test_page_decodes_video_and_audio_of_python_peer(
    sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage
) -> None:
    page = await open_page()
    await join_page(page, room)
    python = await run_program("peer", sdk, video=True, audio=True, width=640, height=360, metadata=METADATA)
    python_id = (await python.event("ready"))["peer"]

    added = await page_event(page, "stream_added", peer=python_id)
    assert added["metadata"] == METADATA
    await video_in_page(page, python_id, 640, 360)
    silent = (await page.evaluate("return await inbound(arg)", python_id))["audio"]
    await page.wait_for(
        "const { audio } = await inbound(arg.peer); return audio.energy > arg.energy && audio.samples > arg.samples",
        {"peer": python_id, **silent},
    )


@PYTHON_SDKS
async def test_python_peer_receives_video_and_audio_of_page(
    sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage
) -> None:
    python = await run_program("peer", sdk)
    page = await open_page()
    page_id = await join_page(
        page, room, send={"audio": True, "video": {"width": 640, "height": 480}}, metadata=METADATA
    )

    added = await python.event("stream_added", peer=page_id, timeout_s=25)
    assert added["metadata"] == METADATA
    kinds = {(await python.event("track", peer=page_id, kind=kind))["kind"] for kind in ("audio", "video")}
    assert kinds == {"audio", "video"}

    def has_picture() -> bool:
        last = python.events_of("video", peer=page_id, width=640, height=480)[-1:]
        return bool(last) and last[0]["frames"] >= FRAMES_ENOUGH

    def has_sound() -> bool:
        return any(event["peak"] > AUDIBLE for event in python.events_of("audio", peer=page_id))

    await python.until(has_picture, "video of the page", timeout_s=25)
    await python.until(has_sound, "sound of the page", timeout_s=25)


async def test_page_decodes_camera_access_units_without_an_encoder_of_ours(
    room: Room, run_program: RunProgram, open_page: OpenPage
) -> None:
    first, second = await open_page(), await open_page()
    await join_page(first, room)
    python = await run_program("peer", "ours", encoded=True, width=1280, height=720, metadata=METADATA)
    python_id = (await python.event("ready"))["peer"]
    await page_event(first, "stream_added", peer=python_id)
    video = await video_in_page(first, python_id, 1280, 720)
    assert video["codec"] == "video/H264"

    await join_page(second, room)

    late, early = await asyncio.gather(
        video_in_page(second, python_id, 1280, 720), video_in_page(first, python_id, 1280, 720)
    )
    assert late["codec"] == early["codec"] == "video/H264"
