"""The thread in which a `VideoSource` encodes: one picture waits at most, and the newest wins."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import av

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.timeline import VIDEO_RATE, Timeline, to_ticks
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings

# How often a thread without work looks whether there still is an event loop to work for.
_IDLE_CHECK_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class EncoderCounts:
    """What became of the frames; written by one thread, read by any."""

    encoded: int = 0
    dropped: int = 0
    failed: int = 0
    encoder: str | None = None
    size: tuple[int, int] | None = None


class VideoEncoderThread:
    """Encodes from `start()` until `stop()`, which does not wait; `deliver` is called in the event loop.

    `offer` may be called from any thread, by one at a time.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        *,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[list[AccessUnit]], None],
        counts: EncoderCounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._deliver = deliver
        self._counts = counts
        self._clock = clock
        self._timeline = Timeline(VIDEO_RATE)
        self._changed = threading.Condition()
        self._waiting: tuple[av.VideoFrame, int] | None = None
        self._last: av.VideoFrame | None = None
        self._key_wanted = True
        self._is_stopped = False
        self._is_failing = False

    def start(self) -> None:
        """Begin to encode."""
        threading.Thread(target=self._run, name="video encoder").start()

    def offer(self, frame: av.VideoFrame) -> None:
        """Encode this next; a frame that still waits is dropped for it."""
        ticks = None
        if frame.pts is not None and frame.time_base:
            ticks = to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, VIDEO_RATE)
        with self._changed:
            self._counts.dropped += self._waiting is not None
            self._waiting = (frame, self._timeline.place(ticks, self._clock()))
            self._changed.notify()

    def request_key_frame(self) -> None:
        """Make the next picture one that needs no other, soon."""
        with self._changed:
            self._key_wanted = True
            self._changed.notify()

    def stop(self) -> None:
        """End after the picture that is being encoded; nothing is delivered any more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    # In the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        encoder = VideoEncoder(self._settings)
        while (work := self._next()) is not None:
            frame, pts_90k, force_key = work
            units = self._encode(encoder, frame, pts_90k, force_key=force_key)
            if units and not self._hand_over(units):
                break
        encoder.close()

    def _next(self) -> tuple[av.VideoFrame, int, bool] | None:
        with self._changed:
            while not self._is_stopped:
                if self._waiting is None and self._key_wanted and self._last is not None:
                    # Whoever needs a key frame has the last picture now, however long the next one takes.
                    self._waiting = (self._last, self._timeline.place(None, self._clock()))
                if self._waiting is not None:
                    (frame, pts_90k), self._waiting = self._waiting, None
                    key_wanted, self._key_wanted = self._key_wanted, False
                    self._last = frame
                    return frame, pts_90k, key_wanted
                self._changed.wait(_IDLE_CHECK_S)
                if self._loop.is_closed() or not threading.main_thread().is_alive():
                    return None  # the program ended without stopping us
        return None

    def _encode(
        self, encoder: VideoEncoder, frame: av.VideoFrame, pts_90k: int, *, force_key: bool
    ) -> list[AccessUnit]:
        try:
            units = encoder.encode(frame, pts_90k, force_key=force_key)
        except (av.FFmpegError, ValueError) as error:
            self._counts.failed += 1
            if not self._is_failing:
                _log.warning("a picture cannot be encoded: %s", error)
            self._is_failing = True
            return []
        self._is_failing = False
        self._counts.encoded += 1
        self._counts.encoder, self._counts.size = encoder.name, encoder.size
        return units

    def _hand_over(self, units: list[AccessUnit]) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._deliver, units)
        except RuntimeError:
            _log.debug("the event loop has ended before the video encoder")
            return False
        return True
