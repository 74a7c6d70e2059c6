"""A file, or anything else FFmpeg can open, played once or in a loop: opened and decoded in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import av

from metered_realtime.media.ffmpeg_input import first_streams
from metered_realtime.media.file_line import FileLine
from metered_realtime.media.player_track import PlayerTrack
from metered_realtime.scrub import scrub

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
# A file nobody has read from for this long waits until somebody does.
PAUSE_AFTER_S = 1.0

_log = logging.getLogger(__name__)


class Player:
    """Plays one source. Nothing is opened before a track is read, all is closed when every track has stopped.

    `audio` and `video` are tracks, or None where it is known that the source has none. A source that is opened later
    has both; one that it turns out not to have ends at once.
    """

    def __init__(
        self,
        file: str,
        *,
        loop: bool = False,
        is_live: bool = False,
        kinds: tuple[str, ...] = ("audio", "video"),
    ) -> None:
        self._file = file
        self._loops = loop
        self._is_live = is_live
        self.audio = self._new_track("audio") if "audio" in kinds else None
        self.video = self._new_track("video") if "video" in kinds else None
        self._thread: threading.Thread | None = None
        self._quit = threading.Event()

    @property
    def tracks(self) -> tuple[PlayerTrack, ...]:
        """The tracks there are."""
        return tuple(track for track in (self.audio, self.video) if track is not None)

    def stop(self) -> None:
        """Stop every track."""
        for track in self.tracks:
            track.stop()

    def _new_track(self, kind: str) -> PlayerTrack:
        return PlayerTrack(kind, demanded=self._demand, stopped=self._track_stopped)

    def _demand(self) -> None:
        """Somebody reads a track: play."""
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._play, args=(loop,), name="media player", daemon=True)
            self._thread.start()

    def _track_stopped(self) -> None:
        """Close the source with its last track."""
        if all(track.readyState != "live" for track in self.tracks):
            self._quit.set()

    # In the thread -------------------------------------------------------------------------------------

    def _play(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._play_to_end(loop)
        except (av.FFmpegError, OSError, ValueError) as error:
            _log.warning("%s cannot be played: %s", scrub(self._file), scrub(str(error)))
        finally:
            for track in self.tracks:
                _in_loop(loop, track.finish)

    def _play_to_end(self, loop: asyncio.AbstractEventLoop) -> None:
        timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        with av.open(self._file, timeout=timeout) as container:
            streams = [stream for stream in first_streams(container) if getattr(self, stream.type) is not None]
            for track in self.tracks:
                if track.kind not in [stream.type for stream in streams]:
                    _in_loop(loop, track.finish)
            start_pts = container.start_time or 0
            line = FileLine(start_s=start_pts / av.time_base)
            began_s: float | None = None
            while streams and not self._is_over(loop):
                began_s = self._play_once(loop, container.decode(*streams), line, began_s)
                if not self._loops or not line.frames_in_run:
                    return
                container.seek(start_pts)
                line.again()

    def _play_once(
        self, loop: asyncio.AbstractEventLoop, frames: Any, line: FileLine, began_s: float | None
    ) -> float | None:
        """Play one run; `began_s`, which is returned for the next, is when 0 on the line of time was."""
        for frame in frames:
            if self._is_over(loop):
                return began_s
            due_s = _place(frame, line)
            if not self._is_live:
                paused_s = self._wait_for_demand(loop)
                began_s = time.monotonic() - due_s if began_s is None else began_s + paused_s
                self._quit.wait(max(0.0, began_s + due_s - time.monotonic()))
            track = self.audio if isinstance(frame, av.AudioFrame) else self.video
            if track is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended before the player
                    track.offer_from_thread(loop, frame)
        return began_s

    def _wait_for_demand(self, loop: asyncio.AbstractEventLoop) -> float:
        since_s = time.monotonic()
        while not any(track.is_read(PAUSE_AFTER_S) for track in self.tracks) and not self._is_over(loop):
            self._quit.wait(0.02)
        return time.monotonic() - since_s

    def _is_over(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Nobody can read any more: every track has stopped, or the program's event loop has ended."""
        return self._quit.is_set() or loop.is_closed()


def _place(frame: Any, line: FileLine) -> float:
    """Put a frame on the line of time, in place, and return when it is due."""
    is_audio = isinstance(frame, av.AudioFrame)
    duration_s = frame.samples / frame.sample_rate if is_audio else 0.0
    due_s = line.place("audio" if is_audio else "video", frame.time, duration_s)
    if frame.time_base and (frame.pts is None or line.offset_s):
        frame.pts = round(due_s / frame.time_base)
    return due_s


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        _log.debug("the event loop has ended before the player")
