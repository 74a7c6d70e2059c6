"""A sound track that is already encoded - Opus or G.711 from a camera - sent to every viewer as it is."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.arrival_line import ArrivalLine
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.sound_line import SoundLine

CLOCK_RATES = {"audio/opus": 48_000, "audio/PCMA": 8_000, "audio/PCMU": 8_000}
# About a second: who is further behind hears the present, not the past.
MAX_QUEUED = 50
# A byte of G.711 is a sample; more than 60 ms a packet is more than receivers like, and than a path may carry.
_MAX_SAMPLES = 480
# The longest frame of Opus (RFC 6716 section 3.4). What is too long for a datagram ends aiortc's sender for good.
_MAX_BYTES = 1275


class EncodedAudioSource(MediaStreamTrack):
    """A track for `MeteredPeer.add_track`/`add_stream` fed with encoded sound; peers are offered `mime_type` alone.

    `audio/opus`, `audio/PCMA` or `audio/PCMU` (8000 Hz, mono); raises ValueError for another. Each remote peer reads
    through its own `open_reader()`. All calls belong to the event loop's thread.
    """

    kind = "audio"

    def __init__(
        self,
        mime_type: str,
        *,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if mime_type not in CLOCK_RATES:
            raise ValueError(f"mime_type must be one of {', '.join(CLOCK_RATES)}, not {mime_type!r}")
        self.mime_type = mime_type
        self._given_id = id
        self._clock = clock
        self._begun_s = clock()
        self._rate = CLOCK_RATES[mime_type]
        self._line = SoundLine(self._rate)
        self._arrivals = ArrivalLine()
        self._readers: set[_AudioReader] = set()
        self._own_reader: _AudioReader | None = None
        self._dropped_by_gone = 0
        self._oversize = 0

    @property
    def id(self) -> str:
        """The id given, else a random one."""
        return self._given_id if self._given_id is not None else super().id

    @property
    def readers(self) -> int:
        """Readers between their first `recv()` and their `stop()`."""
        return len(self._readers)

    @property
    def dropped_packets(self) -> int:
        """Packets that readers lost because they did not keep up, and those that are too long for anybody."""
        return self._oversize + self._dropped_by_gone + sum(reader.dropped_packets for reader in self._readers)

    def push(self, unit: AudioUnit) -> None:
        """Hand over the next packet, `pts` in ticks of the codec's clock rate, on any line of time. Never waits."""
        if not self._readers:
            return
        if self._rate != 8_000 and len(unit.data) > _MAX_BYTES:
            self._oversize += 1
            return
        now_s = self._clock() - self._begun_s
        pieces = -(-len(unit.data) // _MAX_SAMPLES) if self._rate == 8_000 else 1
        size = max(1, -(-len(unit.data) // max(1, pieces)))
        for start in range(0, len(unit.data), size):
            ticks = None if unit.pts is None else unit.pts + start
            packet = av.Packet(unit.data[start : start + size])
            packet.pts = packet.dts = self._line.place(ticks, now_s)
            packet.time_base = Fraction(1, self._rate)
            made_s = self._arrivals.place(packet.pts / self._rate, now_s) + self._begun_s
            taken_s = made_s if unit.taken_s is None else unit.taken_s + start / self._rate
            for reader in self._readers:
                reader.offer(packet, taken_s)

    def open_reader(self) -> MediaStreamTrack:
        """Return a track for one peer: `recv()` gives `av.Packet`s."""
        return _AudioReader(self.id, self.mime_type, joined=self._join, left=self._leave)

    async def recv(self) -> av.Packet[Any]:
        """Read as a plain aiortc track, through one reader of the source's own."""
        if self._own_reader is None:
            self._own_reader = _AudioReader(self.id, self.mime_type, joined=self._join, left=self._leave)
        return await self._own_reader.recv()

    def stop(self) -> None:
        """End the source and every reader of it."""
        super().stop()
        for reader in tuple(self._readers):
            reader.stop()

    def _join(self, reader: _AudioReader) -> None:
        if self.readyState != "live":
            reader.stop()
            return
        self._readers.add(reader)

    def _leave(self, reader: _AudioReader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
            self._dropped_by_gone += reader.dropped_packets


class _AudioReader(MediaStreamTrack):
    """What one peer hears: a bounded queue, whose oldest is lost first."""

    kind = "audio"

    def __init__(
        self,
        track_id: str,
        mime_type: str,
        *,
        joined: Callable[[_AudioReader], None],
        left: Callable[[_AudioReader], None],
    ) -> None:
        super().__init__()
        self.mime_type = mime_type
        self.dropped_packets = 0
        self.taken_s: float | None = None
        self._track_id = track_id
        self._joined = joined
        self._left = left
        self._is_reading = False
        self._packets: deque[tuple[av.Packet[Any], float]] = deque(maxlen=MAX_QUEUED)
        self._arrived = asyncio.Event()

    @property
    def id(self) -> str:
        """The id of the source."""
        return self._track_id

    def offer(self, packet: av.Packet[Any], taken_s: float) -> None:
        self.dropped_packets += len(self._packets) == MAX_QUEUED
        self._packets.append((packet, taken_s))
        self._arrived.set()

    async def recv(self) -> av.Packet[Any]:
        if not self._is_reading and self.readyState == "live":
            self._is_reading = True
            self._joined(self)
        while self.readyState == "live":
            if self._packets:
                packet, self.taken_s = self._packets.popleft()
                return packet
            self._arrived.clear()
            await self._arrived.wait()
        raise MediaStreamError

    def stop(self) -> None:
        super().stop()
        self._packets.clear()
        self._arrived.set()
        self._left(self)
