"""One peer's view of an encoded source: the current group of pictures, then live; once more when the peer asks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.fanout import ReaderQueue
from metered_realtime.media.packed import PackedUnit

# The starting burst leaves at this rate: a picture at once, and no flood of a slow link's socket buffer.
_BURST_BYTES_PER_S = 5_000_000
# A receiver that sees nothing asks several times a second; one group of pictures each second is answer enough. One whom
# that does not help gets it ever more seldom: it must not cost a hundred viewers' worth.
REPLAY_INTERVAL_S = 1.0
MAX_REPLAY_INTERVAL_S = 8.0
_TIME_BASE = Fraction(1, CLOCK_RATE)


@dataclass(slots=True, eq=False)
class SharedUnit:
    """One unit as all readers get it; never changed. `pts_90k`, and `arrived_s` (monotonic), are those of the source.

    `packed`: the same as RTP packets, for senders that take them so; None for VP8. `taken_s`: when it was taken, on
    the clock of `arrived_s`; None where nobody knows.
    """

    data: bytes
    pts_90k: int
    is_key: bool
    arrived_s: float
    packed: PackedUnit | None = None
    taken_s: float | None = None
    size_bytes: int = field(init=False)
    _packet: av.Packet[Any] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.size_bytes = len(self.data)

    @property
    def packet(self) -> av.Packet[Any]:
        """The same as an `av.Packet` (time base 1/90000), made for the first who asks."""
        if self._packet is None:
            self._packet = _packet(self.data, self.pts_90k, _TIME_BASE, is_key=self.is_key)
        return self._packet


UnitSink = Callable[[SharedUnit, int, bool], None]
"""Takes a unit, its time in ticks of 1/90000 s, and whether it is live: all viewers get it at this moment."""


class EncodedReader(MediaStreamTrack):
    """Gives `av.Packet`s; ends by `stop()` or with its source, never because the camera went away.

    `request_key_frame()` tells the source that whoever reads cannot decode; `await_key_frame()` that it leaves out all
    there is before the next key frame.
    """

    kind = "video"

    def __init__(
        self,
        source_id: str,
        mime_type: str | None,
        *,
        joined: Callable[[EncodedReader], tuple[SharedUnit, ...]],
        left: Callable[[EncodedReader], None],
        key_wanted: Callable[[EncodedReader], None],
        key_awaited: Callable[[], None],
    ) -> None:
        super().__init__()
        self.mime_type = mime_type
        self._source_id = source_id
        self._joined = joined
        self._left = left
        self._key_wanted = key_wanted
        self._key_awaited = key_awaited
        self._queue: ReaderQueue[SharedUnit] = ReaderQueue()
        self._started = False
        self._pause_s: float | None = None
        self._arrived = asyncio.Event()
        self._sink: UnitSink | None = None
        self._last_90k = 0
        self._floor_90k: int | None = None
        self._replayed_s: float | None = None
        self._replay_interval_s = REPLAY_INTERVAL_S
        self.arrived_s: float | None = None
        self.taken_s: float | None = None

    @property
    def id(self) -> str:
        return self._source_id

    @property
    def dropped_units(self) -> int:
        """Units this reader lost because it lagged."""
        return self._queue.dropped_units

    @property
    def backlog_units(self) -> int:
        """Units that wait to be read."""
        return len(self._queue)

    def request_key_frame(self) -> None:
        """Ask for a picture that needs no other, as a receiver does with PLI or FIR (RFC 4585, RFC 5104)."""
        if self._started and self.readyState == "live":
            self._key_wanted(self)

    def await_key_frame(self) -> None:
        """Whoever reads takes up again with the next key frame, and could do so now."""
        if self._started and self.readyState == "live":
            self._key_awaited()

    def offer(self, shared: SharedUnit) -> None:
        """Take the next live unit."""
        queue, sink = self._queue, self._sink
        if sink is not None and queue.lets_pass(shared):
            self.arrived_s = shared.arrived_s
            self._last_90k = ticks = shared.pts_90k if self._floor_90k is None else self._ticks(shared)
            sink(shared, ticks, True)
        elif shared.is_key and queue.in_burst:
            queue.start((shared,))  # nothing before a key frame is worth a newcomer's time
            self._arrived.set()
        elif (sink is None or queue) and queue.push(shared):
            self._arrived.set()

    def lagged(self) -> None:
        """Whoever reads could not take what it was given: go on with the next key frame."""
        self._queue.wait_for_key()
        self.request_key_frame()

    def interrupt(self) -> None:
        """The source restarts: go on with its next key frame."""
        self._queue.wait_for_key()

    def replay(self, units: Iterable[SharedUnit], now_s: float) -> bool:
        """Send the group of pictures again, at timestamps that go on. False where that would be too soon or no help."""
        units = tuple(units)
        ago_s = now_s - self._replayed_s if self._replayed_s is not None else math.inf
        if not units or ago_s < self._replay_interval_s or self._queue.in_burst:
            return False
        is_no_help = ago_s < 2 * MAX_REPLAY_INTERVAL_S
        interval_s = 2 * self._replay_interval_s if is_no_help else REPLAY_INTERVAL_S
        self._replay_interval_s = min(interval_s, MAX_REPLAY_INTERVAL_S)
        self._replayed_s = now_s
        self._floor_90k = self._last_90k
        self._queue.start(units)
        self._arrived.set()
        return True

    async def recv(self) -> av.Packet[Any]:
        shared = await self._next()
        ticks = self._ticks(shared)
        packet = shared.packet
        return packet if ticks == packet.pts else stamped_copy(packet, ticks, packet.time_base)

    async def feed(self, sink: UnitSink) -> None:
        """Call `sink` for every unit until the end, which is MediaStreamError: bursts paced, then as they come."""
        while True:
            shared = await self._next()
            sink(shared, self._ticks(shared), False)
            if len(self._queue):
                continue
            self._sink = sink
            try:
                while not len(self._queue) and self.readyState == "live":
                    self._arrived.clear()
                    await self._arrived.wait()
            finally:
                self._sink = None

    def start(self) -> None:
        """Take part from now on, with the group of pictures there is; the first read does so by itself."""
        if not self._started and self.readyState == "live":
            self._started = True
            self._queue.start(self._joined(self))

    async def _next(self) -> SharedUnit:
        if self.readyState != "live":
            raise MediaStreamError
        self.start()
        if self._pause_s is not None:
            # Before anything is taken: a read that is cancelled here loses nothing.
            await asyncio.sleep(self._pause_s)
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            in_burst = self._queue.in_burst
            shared = self._queue.pop()
            if shared is not None:
                break
            self._arrived.clear()
            await self._arrived.wait()
        # aiortc's sender never suspends by itself: neither a burst nor a backlog may hold the loop.
        self.taken_s = shared.taken_s
        self._pause_s = shared.size_bytes / _BURST_BYTES_PER_S if in_burst else 0.0 if len(self._queue) else None
        self.arrived_s = shared.arrived_s
        return shared

    def _ticks(self, shared: SharedUnit) -> int:
        """While pictures are sent again their timestamps are squeezed between what was sent and what comes."""
        self._last_90k, floor_90k = shared.pts_90k, self._floor_90k
        if floor_90k is None or self._last_90k > floor_90k:
            self._floor_90k = None
        else:
            self._last_90k = self._floor_90k = floor_90k + 1
        return self._last_90k

    def stop(self) -> None:
        super().stop()
        self._arrived.set()
        self._left(self)
        self._queue.clear()


def stamped_copy(packet: av.Packet[Any], ticks: int, time_base: Fraction) -> av.Packet[Any]:
    """Return the packet at another time; the packet itself is shared with other peers."""
    return _packet(bytes(packet), ticks, time_base, is_key=packet.is_keyframe)


def _packet(data: bytes, ticks: int, time_base: Fraction, *, is_key: bool) -> av.Packet[Any]:
    packet: av.Packet[Any] = av.Packet(data)
    packet.pts = packet.dts = ticks
    packet.time_base = time_base
    packet.is_keyframe = is_key
    return packet
