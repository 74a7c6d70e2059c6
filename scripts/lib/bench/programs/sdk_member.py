"""A program for either SDK that the bench `sdk` runs under both: publishes video, watches it, or publishes messages.

Its options are one JSON object in argv; commands come as JSON lines on stdin, events go as JSON lines to stdout. Times
are those of the machine's monotonic clock, so that the bench can subtract those of different processes.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import av
from aiortc import VideoStreamTrack, rtcdtlstransport
from aiortc.codecs import vpx

from metered_realtime import (
    MeteredPeer,
    PeerJoined,
    ReconnectOptions,
    SignallingClient,
    StateChange,
    Track,
    iter_frames,
)

FPS = 30
BITRATE_BPS = 1_500_000
PICTURES = 60
TEXTURE_SEED = 1
PAYLOAD = {"sensor": "greenhouse/7", "value": 21.5, "text": "x" * 100}
OPTIONS: dict[str, Any] = json.loads(sys.argv[1])
MARKER_BIT = 0x80


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Yield the commands on stdin until it closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def new_peer() -> MeteredPeer:
    # The jitter of the first delay would be most of what differs after a cut.
    return MeteredPeer(api_key=OPTIONS["key"], url=OPTIONS["url"], reconnect=ReconnectOptions(jitter_ratio=0.0))


# The publisher ---------------------------------------------------------------------------------------------


def pictures(width: int, height: int) -> list[av.VideoFrame]:
    """Return two seconds of a texture that scrolls over a grey ground: work for an encoder, the same every time."""
    step = 4 * width
    texture = bytes(96 + (value & 31) for value in random.Random(TEXTURE_SEED).randbytes(64 * width)) * (height // 32)
    found = []
    for number in range(PICTURES):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, grey in zip(frame.planes, (None, 110, 140), strict=True):
            begin = (number * step) % (64 * width)
            plane.update(
                bytes([grey]) * plane.buffer_size
                if grey
                else texture[begin:].ljust(plane.buffer_size)[: plane.buffer_size]
            )
        found.append(frame)
    return found


class Pictures(VideoStreamTrack):
    """The only way to send raw pictures that both SDKs have: a track, and an encoder for every peer."""

    def __init__(self, frames: list[av.VideoFrame]) -> None:
        super().__init__()
        self._frames = frames
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = self._frames[self._number % PICTURES]
        self._number += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


async def push_pictures(source: Any, frames: list[av.VideoFrame]) -> None:
    """Push for ever, 30 pictures a second."""
    loop = asyncio.get_running_loop()
    begin_s, number = loop.time(), 0
    while True:
        source.push(frames[number % PICTURES])
        number += 1
        await asyncio.sleep(max(0.0, begin_s + number / FPS - loop.time()))


async def publish_video() -> None:
    """Send pictures to everybody who comes, until stdin closes."""
    vpx.DEFAULT_BITRATE = vpx.MIN_BITRATE = vpx.MAX_BITRATE = BITRATE_BPS
    frames = pictures(*OPTIONS["size"])
    peer = new_peer()
    peer.on(StateChange, lambda change: say("state", to=change.to, at_s=time.monotonic()))
    pushing = None
    async with peer:
        if OPTIONS["source"] == "shared":
            from metered_realtime.media.video_source import VideoSource  # noqa: PLC0415  # not in the official SDK

            source = VideoSource(fps=FPS, bitrate_bps=BITRATE_BPS)
            pushing = asyncio.create_task(push_pictures(source, frames))
            peer.add_track(source)
        else:
            peer.add_track(Pictures(frames))
        await peer.join(OPTIONS["channel"])
        say("ready")
        async for _ in commands():
            pass
    if pushing is not None:
        pushing.cancel()


# Viewers ---------------------------------------------------------------------------------------------------


class Packets:
    """Counts the RTP packets of this process where aiortc takes them in; may drop them there."""

    def __init__(self, *, drop: bool) -> None:
        self.first_s: float | None = None
        self.frames = 0
        self.receivers: set[int] = set()
        transports: Any = rtcdtlstransport.RTCDtlsTransport
        take = transports._handle_rtp_data  # noqa: SLF001  # the one place before a receiver

        async def count(transport: Any, data: bytes, arrival_time_ms: int) -> None:
            self.first_s = self.first_s or time.monotonic()
            self.frames += bool(data[1] & MARKER_BIT)
            self.receivers.add(id(transport))
            if not drop:
                await take(transport, data, arrival_time_ms=arrival_time_ms)

        transports._handle_rtp_data = count  # noqa: SLF001


async def view_once(packets: Packets) -> None:
    """Join, wait for the first picture, close."""
    first: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    seen_s: list[float] = []
    peer = new_peer()

    async def picture(event: Track) -> None:
        await event.track.recv()
        if not first.done():
            first.set_result(time.monotonic())

    def joined(event: PeerJoined) -> None:
        seen_s.append(time.monotonic())
        event.peer.on(Track, picture)

    peer.on(PeerJoined, joined)
    packets.first_s = None
    begin_s = time.monotonic()
    async with peer:
        await peer.join(OPTIONS["channel"])
        frame_s = await asyncio.wait_for(first, 30)
        packet_s = packets.first_s or frame_s
        say("viewed", frame_ms=(frame_s - begin_s) * 1e3, packet_ms=(packet_s - seen_s[0]) * 1e3)


async def watch() -> None:
    """Join and tell the time of every picture, for as long as the process lives."""
    peer = new_peer()

    async def pictures_of(event: Track) -> None:
        async for _ in iter_frames(event.track):
            say("picture", at_s=time.monotonic())

    def joined(event: PeerJoined) -> None:
        event.peer.on(Track, pictures_of)

    peer.on(PeerJoined, joined)
    async with peer:
        await peer.join(OPTIONS["channel"])
        await asyncio.Event().wait()


async def view() -> None:
    """Obey: view once; or hold so many viewers that drop what they receive; or tell how many pictures came."""
    packets = Packets(drop=OPTIONS["drop"])
    held: list[MeteredPeer] = []
    say("ready")
    async for command in commands():
        match command["do"]:
            case "view":
                await view_once(packets)
            case "hold":
                while len(held) < command["viewers"]:
                    held.append(new_peer())
                    await held[-1].join(OPTIONS["channel"])
                while len(packets.receivers) < command["viewers"]:
                    await asyncio.sleep(0.02)
                say("held", viewers=command["viewers"])
            case "count":
                say("counted", frames=packets.frames, at_s=time.monotonic())
    for peer in held:
        await peer.close()


# Messages --------------------------------------------------------------------------------------------------


async def publish_messages() -> None:
    """Publish one message after the other, each when the one before it was acknowledged."""
    async with SignallingClient(api_key=OPTIONS["key"], url=OPTIONS["url"]) as client:
        say("ready")
        async for command in commands():
            begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
            for _ in range(command["messages"]):
                await client.publish(OPTIONS["channel"], PAYLOAD)
            took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
            count = command["messages"]
            say("published", per_s=count / took_s, cpu_us=cpu_s / count * 1e6)


ROLES = {"publisher": publish_video, "viewer": view, "watcher": watch, "messages": publish_messages}

if __name__ == "__main__":
    asyncio.run(ROLES[OPTIONS["role"]]())
