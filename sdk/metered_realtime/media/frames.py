"""Frames of a received track as an asynchronous iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack


async def iter_frames(track: MediaStreamTrack) -> AsyncIterator[Any]:
    """Yield `av` frames until the track ends: the sender left, removed the track, or the connection was replaced."""
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        yield frame
