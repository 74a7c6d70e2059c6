"""What `MeteredPeer` does with a local track: one reader per remote peer, behind a sender track that never ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.encoded_choice import ChoiceReader
from metered_realtime.media.encoded_reader import EncodedReader, SharedUnit, UnitSink, stamped_copy
from metered_realtime.media.taken import taken_s
from metered_realtime.media.timeline import AUDIO_RATE, VIDEO_RATE, to_ticks


@runtime_checkable
class SharedSource(Protocol):
    """A track that serves each remote peer itself, such as an encoded camera."""

    kind: str
    mime_type: str | None

    @property
    def id(self) -> str:
        """The track id receivers see."""

    def open_reader(self) -> MediaStreamTrack:
        """Return a track for one peer; it costs nothing before its first `recv()` and ends with `stop()`."""


class SenderTrack(MediaStreamTrack):
    """What one RTP sender reads for as long as its connection lives; the reader behind it may change or be none.

    aiortc ends a sender for good when its track ends, so this one waits instead. Timestamps go on over a change.
    `taken_s`: when what `recv` returned last was taken, on the clock of `time.monotonic()`; None where nobody knows.
    """

    def __init__(self, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.kind = kind
        self._rate = VIDEO_RATE if kind == "video" else AUDIO_RATE
        self._clock = clock
        self._reader: MediaStreamTrack | None = None
        self._switched = asyncio.Event()
        self._offset = 0
        self._last: tuple[int, float] | None = None
        self._is_fresh = False
        self.taken_s: float | None = None
        self._agreed: tuple[str, ...] | None = None

    @property
    def is_fed(self) -> bool:
        """Whether there is a reader."""
        return self._reader is not None

    def switch(self, reader: MediaStreamTrack | None) -> None:
        """Read from `reader` from now on; the one before is stopped. None: send nothing."""
        before, self._reader = self._reader, reader
        if self._agreed is not None and isinstance(reader, ChoiceReader):
            reader.agree(self._agreed)
        self._is_fresh = True
        if before is not None:
            before.stop()
        self._switched.set()

    def request_key_frame(self) -> None:
        """The receiver cannot decode (PLI, FIR): tell the source, if it is one that is encoded already."""
        ask = getattr(self._reader, "request_key_frame", None)
        if ask is not None:
            ask()

    async def recv(self) -> Any:
        """Return the next frame or packet of whatever reader there is."""
        return await self.feed(None)

    async def feed(self, sink: UnitSink | None) -> Any:
        """Return the next frame or packet as `recv` does; units of an encoded source go to `sink`, if there is one."""
        while self.readyState == "live":
            reader = self._reader
            if reader is None:
                self._switched.clear()
                await self._switched.wait()
                continue
            try:
                if sink is not None and isinstance(reader, EncodedReader | ChoiceReader):
                    await reader.feed(self._moving(sink))
                    self._is_fresh = True  # it goes on in another codec, and so from another source
                    continue
                item = await reader.recv()
            except MediaStreamError:
                if reader is self._reader:
                    self._reader = None
                continue
            if reader is self._reader:
                self.taken_s = getattr(reader, "taken_s", None) or taken_s(item)
                return self._placed(item)
        raise MediaStreamError

    def lagged(self) -> None:
        """The receiver could not be sent all it was due: an encoded source goes on with a key frame."""
        if isinstance(self._reader, EncodedReader | ChoiceReader):
            self._reader.lagged()

    def await_key_frame(self) -> None:
        """The receiver is sent nothing before the next key frame, and could be sent one now."""
        if isinstance(self._reader, EncodedReader | ChoiceReader):
            self._reader.await_key_frame()

    def agree(self, mime_types: Collection[str]) -> None:
        """The other side takes these codecs: a source of several gives what fits."""
        self._agreed = tuple(mime_types)
        if isinstance(self._reader, ChoiceReader):
            self._reader.agree(self._agreed)

    def _moving(self, sink: UnitSink) -> UnitSink:
        def take(unit: SharedUnit, ticks: int, is_live: bool) -> None:
            if self._is_fresh:
                ticks = self._continued(ticks)
            else:  # the same without a call: this runs for every viewer and picture
                ticks += self._offset
                self._last = ticks, self._clock()
            sink(unit, ticks, is_live)

        return take

    def _placed(self, item: Any) -> Any:
        """Frames come on the clock of their relay. Packets keep their own time, moved only after a change of source."""
        ticks = to_ticks(item.pts, item.time_base.numerator, item.time_base.denominator, self._rate)
        if not isinstance(item, av.Packet):
            self._is_fresh = False
            self._last = (ticks, self._clock())
            return item
        moved = self._continued(ticks)
        return item if moved == ticks else stamped_copy(item, moved, Fraction(1, self._rate))

    def _continued(self, ticks: int) -> int:
        now_s = self._clock()
        if self._is_fresh:
            self._is_fresh = False
            if self._last is not None:
                last_ticks, last_s = self._last
                self._offset = last_ticks + max(1, round((now_s - last_s) * self._rate)) - ticks
        ticks += self._offset
        self._last = (ticks, now_s)
        return ticks

    def stop(self) -> None:
        """End for good: the connection is closed."""
        super().stop()
        self.switch(None)
