"""The track of a player: a few decoded frames ahead at most, filled from the event loop or from a thread."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

# A decoded 720p picture is 1.4 MB; 20 ms of sound are 4 kB.
MAX_QUEUED = {"video": 8, "audio": 100}
# Of what happens now, less is more.
MAX_QUEUED_LIVE = {"video": 3, "audio": 25}
_STALE_AFTER_S = 1.0


class PlayerTrack(MediaStreamTrack):
    """Gives `av` frames; the oldest is lost, and counted, when nobody reads.

    `demanded()` is called with every read, `stopped()` once, when the track has been stopped. Whoever reads a live
    track again after more than a second gets what is now, not what was then.
    """

    def __init__(
        self,
        kind: str,
        *,
        demanded: Callable[[], None],
        stopped: Callable[[], None],
        is_live: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.dropped_frames = 0
        self._demanded = demanded
        self._stopped = stopped
        self._is_live = is_live
        self._clock = clock
        self._frames: deque[Any] = deque(maxlen=(MAX_QUEUED_LIVE if is_live else MAX_QUEUED)[kind])
        self._arrived = asyncio.Event()
        self._wake_is_due = False
        self._is_finished = False
        self._reading = 0
        self._read_s = float("-inf")

    def is_read(self, within_s: float) -> bool:
        """Whether somebody waits for a frame, or took one within the last `within_s`."""
        return self.readyState == "live" and (self._reading > 0 or self._clock() - self._read_s <= within_s)

    def offer(self, frame: Any) -> None:
        """Add a frame; called in the event loop."""
        self._append(frame)
        self._arrived.set()

    def offer_from_thread(self, loop: asyncio.AbstractEventLoop, frame: Any) -> None:
        """Add a frame from another thread. A loop that is busy is told once, and never collects more than the bound."""
        self._append(frame)
        if not self._wake_is_due:
            self._wake_is_due = True
            loop.call_soon_threadsafe(self._wake)

    def finish(self) -> None:
        """There will be no more frames: what waits is still delivered, then the track ends."""
        self._is_finished = True
        self._arrived.set()

    async def recv(self) -> Any:
        if self.readyState == "live":
            if self._is_live and not self._is_finished and not self.is_read(_STALE_AFTER_S):
                self._frames.clear()
            self._read_s = self._clock()
            self._demanded()
        self._reading += 1
        try:
            while self.readyState == "live":
                if self._frames:
                    return self._frames.popleft()
                if self._is_finished:
                    self.stop()
                    break
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._reading -= 1
            self._read_s = self._clock()
        raise MediaStreamError

    def stop(self) -> None:
        was_live = self.readyState == "live"
        super().stop()
        self._arrived.set()
        self._frames.clear()
        if was_live:
            self._stopped()

    def _append(self, frame: Any) -> None:
        if self.readyState == "live":
            self.dropped_frames += len(self._frames) == self._frames.maxlen
            self._frames.append(frame)

    def _wake(self) -> None:
        self._wake_is_due = False
        self._arrived.set()
