"""Defects of the official SDK in media sources (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metered_realtime import MediaStream, events
from metered_realtime.media import player
from metered_realtime.media.files import from_file, from_rtsp
from metered_realtime.media.source_state import SourceStateChange
from scripts.lib import peers
from tests.sdk.defects.room import Room, until

CAMERA_WORDS = ("--width", "320", "--height", "240", "--fps", "15", "--gop", "15")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
async def test_09_a_camera_that_does_not_answer_stops_nothing_else_and_is_given_up(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(player, "OPEN_TIMEOUT_S", 1.5)
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(4096):
            pass
        writer.close()

    loop = asyncio.get_running_loop()
    longest_s, ticks = 0.0, 0

    async def tick() -> None:
        nonlocal longest_s, ticks
        while True:
            before_s = loop.time()
            await asyncio.sleep(0.005)
            longest_s, ticks = max(longest_s, loop.time() - before_s), ticks + 1

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/cam"
        ticking = asyncio.create_task(tick())
        opened: Any = from_rtsp(url, timeout_s=1.5) if scheme == "rtsp" else from_file(url)
        reading = asyncio.create_task(opened.video.recv())
        if scheme == "rtsp":
            states: list[str] = []
            opened.on(SourceStateChange, lambda change: states.append(change.state))
            await until(lambda: "lost" in states)
        else:
            await until(reading.done)
        ticking.cancel()
        assert asked.is_set()
        assert ticks > 50  # the official SDK: none in 6 s
        assert longest_s < 0.5
        opened.stop()
    await asyncio.wait([reading])
    assert reading.exception() is not None


async def test_10_a_camera_that_goes_and_comes_back_is_shown_again_on_the_same_track(room: Room) -> None:
    port = peers.free_port()
    opened: Any = from_rtsp(f"rtsp://127.0.0.1:{port}/ball")
    states: list[str] = []
    opened.on(SourceStateChange, lambda change: states.append(change.state))
    sender, viewer = await room.member("b"), await room.member("a")
    sender.peer.add_track(opened.video, MediaStream(id="camera"))
    await room.meet(viewer, sender)
    async with peers.rtsp_camera(*CAMERA_WORDS, port=port):
        await viewer.sees(320)
    await until(lambda: states[-1] == "lost")
    assert (opened.video.readyState, viewer.remote.state) == ("live", "connected")
    async with peers.rtsp_camera(*CAMERA_WORDS, port=port):
        await viewer.sees(320)
    assert states.count("live") == 2
    assert len(viewer.all(events.Track)) == 1
    opened.stop()
