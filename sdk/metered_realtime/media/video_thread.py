"""The thread in which a `VideoSource` encodes: one picture waits at most, and the newest wins."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import av

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.hardware_encoders import HARDWARE
from metered_realtime.media.taken import taken_s
from metered_realtime.media.timeline import VIDEO_RATE, Timeline, to_ticks
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import SOFTWARE_ENCODERS, EncoderSettings

# How often a thread without work looks whether there still is an event loop to work for.
_IDLE_CHECK_S = 0.5
# A driver that keeps one picture for so long does not come back.
_HANGS_S = 10.0

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

    `offer` may be called from any thread, by one at a time. A thread that hangs in a driver is left behind, and another
    one goes on by software.
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
        self._waiting: tuple[av.VideoFrame, int, float | None] | None = None
        self._last: av.VideoFrame | None = None
        self._key_wanted = True
        self._encoder: VideoEncoder | None = None
        self._pictures = 0
        self._is_busy = False
        # Since when the picture of that number is seen in an encoder of hardware.
        self._held: tuple[int, float] | None = None
        self._is_stopped = False
        self._is_failing = False

    def start(self) -> None:
        """Begin to encode."""
        self._encoder = VideoEncoder(self._settings)
        threading.Thread(target=self._run, args=(self._encoder,), name="video encoder").start()

    def offer(self, frame: av.VideoFrame) -> None:
        """Encode this next; a frame that still waits is dropped for it."""
        ticks = None
        if frame.pts is not None and frame.time_base:
            ticks = to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, VIDEO_RATE)
        with self._changed:
            self._leave_one_that_hangs()
            self._counts.dropped += self._waiting is not None
            self._waiting = (frame, self._timeline.place(ticks, self._clock()), taken_s(frame))
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

    def _leave_one_that_hangs(self) -> None:
        encoder = self._encoder.trying if self._encoder is not None and self._is_busy else None
        if encoder is None or encoder in SOFTWARE_ENCODERS[self._settings.codec]:
            self._held = None
            return
        now_s = self._clock()
        if self._held is None or self._held[0] != self._pictures:
            self._held = (self._pictures, now_s)
        elif now_s - self._held[1] >= _HANGS_S:
            _log.warning("the encoder %s hangs; another one is used instead", encoder)
            HARDWARE.failed(encoder)
            self._held, self._is_busy, self._key_wanted = None, False, True
            self.start()

    # In the thread -------------------------------------------------------------------------------------

    def _run(self, encoder: VideoEncoder) -> None:
        while (work := self._next(encoder)) is not None:
            frame, pts_90k, at_s, force_key = work
            units = self._encode(encoder, frame, pts_90k, force_key=force_key)
            if at_s is not None:
                units = [replace(unit, taken_s=at_s) for unit in units]
            if units and not self._hand_over(units):
                break
        encoder.close()

    def _next(self, encoder: VideoEncoder) -> tuple[av.VideoFrame, int, float | None, bool] | None:
        with self._changed:
            while not self._is_stopped and self._encoder is encoder:
                self._is_busy = False
                if self._waiting is None and self._key_wanted and self._last is not None:
                    # Whoever needs a key frame has the last picture now, however long the next one takes.
                    self._waiting = (self._last, self._timeline.place(None, self._clock()), None)
                if self._waiting is not None:
                    (frame, pts_90k, at_s), self._waiting = self._waiting, None
                    key_wanted, self._key_wanted = self._key_wanted, False
                    self._last = frame
                    self._is_busy = True
                    self._pictures += 1
                    return frame, pts_90k, at_s, key_wanted
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
        if self._encoder is not encoder:
            return []  # it was left behind
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
