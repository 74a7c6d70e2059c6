"""A video track that is already encoded: pushed once, sent to every viewer as it is, with no encoder anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
from aiortc.mediastreams import MediaStreamTrack

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.arrival_line import ArrivalLine
from metered_realtime.media.encoded_reader import EncodedReader, SharedUnit
from metered_realtime.media.gop import DEFAULT_MAX_BYTES, GopRing
from metered_realtime.media.packed import PACKETIZERS, PackedUnit

MIME_TYPES = ("video/H264", "video/H265", "video/VP8")
# Viewers that come or lose pictures together share one new key frame.
KEY_FRAME_INTERVAL_S = 0.5
# One on a thin link is no reason for more of them than this: all viewers get them.
AWAITED_KEY_INTERVAL_S = 3.0

# A restarted source continues at least this much later: two pictures never share a timestamp across it.
_MIN_GAP_90K = CLOCK_RATE // 30


@dataclass(frozen=True, slots=True)
class EncodedVideoStats:
    """Counters of one source since it was made; `dropped_units` is over all its readers.

    `key_frame_requests` counts what readers asked for, `replays` how often one was given the group of pictures again.
    """

    viewers: int
    units: int
    key_units: int
    total_bytes: int
    gop_units: int
    gop_bytes: int
    gop_overflows: int
    dropped_units: int
    key_frame_requests: int
    replays: int


class EncodedVideoSource(MediaStreamTrack):
    """A track fed with encoded pictures, for `MeteredPeer.add_track`/`add_stream` or a bare RTCPeerConnection.

    ::

        source = EncodedVideoSource()
        peer.add_track(source)
        for number, data in enumerate(annex_b_pictures):
            source.push(AccessUnit.from_annex_b(data, pts_90k=number * 3000))

    Each remote peer reads through its own `open_reader()`; a reader starts with the current group of pictures, kept up
    to `max_gop_bytes`, and goes on live. All calls belong to the event loop's thread.

    `mime_type` says what is pushed: `video/H264` or `video/H265` (Annex-B, no B-frames) or `video/VP8`; peers are
    offered that alone (`EncodedVideoChoice`: several). H.265 is shown by Safari, and by Chrome with a decoder in
    hardware; a member built on aiortc cannot even answer where nothing else is offered.
    `on_demand(True)` is called when the first reader starts to read, `on_demand(False)` when the last stops.
    `on_key_frame_wanted()` is called, at most twice a second, when a newcomer or a receiver that lost pictures needs a
    key frame: for a source that can make one. Where it returns False, and without it, such a receiver is sent the kept
    group of pictures again. It is called as well when a receiver on a thin link waits for a key frame, and the last is
    three seconds old.
    `new_group_after_s`: a newcomer to a group older than that has a key frame asked for, for a shorter way to what is
    live. Every receiver pays for it: more, where key frames are large.
    Raises ValueError for another `mime_type`.
    """

    kind = "video"
    mime_type: str = "video/H264"

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
        mime_type: str = "video/H264",
        max_gop_bytes: int = DEFAULT_MAX_BYTES,
        new_group_after_s: float = 1.0,
        on_demand: Callable[[bool], None] | None = None,
        on_key_frame_wanted: Callable[[], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if mime_type not in MIME_TYPES:
            raise ValueError(f"mime_type must be one of {', '.join(MIME_TYPES)}, not {mime_type!r}")
        self.mime_type = mime_type
        self._is_packed = mime_type in PACKETIZERS
        self._given_id = id
        self._on_demand = on_demand
        self._on_key_frame_wanted = on_key_frame_wanted
        self._new_group_after_s = new_group_after_s
        self._clock = clock
        self._ring: GopRing[SharedUnit] = GopRing(max_bytes=max_gop_bytes)
        self._readers: set[EncodedReader] = set()
        self._own_reader: EncodedReader | None = None
        self._rebase_pending = False
        self._arrivals = ArrivalLine()
        self._offset_90k = 0
        self._last_pts_90k: int | None = None
        self._last_push_s = 0.0
        self._last_key_s: float | None = None
        self._key_asked_s: float | None = None
        self._key_is_coming = False
        self._units = self._key_units = self._total_bytes = self._dropped_by_gone = 0
        self._key_frame_requests = self._replays = 0

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
            key_frame_requests=self._key_frame_requests,
            replays=self._replays,
        )

    def push(self, unit: AccessUnit) -> None:
        """Hand over the next picture in decode order. Never waits; a reader that lags loses whole GOP tails."""
        pts_90k = self._continue_timeline(unit.pts_90k)
        made_s = self._arrivals.place(pts_90k / CLOCK_RATE, self._last_push_s)
        taken_s = made_s if unit.taken_s is None else unit.taken_s
        packed = PackedUnit(unit.data, self.mime_type) if self._is_packed else None
        shared = SharedUnit(unit.data, pts_90k, unit.is_key, self._last_push_s, packed, taken_s)
        self._units += 1
        self._key_units += unit.is_key
        self._total_bytes += shared.size_bytes
        if unit.is_key:
            self._last_key_s = self._last_push_s
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

    def open_reader(self) -> EncodedReader:
        """Return a track for one peer: `recv()` gives `av.Packet`s (time base 1/90000), the first a key frame."""
        return self._new_reader()

    def request_key_frame(self) -> bool:
        """Ask whoever feeds the source for a key frame (`on_key_frame_wanted`); False where none will be made."""
        now_s = self._clock()
        if self._on_key_frame_wanted is None:
            return False
        if self._key_asked_s is None or now_s - self._key_asked_s >= KEY_FRAME_INTERVAL_S:
            self._key_asked_s = now_s
            self._key_is_coming = self._on_key_frame_wanted() is not False
        return self._key_is_coming

    async def recv(self) -> av.Packet[Any]:
        """Read as a plain aiortc track, through one reader of the source's own."""
        if self._own_reader is None:
            self._own_reader = self._new_reader()
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

    def _new_reader(self) -> EncodedReader:
        return EncodedReader(
            self.id,
            self.mime_type,
            joined=self._join,
            left=self._leave,
            key_wanted=self._key_wanted_by,
            key_awaited=self._key_awaited,
        )

    def _key_wanted_by(self, reader: EncodedReader) -> None:
        self._key_frame_requests += 1
        if not self.request_key_frame():
            self._replays += reader.replay(self._ring.snapshot(), self._clock())

    def _key_awaited(self) -> None:
        """Sooner than the encoder would by itself, where that is late; the group there is would help nobody."""
        since_s = max(self._last_key_s or 0.0, self._key_asked_s or 0.0)
        if self._clock() - since_s >= AWAITED_KEY_INTERVAL_S:
            self.request_key_frame()

    def _join(self, reader: EncodedReader) -> tuple[SharedUnit, ...]:
        if self.readyState != "live":
            reader.stop()
            return ()
        self._readers.add(reader)
        if len(self._readers) == 1 and self._on_demand is not None:
            self._on_demand(True)
        elif not len(self._ring) or self._clock() - (self._last_key_s or 0.0) > self._new_group_after_s:
            self.request_key_frame()
        return self._ring.snapshot()

    def _leave(self, reader: EncodedReader) -> None:
        if reader not in self._readers:
            return
        self._readers.remove(reader)
        self._dropped_by_gone += reader.dropped_units
        if not self._readers and self._on_demand is not None:
            self._on_demand(False)
