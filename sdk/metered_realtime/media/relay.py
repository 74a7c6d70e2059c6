"""One reader of an ordinary track feeding every remote peer: bounded, on one clock, and only while somebody reads."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.timeline import AUDIO_RATE, VIDEO_RATE, Timeline, to_ticks

MAX_QUEUED = {"video": 2, "audio": 25}
_VIDEO_TIME_BASE = Fraction(1, VIDEO_RATE)
_AUDIO_TIME_BASE = Fraction(1, AUDIO_RATE)

_log = logging.getLogger(__name__)
# A track has one reader, or its frames are shared out among several: who needs another finds the relay here.
_relays: weakref.WeakValueDictionary[int, Relay] = weakref.WeakValueDictionary()


class Relay:
    """Shares one track. Frames are the same objects for all readers; a reader that lags loses the oldest, counted.

    Audio is brought to 48 kHz stereo once, here, so that a sender survives a source of another format.
    The track is read from the first `recv()` of any reader until the last reader stops.
    """

    mime_type: str | None = None

    def __init__(self, track: MediaStreamTrack, clock: Callable[[], float] = time.monotonic) -> None:
        self.track = track
        self.kind: str = track.kind
        self._clock = clock
        self._readers: list[RelayReader] = []
        self._pump: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self.is_ended = False
        self._timeline = Timeline(VIDEO_RATE if self.kind == "video" else AUDIO_RATE)
        self._resampler: Any = None
        self._resampled_format: tuple[Any, ...] = ()
        self._counted_samples = 0
        self.dropped_frames = 0
        _relays[id(track)] = self

    @property
    def is_idle(self) -> bool:
        """Nobody reads, and no task of ours is left."""
        return not self._readers and self._pump is None and not self._stopping

    @property
    def id(self) -> str:
        """The track's own id."""
        return str(self.track.id)

    def open_reader(self, *, max_queued: int | None = None) -> MediaStreamTrack:
        """Return a track for one peer, which loses the oldest when more than `max_queued` frames wait."""
        return RelayReader(self.kind, joined=self._join, left=self._leave, max_queued=max_queued)

    def _join(self, reader: RelayReader) -> None:
        if self.is_ended:
            reader.finish()
            return
        self._readers.append(reader)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run(), name=f"relay of {self.kind} {self.id}")

    def _leave(self, reader: RelayReader) -> None:
        self.dropped_frames += reader.dropped_frames
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers and self._pump is not None:
            pump, self._pump = self._pump, None
            pump.cancel()
            self._stopping.add(pump)
            pump.add_done_callback(self._stopping.discard)

    async def settle(self) -> None:
        """Wait until nothing of ours runs that nobody reads from."""
        if self._stopping:
            await asyncio.wait(set(self._stopping))

    async def _run(self) -> None:
        try:
            while True:
                item = await self.track.recv()
                for placed in self._place(item):
                    for reader in tuple(self._readers):
                        reader.offer(placed)
        except MediaStreamError:
            _log.debug("the %s track %s ended", self.kind, self.id)
        except Exception:  # noqa: BLE001 - the application's track: its fault ends this one track, and is seen
            _log.exception("the %s track %s raised; it is not sent any more", self.kind, self.id)
        self.is_ended = True
        self._pump = None
        for reader in tuple(self._readers):
            reader.finish()

    def _place(self, item: Any) -> list[Any]:
        """Put an item on our clock, in place: this relay is the only one that reads the track."""
        if isinstance(item, av.AudioFrame):
            return self._place_audio(item)
        ticks = _ticks(item, VIDEO_RATE)
        item.pts = self._timeline.place(ticks, self._clock())
        item.time_base = _VIDEO_TIME_BASE
        if isinstance(item, av.Packet):
            item.dts = item.pts
        return [item]

    def _place_audio(self, frame: av.AudioFrame) -> list[Any]:
        stamped = _ticks(frame, AUDIO_RATE)
        # Sound without timestamps follows its samples: arrival times would tear it.
        ticks = stamped if stamped is not None else self._counted_samples
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape == ("s16", "stereo", AUDIO_RATE):
            frames = [frame]
        else:
            if shape != self._resampled_format:
                self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_RATE)
                self._resampled_format = shape
            frame.pts = None
            frames = self._resampler.resample(frame)
        for converted in frames:
            converted.pts = self._timeline.place(ticks, self._clock())
            converted.time_base = _AUDIO_TIME_BASE
            ticks += converted.samples
        self._counted_samples = ticks
        return frames


def _ticks(item: Any, rate: int) -> int | None:
    if item.pts is None or not item.time_base:
        return None
    return to_ticks(item.pts, item.time_base.numerator, item.time_base.denominator, rate)


def relay_of(track: MediaStreamTrack) -> Relay:
    """Return the relay that reads `track` already, or a new one."""
    relay = _relays.get(id(track))
    return relay if relay is not None and relay.track is track and not relay.is_ended else Relay(track)


class RelayReader(MediaStreamTrack):
    """One peer's view of a relayed track: the newest frames, a few at most."""

    def __init__(
        self,
        kind: str,
        *,
        joined: Callable[[RelayReader], None],
        left: Callable[[RelayReader], None],
        max_queued: int | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self._joined = joined
        self._left = left
        self._max_queued = max_queued if max_queued is not None else MAX_QUEUED[kind]
        self._is_reading = False
        self._is_finished = False
        self._items: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self.dropped_frames = 0

    def offer(self, item: Any) -> None:
        """Add an item; the oldest goes when too many wait."""
        if len(self._items) >= self._max_queued:
            self._items.popleft()
            self.dropped_frames += 1
        self._items.append(item)
        self._arrived.set()

    def finish(self) -> None:
        """The track ended: what waits is still delivered."""
        self._is_finished = True
        self._arrived.set()

    async def recv(self) -> Any:
        if not self._is_reading and self.readyState == "live":
            self._is_reading = True
            self._joined(self)
        while self.readyState == "live" and not self._items and not self._is_finished:
            self._arrived.clear()
            await self._arrived.wait()
        if self.readyState != "live" or not self._items:
            raise MediaStreamError
        return self._items.popleft()

    def stop(self) -> None:
        was_live = self.readyState == "live"
        super().stop()
        self._arrived.set()
        self._items.clear()
        if was_live and self._is_reading:
            self._left(self)
