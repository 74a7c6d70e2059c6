"""A track that a remote peer sends: a few decoded frames, newest first to survive, and an end when the sender stops."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.received_gate import DecoderGate
from metered_realtime.media.relay import RelayReader

# A decoded 720p picture is 1.4 MB; 20 ms of sound are 4 kB.
MAX_QUEUED = {"video": 8, "audio": 100}


class ReceivedTrack(MediaStreamTrack):
    """What `Track` and `StreamAdded` carry. `recv()` gives `av` frames; the oldest is lost when nobody reads.

    Raises aiortc's MediaStreamError from `recv()` once the sender has removed the track or the connection is gone.
    """

    def __init__(self, kind: str, track_id: str, *, gate: DecoderGate | None = None) -> None:
        super().__init__()
        self._gate = gate
        self.kind = kind
        self._id = track_id
        self._frames: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self.dropped_frames = 0
        self._is_read = self._is_taken_encoded = False
        self._taps: list[RelayReader] = []

    def open_tap(self, *, max_queued: int | None = None) -> MediaStreamTrack:
        """Return a track with the same frames, for a second reader: each frame is given to both."""
        tap = RelayReader(self.kind, joined=self._joined, left=self._left, max_queued=max_queued)
        if self.readyState != "live":
            tap.finish()
        return tap

    async def encoded(self) -> EncodedVideoSource | None:
        """Return the pictures as they came, once it is known how they are encoded; None where they only come decoded.

        They end with the track. Raises MediaStreamError where the track ends before.
        """
        if self._gate is None or self.kind != "video":
            return None
        while self._gate.encoded is None and self.readyState == "live":
            self._gate.codec_known.clear()
            await self._gate.codec_known.wait()
        if self.readyState != "live":
            raise MediaStreamError
        self._is_taken_encoded = True
        self._rest()
        return self._gate.encoded

    def _rest(self) -> None:
        """Decode no more where nobody looks at the frames."""
        if self._gate is not None and self._is_taken_encoded and not self._taps and not self._is_read:
            self._gate.close()

    def request_key_frame(self) -> None:
        """Ask the sender for a picture that needs no other (RFC 4585 section 6.3.1)."""
        if self._gate is not None and self._gate.encoded is not None:
            self._gate.encoded.request_key_frame()

    def _joined(self, tap: RelayReader) -> None:
        if self.readyState == "live":
            self._taps.append(tap)
            if self._gate is not None:
                self._gate.open()
        else:
            tap.finish()

    def _left(self, tap: RelayReader) -> None:
        if tap in self._taps:
            self._taps.remove(tap)
        self._rest()

    def put(self, frame: Any) -> None:
        """Add a decoded frame; None ends the track."""
        if frame is None:
            self.stop()
            return
        if self.readyState != "live":
            return
        for tap in tuple(self._taps):
            tap.offer(frame)
        # Sound that nobody reads yet must not get ahead of the pictures: aiortc's MediaRecorder fails on it.
        if len(self._frames) >= (1 if self.kind == "audio" and not self._is_read else MAX_QUEUED[self.kind]):
            self._frames.popleft()
            self.dropped_frames += 1
        self._frames.append(frame)
        self._arrived.set()

    async def recv(self) -> Any:
        self._is_read = True
        if self._gate is not None and self.readyState == "live":
            self._gate.open()
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        if self._gate is not None and self.readyState == "live":
            self._gate.end_track()
        super().stop()
        self._arrived.set()
        for tap in tuple(self._taps):
            tap.finish()
