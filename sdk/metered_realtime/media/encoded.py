"""A video track that is already encoded: pushed once, sent to every viewer as it is, with no encoder anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.fanout import ReaderQueue
from metered_realtime.media.gop import DEFAULT_MAX_BYTES, GopRing

_TIME_BASE = Fraction(1, CLOCK_RATE)
# A restarted source continues at least this much later: two pictures never share a timestamp across it.
_MIN_GAP_90K = CLOCK_RATE // 30
# The starting burst leaves at this rate: a picture at once, and no flood of a slow link's socket buffer.
_BURST_BYTES_PER_S = 5_000_000


@dataclass(frozen=True, slots=True)
class EncodedVideoStats:
    """Counters of one source since it was made; `dropped_units` is over all its readers."""

    viewers: int
    units: int
    key_units: int
    total_bytes: int
    gop_units: int
    gop_bytes: int
    gop_overflows: int
    dropped_units: int


@dataclass(frozen=True, slots=True)
class _Shared:
    """One unit as all readers get it: the same `av.Packet`, never changed after it is made."""

    packet: av.Packet[Any]
    is_key: bool
    size_bytes: int


class EncodedVideoSource(MediaStreamTrack):
    """A track fed with H.264 access units, for `MeteredPeer.add_track`/`add_stream` or a bare RTCPeerConnection.

    Each remote peer reads through its own `open_reader()`; a reader starts with the current group of pictures
    and goes on live. All calls belong to the event loop's thread.

    `on_demand(True)` is called when the first reader starts to read, `on_demand(False)` when the last stops.
    """

    kind = "video"
    mime_type: str | None = "video/H264"

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
        max_gop_bytes: int = DEFAULT_MAX_BYTES,
        on_demand: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._given_id = id
        self._on_demand = on_demand
        self._clock = clock
        self._ring: GopRing[_Shared] = GopRing(max_bytes=max_gop_bytes)
        self._readers: set[_Reader] = set()
        self._own_reader: _Reader | None = None
        self._rebase_pending = False
        self._offset_90k = 0
        self._last_pts_90k: int | None = None
        self._last_push_s = 0.0
        self._units = self._key_units = self._total_bytes = self._dropped_by_gone = 0

    @property
    def id(self) -> str:
        """The id given, else a random one."""
        return self._given_id if self._given_id is not None else super().id

    @property
    def viewers(self) -> int:
        """Readers between their first `recv()` and their `stop()`."""
        return len(self._readers)

    def stats(self) -> EncodedVideoStats:
        """Return the counters."""
        return EncodedVideoStats(
            viewers=len(self._readers),
            units=self._units,
            key_units=self._key_units,
            total_bytes=self._total_bytes,
            gop_units=len(self._ring),
            gop_bytes=self._ring.size_bytes,
            gop_overflows=self._ring.overflows,
            dropped_units=self._dropped_by_gone + sum(reader.dropped_units for reader in self._readers),
        )

    def push(self, unit: AccessUnit) -> None:
        """Hand over the next picture in decode order. Never waits; a reader that lags loses whole GOP tails."""
        packet = av.Packet(unit.data)
        packet.pts = packet.dts = self._continue_timeline(unit.pts_90k)
        packet.time_base = _TIME_BASE
        packet.is_keyframe = unit.is_key
        shared = _Shared(packet, unit.is_key, len(unit.data))
        self._units += 1
        self._key_units += unit.is_key
        self._total_bytes += shared.size_bytes
        self._ring.push(shared)
        for reader in self._readers:
            reader.offer(shared)

    def rebase(self) -> None:
        """The source restarted or stopped: forget its last pictures; the next unit continues the timeline.

        Readers keep their session and go on with the next key frame.
        """
        self._rebase_pending = True
        self._ring.clear()
        for reader in self._readers:
            reader.interrupt()

    def open_reader(self) -> MediaStreamTrack:
        """Return a track for one peer: `recv()` gives `av.Packet`s (time base 1/90000), the first a key frame."""
        return _Reader(self, joined=self._join, left=self._leave)

    async def recv(self) -> av.Packet[Any]:
        """Read as a plain aiortc track, through one reader of the source's own."""
        if self._own_reader is None:
            self._own_reader = _Reader(self, joined=self._join, left=self._leave)
        return await self._own_reader.recv()

    def stop(self) -> None:
        """End the source and every reader of it."""
        super().stop()
        if self._own_reader is not None:
            self._own_reader.stop()
        for reader in tuple(self._readers):
            reader.stop()

    def _continue_timeline(self, pts_90k: int) -> int:
        now_s = self._clock()
        if self._rebase_pending and self._last_pts_90k is not None:
            gap_90k = max(_MIN_GAP_90K, round((now_s - self._last_push_s) * CLOCK_RATE))
            self._offset_90k = self._last_pts_90k + gap_90k - pts_90k
        self._rebase_pending = False
        pts = pts_90k + self._offset_90k
        if self._last_pts_90k is not None:
            pts = max(pts, self._last_pts_90k)
        self._last_pts_90k = pts
        self._last_push_s = now_s
        return pts

    def _join(self, reader: _Reader) -> tuple[_Shared, ...]:
        self._readers.add(reader)
        if len(self._readers) == 1 and self._on_demand is not None:
            self._on_demand(True)
        return self._ring.snapshot()

    def _leave(self, reader: _Reader) -> None:
        if reader not in self._readers:
            return
        self._readers.remove(reader)
        self._dropped_by_gone += reader.dropped_units
        if not self._readers and self._on_demand is not None:
            self._on_demand(False)


class _Reader(MediaStreamTrack):
    """One peer's view of a source; ends by `stop()` alone, never because the camera went away."""

    kind = "video"
    mime_type = EncodedVideoSource.mime_type

    def __init__(
        self,
        source: EncodedVideoSource,
        *,
        joined: Callable[[_Reader], tuple[_Shared, ...]],
        left: Callable[[_Reader], None],
    ) -> None:
        super().__init__()
        self._source_id = source.id
        self._joined = joined
        self._left = left
        self._queue: ReaderQueue[_Shared] = ReaderQueue()
        self._started = False
        self._pause_s: float | None = None
        self._arrived = asyncio.Event()

    @property
    def id(self) -> str:
        return self._source_id

    @property
    def dropped_units(self) -> int:
        return self._queue.dropped_units

    def offer(self, shared: _Shared) -> None:
        if self._queue.push(shared):
            self._arrived.set()

    def interrupt(self) -> None:
        self._queue.wait_for_key()

    async def recv(self) -> av.Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        if not self._started:
            self._started = True
            self._queue.start(self._joined(self))
        if self._pause_s is not None:
            # Before anything is taken: a read that is cancelled here loses nothing.
            await asyncio.sleep(self._pause_s)
        while True:
            in_burst = self._queue.in_burst
            shared = self._queue.pop()
            if shared is not None:
                break
            self._arrived.clear()
            await self._arrived.wait()
            if self.readyState != "live":
                raise MediaStreamError
        # aiortc's sender never suspends by itself: neither a burst nor a backlog may hold the loop.
        self._pause_s = shared.size_bytes / _BURST_BYTES_PER_S if in_burst else 0.0 if len(self._queue) else None
        return shared.packet

    def stop(self) -> None:
        super().stop()
        self._arrived.set()
        self._left(self)
        self._queue.clear()
