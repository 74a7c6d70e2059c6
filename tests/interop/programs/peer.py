"""A peer written for `metered_realtime` 1.0: the tests run it under the official SDK and under ours.

Its options are one JSON object in argv; commands come as JSON lines on stdin, events go as JSON lines to stdout.
Uses nothing but names that both SDKs export, except for `encoded`, which is ours.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import sys
from fractions import Fraction
from typing import Any

import av
from aiortc import VideoStreamTrack

import metered_realtime
from metered_realtime import (
    AudioSource,
    Data,
    MediaStream,
    MeteredPeer,
    MeteredRealtimeError,
    PeerJoined,
    PeerLeft,
    RemotePeer,
    StreamAdded,
    Track,
    iter_frames,
)

TONE_HZ = 440
RATE_HZ = 16_000
CHUNK_S = 0.1


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def picture(number: int, width: int, height: int) -> av.VideoFrame:
    """Return a grey frame that brightens and darkens with its number."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (16 + number * 3 % 200, 100, 160), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


class Picture(VideoStreamTrack):
    """Frames for the encoder of the SDK."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self._size = (width, height)
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        self._number += 1
        frame = picture(self._number, *self._size)
        frame.pts, frame.time_base = pts, time_base
        return frame


async def push_tone(source: AudioSource) -> None:
    """Push a sine tone for ever, in chunks of 100 ms."""
    count = int(RATE_HZ * CHUNK_S)
    phase = 0
    while True:
        wave = (int(12_000 * math.sin(2 * math.pi * TONE_HZ * (phase + i) / RATE_HZ)) for i in range(count))
        await source.push(struct.pack(f"<{count}h", *wave))
        phase += count


async def push_access_units(source: Any, width: int, height: int) -> None:
    """Encode the picture once, as a camera would, and push access units (our SDK only)."""
    from metered_realtime.media.access_unit import AccessUnit  # noqa: PLC0415  # not in the official SDK

    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "50", "profile": "baseline"}
    begin = asyncio.get_running_loop().time()
    number = 0
    while True:
        frame = picture(number, width, height)
        frame.pts = number
        for packet in encoder.encode(frame):
            source.push(AccessUnit(data=bytes(packet), pts_90k=number * 3600, is_key=packet.is_keyframe))
        number += 1
        await asyncio.sleep(max(0.0, begin + number / 25 - asyncio.get_running_loop().time()))


def add_media(peer: MeteredPeer, options: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
    """Add one stream with the tracks that the options ask for."""
    tracks: list[Any] = []
    size = (options.get("width", 640), options.get("height", 360))
    if options.get("video"):
        tracks.append(Picture(*size))
    if options.get("encoded"):
        from metered_realtime.media.encoded import EncodedVideoSource  # noqa: PLC0415  # not in the official SDK

        source = EncodedVideoSource()
        tasks.create_task(push_access_units(source, *size))
        tracks.append(source)
    if options.get("audio"):
        tone = AudioSource(input_rate=RATE_HZ)
        tasks.create_task(push_tone(tone))
        tracks.append(tone)
    if tracks:
        peer.add_stream(MediaStream(tracks, id=options.get("stream", "interop")), options.get("metadata"))


def peak(frame: av.AudioFrame) -> int:
    data = bytes(frame.planes[0])
    return max((abs(value) for (value,) in struct.iter_unpack("<h", data[: len(data) // 2 * 2])), default=0)


async def watch(remote: RemotePeer, track: Any) -> None:
    """Count what arrives on a track."""
    frames = loudest = 0
    async for frame in iter_frames(track):
        frames += 1
        if track.kind == "audio":
            loudest = max(loudest, peak(frame))
            if frames % 10 == 0:
                say("audio", peer=remote.id, frames=frames, peak=loudest)
        elif frames % 5 == 0:
            say("video", peer=remote.id, frames=frames, width=frame.width, height=frame.height)
    say("track_ended", peer=remote.id, kind=track.kind)


def listen(peer: MeteredPeer) -> None:
    """Report everything."""

    @peer.on(PeerJoined)
    def joined(event: PeerJoined) -> None:
        remote = event.peer
        say("peer_joined", peer=remote.id, metadata=remote.metadata)

        @remote.on(Track)
        async def track(event: Track) -> None:
            streams = [stream.id for stream in event.streams]
            say("track", peer=remote.id, kind=event.track.kind, streams=streams, metadata=event.metadata)
            await watch(remote, event.track)

        @remote.on(StreamAdded)
        def stream_added(event: StreamAdded) -> None:
            say("stream_added", peer=remote.id, stream=event.stream.id, metadata=event.metadata)

    @peer.on(PeerLeft)
    def left(event: PeerLeft) -> None:
        say("peer_left", peer=event.peer.id)

    @peer.on(Data)
    def data(event: Data) -> None:
        say("data", sender=event.sender_peer_id, data=event.data, kind=event.kind)


async def commands() -> Any:
    """Yield the commands on stdin until it closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def obey(peer: MeteredPeer, command: dict[str, Any]) -> None:
    try:
        match command["do"]:
            case "send":
                await peer.send(command["data"])
            case "send_to":
                await peer.send_to(command["peer"], command["data"])
    except MeteredRealtimeError as error:
        say("failed", do=command["do"], error=type(error).__name__, code=getattr(error, "code", None))
    else:
        say("done", do=command["do"])


async def main() -> None:
    options = json.loads(sys.argv[1])
    peer = MeteredPeer(api_key=options["key"], url=options["url"])
    async with peer, asyncio.TaskGroup() as tasks:
        listen(peer)
        add_media(peer, options, tasks)
        await peer.join(options["channel"])
        say("ready", peer=peer.peer_id, channel=peer.channel, version=metered_realtime.__version__)
        async for command in commands():
            if command["do"] == "close":
                break
            await obey(peer, command)
        await peer.close()
        say("closed")
        # The tasks that push media have no end of their own.
        raise SystemExit(0)


asyncio.run(main())
