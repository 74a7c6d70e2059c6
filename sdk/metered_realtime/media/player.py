"""Anything FFmpeg can open, as tracks: opened and decoded in a thread of its own, a few frames ahead at most."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.scrub import scrub

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
MAX_QUEUED = {"video": 8, "audio": 100}
# A file nobody has read from for this long waits until somebody does.
PAUSE_AFTER_S = 1.0

_log = logging.getLogger(__name__)


class PlayerTrack(MediaStreamTrack):
    """One track of a `Player`; the oldest frame is lost when nobody reads."""

    def __init__(self, player: Player, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._player = player
        self._frames: deque[Any] = deque(maxlen=MAX_QUEUED[kind])
        self._arrived = asyncio.Event()
        self._is_finished = False

    def offer(self, frame: Any) -> None:
        """Add a frame; None: there will be no more. Called in the event loop."""
        if frame is None:
            self._is_finished = True
        else:
            self._frames.append(frame)
        self._arrived.set()

    async def recv(self) -> Any:
        if self.readyState == "live":
            self._player.demand()
        while self.readyState == "live":
            if self._frames:
                return self._frames.popleft()
            if self._is_finished:
                self.stop()
                break
            self._arrived.clear()
            await self._arrived.wait()
        raise MediaStreamError

    def stop(self) -> None:
        super().stop()
        self._arrived.set()
        self._player.track_stopped()


class Player:
    """Plays one source. Nothing is opened before a track is read, all is closed when every track has stopped.

    `audio` and `video` are tracks, or None where it is known that the source has none. A source that is opened later
    has both; one that it turns out not to have ends at once.
    """

    def __init__(
        self,
        file: str,
        *,
        format: str | None = None,  # noqa: A002 - FFmpeg's name for it
        options: dict[str, str] | None = None,
        loop: bool = False,
        is_live: bool = False,
        kinds: tuple[str, ...] = ("audio", "video"),
    ) -> None:
        self._file = file
        self._format = format
        self._options = options or {}
        self._loops = loop
        self._is_live = is_live
        self.audio = PlayerTrack(self, "audio") if "audio" in kinds else None
        self.video = PlayerTrack(self, "video") if "video" in kinds else None
        self._thread: threading.Thread | None = None
        self._quit = threading.Event()
        self._last_demand_s = 0.0

    @property
    def tracks(self) -> tuple[PlayerTrack, ...]:
        """The tracks there are."""
        return tuple(track for track in (self.audio, self.video) if track is not None)

    def demand(self) -> None:
        """Somebody reads a track: play."""
        self._last_demand_s = time.monotonic()
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._play, args=(loop,), name="media player", daemon=True)
            self._thread.start()

    def track_stopped(self) -> None:
        """Close the source with its last track."""
        if all(track.readyState != "live" for track in self.tracks):
            self._quit.set()

    def stop(self) -> None:
        """Stop every track."""
        for track in self.tracks:
            track.stop()

    # In the thread -------------------------------------------------------------------------------------

    def _play(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._play_to_end(loop)
        except (av.FFmpegError, OSError, ValueError) as error:
            _log.warning("%s cannot be played: %s", scrub(self._file), scrub(str(error)))
        finally:
            for track in self.tracks:
                _hand_over(loop, track, None)

    def _play_to_end(self, loop: asyncio.AbstractEventLoop) -> None:
        timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        with av.open(self._file, format=self._format, options=self._options, timeout=timeout) as container:
            streams = [stream for stream in _first_streams(container) if getattr(self, stream.type) is not None]
            for track in self.tracks:
                if track.kind not in [stream.type for stream in streams]:
                    _hand_over(loop, track, None)
            while streams and not self._quit.is_set():
                self._play_once(loop, container, streams)
                if not self._loops:
                    return
                container.seek(0)

    def _play_once(self, loop: asyncio.AbstractEventLoop, container: Any, streams: list[Any]) -> None:
        started_s: float | None = None
        for frame in container.decode(*streams):
            if self._quit.is_set():
                return
            if not self._is_live:
                paused_s = self._wait_for_demand()
                started_s = time.monotonic() - (frame.time or 0.0) if started_s is None else started_s + paused_s
                self._quit.wait(max(0.0, started_s + (frame.time or 0.0) - time.monotonic()))
            track = self.audio if isinstance(frame, av.AudioFrame) else self.video
            if track is not None:
                _hand_over(loop, track, frame)

    def _wait_for_demand(self) -> float:
        since_s = time.monotonic()
        while time.monotonic() - self._last_demand_s > PAUSE_AFTER_S and not self._quit.wait(0.02):
            pass
        return time.monotonic() - since_s


def _first_streams(container: Any) -> Iterator[Any]:
    yield from container.streams.audio[:1]
    yield from container.streams.video[:1]


def _hand_over(loop: asyncio.AbstractEventLoop, track: PlayerTrack, frame: Any) -> None:
    try:
        loop.call_soon_threadsafe(track.offer, frame)
    except RuntimeError:
        _log.debug("the event loop has ended before the player")


def stream_kinds(file: str) -> tuple[str, ...]:
    """Return which of audio and video a local file has. Raises FileNotFoundError or av.FFmpegError."""
    with av.open(file) as container:
        return tuple(stream.type for stream in _first_streams(container))
