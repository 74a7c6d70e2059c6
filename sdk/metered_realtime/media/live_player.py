"""A source that may go and come back - a camera, a microphone, a screen - as tracks that outlive all of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from metered_realtime.emitter import Emitter
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.player_track import PlayerTrack
from metered_realtime.media.source_errors import SourceError, SourceLostError
from metered_realtime.media.source_sink import SourceClock, SourceSink
from metered_realtime.media.source_state import SourceLife, SourceState, SourceStateChange
from metered_realtime.owned_tasks import OwnedTasks

# A source nobody has read from for this long is closed until somebody does.
IDLE_AFTER_S = 10.0

_log = logging.getLogger(__name__)

Session = Callable[[SourceSink], Awaitable[None]]
"""One life of the source: opens it, hands on what comes, closes it. Raises SourceError; must not block the loop."""


class LivePlayer(Emitter):
    """Plays one source for ever. It is opened at the first read of a track, tried again whenever it fails or goes, and
    closed while nobody reads. Its tracks go on over all of that, on one clock, and end by `stop()` alone; only a kind
    that the source turns out not to have ends by itself.

    Emits `SourceStateChange`. `video` is an `EncodedVideoSource` where the source is passed through as it is. All
    calls belong to the event loop's thread.
    """

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        kinds: tuple[str, ...] = ("audio", "video"),
        passthrough: bool = False,
        idle_after_s: float = IDLE_AFTER_S,
        life: SourceLife | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self._session = session
        self.audio = self._new_track("audio", clock) if "audio" in kinds else None
        self.video: PlayerTrack | EncodedVideoSource | None = None
        if "video" in kinds:
            self.video = self._new_source(clock) if passthrough else self._new_track("video", clock)
        self._name = name
        self._idle_after_s = idle_after_s
        self._life = life if life is not None else SourceLife()
        self._clock = clock
        self._sleep = sleep
        self._source_clock = SourceClock(clock)
        self._tasks = OwnedTasks()
        self._keeping: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._openers = 0
        self._warned = False

    @property
    def state(self) -> SourceState:
        """What the last `SourceStateChange` said."""
        return self._life.state

    @property
    def error(self) -> SourceError | None:
        """Why the source is "lost", None in every other state."""
        return self._life.error if self._life.state == "lost" else None

    @property
    def tracks(self) -> tuple[Any, ...]:
        """The tracks there are."""
        return tuple(track for track in (self.audio, self.video) if track is not None)

    async def opened(self) -> None:
        """Open the source now and wait until it is live; raises the SourceError why it is "lost" instead.

        It is tried again after that all the same. Nobody has to wait here: reading a track opens the source, too.
        """
        self._openers += 1
        try:
            self._demand()
            while self.state != "live":
                if self.state == "ended":
                    raise SourceLostError(f"{self._name} has been stopped")
                if self.error is not None:
                    raise self.error
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._openers -= 1

    def stop(self) -> None:
        """End every track and close the source; `aclose` waits until that is done."""
        for track in self.tracks:
            track.stop()
        self._end()

    async def aclose(self) -> None:
        """Stop, and wait until the source is closed."""
        self.stop()
        await self._tasks.aclose()

    def _new_track(self, kind: str, clock: Callable[[], float]) -> PlayerTrack:
        return PlayerTrack(kind, demanded=self._demand, stopped=self._track_stopped, is_live=True, clock=clock)

    def _new_source(self, clock: Callable[[], float]) -> EncodedVideoSource:
        # A local camera may make a key frame when it is asked.
        ask: Callable[[], bool] | None = getattr(self._session, "request_key_frame", None)
        source = EncodedVideoSource(on_demand=self._watched, on_key_frame_wanted=ask, clock=clock)
        source.add_listener("ended", self._track_stopped)
        return source

    def _watched(self, watched: bool) -> None:
        if watched:
            self._demand()

    def _demand(self) -> None:
        if self._keeping is None and self.state != "ended":
            self._keeping = self._tasks.start(self._run(), name=f"source {self._name}")

    def _track_stopped(self) -> None:
        if all(track.readyState != "live" for track in self.tracks):
            self._end()

    def _end(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        self._tell(self._life.end())
        self._retire_listeners()

    def _is_wanted(self) -> bool:
        return self._openers > 0 or any(self._is_read(track) for track in self.tracks)

    def _is_read(self, track: PlayerTrack | EncodedVideoSource) -> bool:
        return track.viewers > 0 if isinstance(track, EncodedVideoSource) else track.is_read(self._idle_after_s)

    async def _run(self) -> None:
        """Keep the source open until nobody reads."""
        try:
            while True:
                await self._open_while_wanted()
                self._tell(self._life.rest())
                if not self._is_wanted():
                    return
        finally:
            self._keeping = None

    async def _open_while_wanted(self) -> None:
        keeping = asyncio.get_running_loop().create_task(self._keep_open(), name=f"source {self._name}: open")
        try:
            while not keeping.done():
                await asyncio.wait((keeping,), timeout=self._idle_after_s)
                if not self._is_wanted():
                    break
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))
        if not keeping.cancelled():
            self.stop()
            keeping.result()

    async def _keep_open(self) -> None:
        while True:
            if (wait_s := self._life.wait_s(self._clock())) > 0:
                await self._sleep(wait_s)
            self._tell(self._life.begin())
            sink = SourceSink(audio=self.audio, video=self.video, clock=self._source_clock, arrived=self._arrived)
            try:
                await self._session(sink)
                error: SourceError = SourceLostError(f"{self._name} ended")
            except SourceError as raised:
                error = raised
            finally:
                sink.close()
            self._warn(error)
            self._tell(self._life.fail(error, self._clock()))

    def _arrived(self) -> None:
        if self._warned:
            _log.info("%s is back", self._name)
        self._warned = False
        self._tell(self._life.arrived(self._clock()))

    def _warn(self, error: SourceError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("%s; it is tried again until it works", error)

    def _tell(self, change: SourceStateChange | None) -> None:
        if change is not None:
            self._changed.set()
            self.emit(change)
