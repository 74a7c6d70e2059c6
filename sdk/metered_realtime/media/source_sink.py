"""Where a session of a live source puts what it reads: on one clock over all sessions, and nothing once it is over."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.fanout import ReaderQueue
from metered_realtime.media.player_track import PlayerTrack
from metered_realtime.media.taken import taken_s
from metered_realtime.media.timeline import AUDIO_RATE, MAX_DRIFT_S, VIDEO_RATE, Timeline, to_ticks

_VIDEO_TIME_BASE = Fraction(1, VIDEO_RATE)


class SourceClock:
    """Puts frames on one line of time that begins at 0 and never goes back, whatever the source's own stamps do."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun_s = clock()
        self._video = Timeline(VIDEO_RATE)
        self._audio = Timeline(AUDIO_RATE)
        self._audio_rate = AUDIO_RATE
        self._audio_end_s = 0.0

    def place(self, frame: Any) -> None:
        """Stamp an `av` frame, in place; sound in samples of its own rate."""
        now_s = self._clock()
        made_s = taken_s(frame)
        if made_s is not None:  # bounded: what is told anew in mid-stream must not make a line of time begin anew
            now_s = min(max(made_s, now_s - MAX_DRIFT_S / 2), now_s + MAX_DRIFT_S / 2)
        now_s -= self._begun_s
        if isinstance(frame, av.AudioFrame):
            rate = frame.sample_rate
            if rate != self._audio_rate:
                self._audio, self._audio_rate = Timeline(rate), rate
                now_s = max(now_s, self._audio_end_s)
            frame.pts = self._audio.place(_ticks(frame, rate), now_s)
            frame.time_base = Fraction(1, rate)
            self._audio_end_s = (frame.pts + frame.samples) / rate
        else:
            frame.pts = self._video.place(_ticks(frame, VIDEO_RATE), now_s)
            frame.time_base = _VIDEO_TIME_BASE


def _ticks(frame: Any, rate: int) -> int | None:
    if frame.pts is None or not frame.time_base:
        return None
    return to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, rate)


class SourceSink:
    """One session's way out, made in the event loop; the calls named `..._from_thread` are for a thread of its own.

    `arrived()` is called in the loop once something has come. After `close()` everything is passed over: a thread
    that could not be stopped at once disturbs nobody.
    """

    def __init__(
        self,
        *,
        audio: PlayerTrack | None,
        video: PlayerTrack | EncodedVideoSource | None,
        clock: SourceClock,
        arrived: Callable[[], None],
    ) -> None:
        self._audio = audio
        self._video = video
        self._clock = clock
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._has_arrived = False
        self._units: ReaderQueue[AccessUnit] = ReaderQueue()
        self._units_lock = threading.Lock()
        self._drain_is_due = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is wanted at all: "audio", "video"."""
        return tuple(track.kind for track in (self._audio, self._video) if track is not None)

    def lacks(self, kind: str) -> None:
        """The source has no such track: the player's ends. Called in the event loop."""
        track = self._audio if kind == "audio" else self._video
        if isinstance(track, PlayerTrack) and not self._is_closed:
            track.finish()

    def frame(self, frame: Any) -> None:
        """Hand on a decoded frame."""
        track = self._track_of(frame)
        if track is not None:
            self._clock.place(frame)
            track.offer(frame)
            self._tell()

    def unit(self, unit: AccessUnit) -> None:
        """Hand on an access unit that is passed through."""
        if isinstance(self._video, EncodedVideoSource) and not self._is_closed:
            self._video.push(unit)
            self._tell()

    def passed_on(self, unit: AccessUnit) -> bool:
        """As `unit`, for who asks whether it was taken: it always is."""
        self.unit(unit)
        return True

    def lacks_from_thread(self, kind: str) -> None:
        """As `lacks`."""
        self._in_loop(lambda: self.lacks(kind))

    def frame_from_thread(self, frame: Any) -> None:
        """As `frame`."""
        track = self._track_of(frame)
        if track is None:
            return
        self._clock.place(frame)
        if not self._has_arrived:  # told before whoever waits for the frame goes on
            self._in_loop(self._tell)
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
            track.offer_from_thread(self._loop, frame)

    def unit_from_thread(self, unit: AccessUnit) -> None:
        """As `unit`; while the loop is busy a bounded number waits, then the rest of a group of pictures is lost."""
        with self._units_lock:
            self._units.push(unit)
            is_due, self._drain_is_due = self._drain_is_due, True
        if not is_due:
            self._in_loop(self._drain)

    def close(self) -> None:
        """The session is over. An encoded track waits for the next key frame, and goes on from there."""
        self._is_closed = True
        if isinstance(self._video, EncodedVideoSource):
            self._video.rebase()

    def _track_of(self, frame: Any) -> PlayerTrack | None:
        if self._is_closed:
            return None
        track = self._audio if isinstance(frame, av.AudioFrame) else self._video
        return track if isinstance(track, PlayerTrack) else None

    def _drain(self) -> None:
        while True:
            with self._units_lock:
                unit = self._units.pop()
                if unit is None:
                    self._drain_is_due = False
                    return
            self.unit(unit)

    def _tell(self) -> None:
        if not self._has_arrived and not self._is_closed:
            self._has_arrived = True
            self._arrived()

    def _in_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
            self._loop.call_soon_threadsafe(call)
