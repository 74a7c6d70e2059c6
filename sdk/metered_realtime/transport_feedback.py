"""Transport-wide feedback: when each packet came, from those receivers that leave the estimate to the sender. Pure.

draft-holmer-rmcat-transport-wide-cc-extensions-01. Only numbers of packets that came are spelled out, so that work is
bounded by the size of a datagram.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import NamedTuple

from metered_realtime.rtcp_feedback import RtcpPart

OVERUSE_S = 0.1
"""Packets that wait this long in the queue of the link, and no shorter than before, are too much for it."""
BACK_OFF = 0.85
GROWTH_PER_S = 1.08
HEADROOM = 1.5
KEPT_PACKETS = 4096
_RATE_WINDOW_S = 1.0
_MIN_SPAN_S = 0.2
_BASE_WINDOW_S = 10.0

_FIXED = Struct("!HHI")
_SEQUENCES = 1 << 16
_REFERENCE_S = 0.064
_REFERENCES = 1 << 24
_DELTA_S = 0.00025


class Arrivals(NamedTuple):
    """`sequences` of the packets that came, and when (`arrived_s`, of an unknown clock). `reported`: how many left."""

    sequences: list[int]
    arrived_s: list[float]
    reported: int


def arrivals(data: bytes, part: RtcpPart) -> Arrivals | None:
    """Return what the feedback tells; None where it is cut short or contradicts itself."""
    at = part.start + 12
    if part.end - at < 8:
        return None
    first, reported, reference = _FIXED.unpack_from(data, at)
    found = _statuses(data, at + 8, part.end, reported)
    if found is None:
        return None
    (offsets, wide), at = found
    sequences: list[int] = []
    times: list[float] = []
    now_s = (reference >> 8) * _REFERENCE_S
    for offset, is_wide in zip(offsets, wide, strict=True):
        size = 2 if is_wide else 1
        if at + size > part.end:
            return None
        now_s += int.from_bytes(data[at : at + size], signed=is_wide) * _DELTA_S
        at += size
        sequences.append((first + offset) % _SEQUENCES)
        times.append(now_s)
    return Arrivals(sequences, times, reported)


def _statuses(data: bytes, at: int, end: int, reported: int) -> tuple[tuple[list[int], list[bool]], int] | None:
    """Return the places of the packets that came and whether their times take two bytes; and where the times begin."""
    offsets: list[int] = []
    wide: list[bool] = []
    place = 0
    while place < reported:
        if at + 2 > end:
            return None
        chunk = int.from_bytes(data[at : at + 2])
        at += 2
        if not chunk & 0x8000:
            symbol, length = chunk >> 13 & 3, min(chunk & 0x1FFF, reported - place)
            if not length or (symbol and length > end - at):
                return None  # it leads nowhere, or there is no room for the times
            if symbol:
                offsets += range(place, place + length)
                wide += [symbol != 1] * length
            place += length
            continue
        bits, count = (2, 7) if chunk & 0x4000 else (1, 14)
        for number in range(min(count, reported - place)):
            symbol = chunk >> (14 - bits * (number + 1)) & ((1 << bits) - 1)
            if symbol:
                offsets.append(place + number)
                wide.append(symbol != 1)
        place += count
    return (offsets, wide), at


class _Sent(NamedTuple):
    sequence: int
    at_s: float
    size_bytes: int


class TransportEstimate:
    """Numbers the packets of one transport, and makes of their arrivals what a receiver's own estimate would be."""

    def __init__(self) -> None:
        self._next = 0
        self._sent: list[_Sent | None] = [None] * KEPT_PACKETS
        self._arrived: deque[tuple[float, int]] = deque(maxlen=KEPT_PACKETS)
        self._bases: deque[tuple[float, float]] = deque(maxlen=2)
        self._queued_s = 0.0
        self._bps: float | None = None
        self._at_s = 0.0
        self._wraps_s = self._last_s = 0.0

    def number(self, packets: int, size_bytes: int, now_s: float) -> int:
        """Return the number of the first of so many packets of together `size_bytes` that leave now."""
        first = self._next
        for _ in range(packets):
            self._sent[self._next % KEPT_PACKETS] = _Sent(self._next, now_s, size_bytes // packets)
            self._next = (self._next + 1) % _SEQUENCES
        return first

    def take(self, arrived: Arrivals, now_s: float) -> float | None:
        """Return bits per second that the link takes; None while that is not known."""
        delays_s = []
        for sequence, time_s in zip(arrived.sequences, arrived.arrived_s, strict=True):
            sent = self._sent[sequence % KEPT_PACKETS]
            if sent is None or sent.sequence != sequence:
                continue
            arrived_s = self._unwrapped(time_s)
            self._arrived.append((arrived_s, sent.size_bytes))
            delays_s.append(arrived_s - sent.at_s)
        if delays_s:
            self._judge(delays_s, now_s)
        return self._bps

    def _unwrapped(self, time_s: float) -> float:
        """The reference time wraps after twelve days."""
        wrap_s = _REFERENCES * _REFERENCE_S
        if time_s + self._wraps_s < self._last_s - wrap_s / 2:
            self._wraps_s += wrap_s
        self._last_s = time_s + self._wraps_s
        return self._last_s

    def _judge(self, delays_s: list[float], now_s: float) -> None:
        if not self._bases or now_s - self._bases[-1][0] > _BASE_WINDOW_S:
            self._bases.append((now_s, min(delays_s)))
        elif min(delays_s) < self._bases[-1][1]:
            self._bases[-1] = self._bases[-1][0], min(delays_s)
        queued_s = sum(delays_s) / len(delays_s) - min(base for _, base in self._bases)
        is_too_much = queued_s > OVERUSE_S and queued_s > 0.9 * self._queued_s
        self._queued_s = queued_s
        arrived_bps = self._arrived_bps()
        if arrived_bps is None:
            return
        grown = GROWTH_PER_S ** min(1.0, now_s - self._at_s)
        self._at_s = now_s
        if is_too_much:
            self._bps = BACK_OFF * arrived_bps
        elif self._bps is None:
            self._bps = HEADROOM * arrived_bps
        else:
            self._bps = max(self._bps, min(HEADROOM * arrived_bps, self._bps * grown))

    def _arrived_bps(self) -> float | None:
        newest_s = self._arrived[-1][0]
        while newest_s - self._arrived[0][0] > _RATE_WINDOW_S:
            self._arrived.popleft()
        span_s = newest_s - self._arrived[0][0]
        if span_s < _MIN_SPAN_S:
            return None
        return (sum(size for _, size in self._arrived) - self._arrived[0][1]) * 8 / span_s
