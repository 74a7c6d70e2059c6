"""Defects of the official SDK in media sources (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media import player
from metered_realtime.media.files import from_file, from_rtsp


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
        opened: Any = from_rtsp(url) if scheme == "rtsp" else from_file(url)
        with pytest.raises(MediaStreamError):
            async with asyncio.timeout(10):
                await opened.video.recv()
        ticking.cancel()
        assert asked.is_set()
    assert ticks > 50  # the official SDK: none in 6 s
    assert longest_s < 0.5
    opened.stop()
