"""One connection's way out: told what is sent and reported, says how thin it is, and paces what has to be thinned.

`link_estimate` decides how much, `thinning` what; here are the clock and the timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator

from metered_realtime.link_estimate import DRAIN_S, LinkEstimate
from metered_realtime.rtcp_feedback import ReportBlock
from metered_realtime.stats import PeerLink
from metered_realtime.thinning import ThinQueue
from metered_realtime.transport_feedback import Arrivals, TransportEstimate

# Of a thin link's rate, what may go into sending lost packets again; and of what is sent, on any link.
RESEND_SHARE_THIN = 0.25
RESEND_SHARE = 0.5
RESEND_BURST_BYTES = 64 * 1024
_RESEND_BURST_S = 0.5

# A picture leaves in pieces of about this long, so that it does not look like congestion to its receiver.
PIECE_S = 0.02
_PACKET_BITS = 1200 * 8
_ALL_PACKETS = 1 << 16

Departure = Callable[[int], Iterator[None]]
"""Begins to send a picture that had to wait, in pieces of at most so many packets: one with each step."""


class LinkMeter:
    """Of one connection. `on_change` hears when the way becomes thin, or wide again.

    Senders add to `estimate.wanted_bytes` and, unless `is_thinning`, to `estimate.sent_bytes` themselves.
    """

    def __init__(
        self,
        on_change: Callable[[PeerLink], None] | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._on_change = on_change
        self._clock = clock if clock is not None else asyncio.get_running_loop().time
        self.estimate = LinkEstimate()
        self._transport = TransportEstimate()
        self._queue: ThinQueue[Departure] = ThinQueue()
        self._leaving: Iterator[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._full: frozenset[Hashable] = frozenset()
        self._is_thin = False
        self._resend_bytes = float(RESEND_BURST_BYTES)
        self._resend_at_s = float("-inf")
        self.is_thinning = False
        """Whether pictures have to go through `depart`."""

    @property
    def link(self) -> PeerLink | None:
        """What is known at this moment; None while nothing has been reported."""
        return self.estimate.link(self._clock())

    def thinned_pictures(self, stream: Hashable) -> int:
        """Return how many pictures of this stream were left out."""
        return self._queue.thinned.get(stream, 0)

    # Reports ---------------------------------------------------------------------------------------------

    def receiver_limit(self, bps: float) -> None:
        """The receiver says what it can be sent, in bits per second."""
        self.estimate.receiver_limit(bps, self._clock())
        self._check()

    def number_packets(self, packets: int, size_bytes: int) -> int:
        """Return the transport-wide number of the first of so many packets of together `size_bytes` that leave now."""
        return self._transport.number(packets, size_bytes, self._clock())

    def arrived(self, arrivals: Arrivals) -> None:
        """The receiver says when packets with such numbers came."""
        bps = self._transport.take(arrivals, self._clock())
        if bps is not None:
            self.receiver_limit(bps)

    def blocks(self, blocks: Iterable[ReportBlock]) -> None:
        """Receiver reports about streams of ours."""
        self.estimate.blocks(blocks, self._clock())
        self._check()

    def socket_full(self, stream: Hashable, is_full: bool) -> None:
        """Whether pictures of the stream wait because our own socket takes no more; told with every picture."""
        self._full = self._full | {stream} if is_full else self._full - {stream}
        self.estimate.socket_full(bool(self._full), self._clock())
        self._check()

    def _check(self) -> None:
        is_thin = self.estimate.limit_bps is not None
        if is_thin == self._is_thin:
            return
        self._is_thin = is_thin
        if self.estimate.limit_bps is not None:
            self.is_thinning = True
            drained = round(self.estimate.limit_bps * DRAIN_S / 8)
            self._queue.charge(drained, self.estimate.limit_bps, self._clock())
        else:
            self._release()
        link = self.link
        if self._on_change is not None and link is not None:
            self._on_change(link)

    # Pictures --------------------------------------------------------------------------------------------

    def depart(self, stream: Hashable, departure: Departure, size_bytes: int, *, is_key: bool) -> bool:
        """Let a picture leave when the link is ready for it, or leave it out with the rest of its group.

        True where it was left out and the link has nothing else to do: a key frame would be welcome.
        """
        limit_bps = self.estimate.limit_bps
        now_s = self._clock()
        if limit_bps is None:
            # The group that was cut is not taken up again; the next one is whole.
            taken = self._queue.push(stream, departure, size_bytes, is_key=is_key, rate_bps=float("inf"), now_s=now_s)
            self._release()
            return not taken
        taken = self._queue.push(stream, departure, size_bytes, is_key=is_key, rate_bps=limit_bps, now_s=now_s)
        if self._timer is None:
            self._send_due()
        return not taken and self._leaving is None and self._queue.is_free(now_s)

    def _send_due(self) -> None:
        self._timer = None
        limit_bps, now_s = self.estimate.limit_bps, self._clock()
        if limit_bps is None:
            self._release()
            return
        packets = max(1, int(limit_bps * PIECE_S / _PACKET_BITS))
        if self._leaving is None and (departure := self._queue.pop(limit_bps, now_s)) is not None:
            self._leaving = departure(packets)
        if self._leaving is not None and next(self._leaving, self) is self:
            self._leaving = None
        wait_s = self._queue.ready_in_s(now_s)
        if self._leaving is not None:
            wait_s = packets * _PACKET_BITS / limit_bps
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._send_due)

    def _release(self) -> None:
        """The link takes all there is: what waits goes now."""
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            deque(leaving, maxlen=0)
        while (departure := self._queue.pop_any()) is not None:
            deque(departure(_ALL_PACKETS), maxlen=0)
        self.is_thinning = not self._queue.is_whole

    def forget(self, stream: Hashable) -> None:
        """The stream has ended."""
        self._queue.forget(stream)
        self._full -= {stream}
        if self.estimate.limit_bps is None:
            self.is_thinning = not self._queue.is_whole

    # Repair ----------------------------------------------------------------------------------------------

    def may_resend(self, size_bytes: int) -> bool:
        """Tell whether a lost packet may be sent again: repairs of a full link only fill it more."""
        now_s, limit_bps = self._clock(), self.estimate.limit_bps
        if limit_bps is not None:
            rate_bps, burst_bytes = limit_bps * RESEND_SHARE_THIN, limit_bps * RESEND_SHARE_THIN / 8
        else:
            rate_bps = self.estimate.wanted_bps(now_s) * RESEND_SHARE
            burst_bytes = max(RESEND_BURST_BYTES, rate_bps * _RESEND_BURST_S / 8)
        passed_s = min(1e6, now_s - self._resend_at_s)
        self._resend_bytes = min(burst_bytes, self._resend_bytes + passed_s * rate_bps / 8)
        self._resend_at_s = now_s
        if self._resend_bytes < size_bytes:
            return False
        self._resend_bytes -= size_bytes
        self.estimate.sent_bytes += size_bytes
        if limit_bps is not None:
            self._queue.charge(size_bytes, limit_bps, now_s)
        return True
