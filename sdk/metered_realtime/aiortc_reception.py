"""How long received video waits for what was lost: aiortc waits for 512 further packets, up to half a minute. And its
bandwidth estimator, made where something is received."""

from __future__ import annotations

# ruff: noqa: SLF001 - beside aiortc_adapter a place of aiortc's private names; tests/sdk/test_aiortc_reception.py
import time
from collections.abc import Callable
from typing import Any

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rate import RemoteBitrateEstimator
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add

CAPACITY_PACKETS = 512
# Several round trips of asking again (RFC 4585 section 6.2.1). A gap as long as an outage is not repaired by that.
MAX_WAIT_S = 0.6


class ImpatientJitterBuffer(JitterBuffer):
    """Gives up on packets that have been missing for `MAX_WAIT_S`, and asks for a key frame instead."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(capacity=CAPACITY_PACKETS, is_video=True)
        self._clock = clock
        self._missing_since_s: float | None = None
        self.skipped = 0

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        asks_for_key_frame, frame = super().add(packet)
        if frame is not None or not self._lacks_one_before(packet):
            self._missing_since_s = None
            return asks_for_key_frame, frame
        now_s = self._clock()
        if self._missing_since_s is None:
            self._missing_since_s = now_s
        elif now_s - self._missing_since_s >= MAX_WAIT_S:
            self._missing_since_s = None
            self.skipped += 1
            self.remove(self._capacity)
            self._origin = None
            super().add(packet)
            return True, None
        return asks_for_key_frame, None

    def _lacks_one_before(self, packet: RtpPacket) -> bool:
        first = self._origin if self._origin is not None else packet.sequence_number
        ahead = uint16_add(packet.sequence_number, -first)
        return ahead < self._capacity and any(
            self._packets[(first + place) % self._capacity] is None for place in range(ahead)
        )


class LazyEstimator:
    """aiortc's estimator of the bandwidth, made with the first packet: it is a thousand objects, and most sections
    only send."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: RemoteBitrateEstimator | None = None

    def add(self, **packet: Any) -> Any:
        """Take a received packet, as `RemoteBitrateEstimator.add` does."""
        if self._made is None:
            self._made = RemoteBitrateEstimator()
        return self._made.add(**packet)


def receive_impatiently(transceiver: Any) -> None:
    """Put both into a section for video, before anything was received."""
    if transceiver.kind == "video":
        transceiver.receiver._RTCRtpReceiver__jitter_buffer = ImpatientJitterBuffer()
        transceiver.receiver._RTCRtpReceiver__remote_bitrate_estimator = LazyEstimator()
