"""Small tracks for the tests: pictures and sound with or without timestamps, as fast as they are asked for."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.relay import Relay


def picture(pts: int | None, *, width: int = 64, height: int = 48, time_base: Fraction = Fraction(1, 90_000)) -> Any:
    frame = av.VideoFrame(width=width, height=height)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts, frame.time_base = pts, time_base
    return frame


def sound(pts: int | None, *, rate: int = 48_000, layout: str = "stereo", samples: int = 960) -> Any:
    frame = av.AudioFrame(format="s16", layout=layout, samples=samples)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
    return frame


class Scripted(MediaStreamTrack):
    """Gives what is in its queue; None ends it, an exception is raised."""

    def __init__(self, kind: str, *items: Any) -> None:
        super().__init__()
        self.kind = kind
        self.reads = 0
        self.items: asyncio.Queue[Any] = asyncio.Queue()
        for item in items:
            self.items.put_nowait(item)

    async def recv(self) -> Any:
        self.reads += 1
        item = await self.items.get()
        if item is None:
            self.stop()
            raise MediaStreamError
        if isinstance(item, Exception):
            raise item
        return item


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


async def ended(relay: Relay) -> None:
    """Stop every reader, and wait until nothing is left of the relay."""
    for reader in tuple(relay._readers):
        reader.stop()
    await relay.settle()
