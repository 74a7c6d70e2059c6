"""A track that a remote peer sends: a few decoded frames, newest first to survive, and an end when the sender stops."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

# A decoded 720p picture is 1.4 MB; 20 ms of sound are 4 kB.
MAX_QUEUED = {"video": 8, "audio": 100}


class ReceivedTrack(MediaStreamTrack):
    """What `Track` and `StreamAdded` carry. `recv()` gives `av` frames; the oldest is lost when nobody reads.

    Raises aiortc's MediaStreamError from `recv()` once the sender has removed the track or the connection is gone.
    """

    def __init__(self, kind: str, track_id: str) -> None:
        super().__init__()
        self.kind = kind
        self._id = track_id
        self._frames: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self.dropped_frames = 0

    def put(self, frame: Any) -> None:
        """Add a decoded frame; None ends the track."""
        if frame is None:
            self.stop()
            return
        if self.readyState != "live":
            return
        if len(self._frames) >= MAX_QUEUED[self.kind]:
            self._frames.popleft()
            self.dropped_frames += 1
        self._frames.append(frame)
        self._arrived.set()

    async def recv(self) -> Any:
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        super().stop()
        self._arrived.set()
