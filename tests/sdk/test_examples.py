"""The example programs do what they say, against a real hub."""

from __future__ import annotations

import asyncio
import sys
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metered_realtime import Data, MeteredPeer, PeerJoined, Track, iter_frames
from metered_realtime.streams import MediaStream
from tests.sdk.real_hub import KEY, ROOT, channel, environment, hub_url  # noqa: F401 - fixtures
from tests.sdk.wired import AudioStreamTrack, SmallPictures


@asynccontextmanager
async def example(name: str, url: str, room: str, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an example until the end of the block; it has joined when the block begins."""
    program = ROOT / "sdk" / "examples" / f"{name}.py"
    command = [sys.executable, str(program), "--url", url, "--key", KEY, "--channel", room, *more]
    child = await asyncio.create_subprocess_exec(*command, env=environment(), stdout=asyncio.subprocess.PIPE)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


async def line(child: asyncio.subprocess.Process, *words: str) -> str:
    """Read until a line has all the words."""
    assert child.stdout is not None
    async with asyncio.timeout(20):
        async for text in child.stdout:
            if all(word in text.decode() for word in words):
                return text.decode().strip()
    raise AssertionError(f"the example ended without saying {words}")


async def test_receive_media(hub_url: str, channel: str) -> None:  # noqa: F811
    async with MeteredPeer(api_key=KEY, url=hub_url) as sender:
        sender.add_stream(MediaStream([SmallPictures(), AudioStreamTrack()]), {"role": "camera"})
        await sender.join(channel)
        async with example("receive_media", hub_url, channel) as program:
            await line(program, sender.peer_id or "", "joined")
            await line(program, "video: 25 frames")
            await sender.close()
            await line(program, "ended after")


async def test_publish_audio(hub_url: str, channel: str) -> None:  # noqa: F811
    received: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with MeteredPeer(api_key=KEY, url=hub_url) as listener:
        listener.on(PeerJoined, lambda joined: joined.peer.on(Track, received.set_result))
        await listener.join(channel)
        async with example("publish_audio", hub_url, channel, "--seconds", "3"), asyncio.timeout(20):
            event = await received
            assert (event.track.kind, event.metadata) == ("audio", {"role": "tone"})
            async for frame in iter_frames(event.track):
                if max(map(abs, array("h", bytes(frame.planes[0])))) > 3000:
                    break


async def test_data_messages(hub_url: str, channel: str) -> None:  # noqa: F811
    async with MeteredPeer(api_key=KEY, url=hub_url) as peer:
        await peer.join(channel)
        async with peer.events(Data) as heard, example("data_messages", hub_url, channel), asyncio.timeout(20):
            greeting = await anext(heard)
            assert (greeting.data, greeting.kind) == ({"type": "chat", "text": "hi from the agent"}, "broadcast")
            await peer.send_to(greeting.sender_peer_id, {"ping": 1})
            assert (await anext(heard)).data == {"you said": {"ping": 1}}


async def test_event_styles(hub_url: str, channel: str) -> None:  # noqa: F811
    async with example("event_styles", hub_url, channel) as program:
        await line(program, "we are")
        async with MeteredPeer(api_key=KEY, url=hub_url) as peer:
            await peer.join(channel)
            await line(program, peer.peer_id or "", "joined")
            for word in ("hello", "stop"):
                await peer.send(word)
                await line(program, f"heard {word}")
            async with asyncio.timeout(20):
                assert await program.wait() == 0


@pytest.mark.parametrize("name", ["receive_media", "publish_audio", "data_messages", "event_styles"])
async def test_a_missing_key_is_said_in_one_line(name: str) -> None:
    clean = {name: value for name, value in environment().items() if not name.startswith("METERED_")}
    program = ROOT / "sdk" / "examples" / f"{name}.py"
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(program), env=clean, stderr=asyncio.subprocess.PIPE
    )
    _, error = await child.communicate()
    assert child.returncode == 2
    assert b"--key" in error.splitlines()[-1]
