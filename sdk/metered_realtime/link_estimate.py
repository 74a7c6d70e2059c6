"""How much one way out takes, from what its receiver reports and what we send. Pure; time is an argument.

A receiver's own estimate (REMB) is believed when it falls below what we sent: that is congestion, seen as delay.
Otherwise it only says what came, and rises slowly, so the way up is found by trying: a little more at a time while
nothing is lost and no estimate falls, carefully near the rate that was too much the last time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from metered_realtime.rtcp_feedback import ReportBlock
from metered_realtime.stats import PeerLink

RATE_WINDOW_S = 4.0
"""Wanted and sent rates are of this long: a group of pictures, mostly."""
LOSS_WINDOW_S = 1.0
LOSS_MIN_PACKETS = 60
"""Of fewer, an even loss of 5 % is too often taken for a heavy one; of more, a thin link is found out late."""
HEAVY_LOSS = 0.10
LIGHT_LOSS = 0.02
MIN_LIMIT_BPS = 100_000.0
BACK_OFF = 0.85
"""Of what got through: the rest drains the queue (draft-ietf-rmcat-gcc-02 section 4.4)."""
FULL_S = 1.0
"""Our own socket, full for this long without a break, is a thin link."""

DRAIN_S = 0.5
"""What the queue of the link is given to drain when it is found thin."""

_SAMPLE_S = 0.25
_ON_THE_WAY_S = 0.25
_FALLEN = 0.97
_FAR_BELOW = 0.75
_FALLS_WITHIN_S = 5.0
_FALLS_APART_S = 0.4
"""One held-up packet makes several estimates fall."""
# Of what we sent in the same time, at least about, an estimate that tells of a link and not of a moment's delay: it is
# 0.85 of what came in a second, of which a radio link may hold back a tenth.
_SHORT, _FAR_SHORT = 0.8, 0.6
_LITTLE_BPS, _UNEVEN = 2 * MIN_LIMIT_BPS, 0.5
"""Of so little, or of so much less than a key frame before it, no estimate tells what the link would take."""
_SENT_WITHIN_S = 2.5
_SPAN_S = 0.9
_BACK_OFF_INTERVAL_S = 1.0
_ENTRY_S = 1.0
_ENTRY_LEAST = 0.65
"""Of the first limit: while the link is left to drain, little comes, and an estimate says so."""
_CALM_S = 1.0
_GROW_FREE, _GROW_BACK, _GROW_NEAR = 1.25, 1.12, 1.08  # per second
_GROW_SLOW = 1.05
"""Near the last rate, where only loss tells that it was too much: a second or more later."""
_NEAR = (0.9, 1.1)
_WIDE_ENOUGH = 1.15
_USED = 0.8
_MAX_STREAMS = 64


class _Sample(NamedTuple):
    at_s: float
    wanted_bytes: int
    sent_bytes: int


class _Seen(NamedTuple):
    lost: int
    highest: int
    at_s: float


class LinkEstimate:
    """`wanted_bytes` and `sent_bytes` are counted up by whoever sends: with nothing left out, and what left."""

    def __init__(self) -> None:
        self.wanted_bytes = 0
        self.sent_bytes = 0
        self.limit_bps: float | None = None
        """What may be sent; None while the link takes all there is."""
        self._samples: deque[_Sample] = deque(maxlen=round(RATE_WINDOW_S / _SAMPLE_S) + 1)
        self._receiver_bps: float | None = None
        self._rtt_s: float | None = None
        self._fell_s: float | None = None
        self._entered_bps = 0.0
        self._blocks: dict[int, _Seen] = {}
        self._lost = self._expected = 0
        self._loss_since_s: float | None = None
        self._loss_from_s = float("-inf")
        self._fraction_lost: float | None = None
        self._is_lossy = False
        self._full_since_s: float | None = None
        self._entered_s = self._backed_off_s = self._troubled_s = self._grown_s = float("-inf")
        self._too_much_bps: float | None = None
        self._has_report = False

    # What is known ---------------------------------------------------------------------------------------

    def link(self, now_s: float) -> PeerLink | None:
        """Return all of it, or None before the first report."""
        if not self._has_report:
            return None
        return PeerLink(
            is_thin=self.limit_bps is not None,
            available_bps=self._available_bps(now_s),
            wanted_bps=self.wanted_bps(now_s),
            fraction_lost=self._fraction_lost,
            rtt_s=self._rtt_s,
        )

    def wanted_bps(self, now_s: float) -> float:
        """Return the rate of what would be sent; 0 while that is not known."""
        oldest = self._oldest(now_s, RATE_WINDOW_S)
        return (self.wanted_bytes - oldest.wanted_bytes) * 8 / (now_s - oldest.at_s) if oldest is not None else 0.0

    def _available_bps(self, now_s: float) -> float | None:
        if self.limit_bps is not None or self._receiver_bps is None:
            return self.limit_bps
        # A receiver's estimate rises slowly, and never far above what it gets.
        return max(self._receiver_bps, self._sent_bps(now_s) * (1 - (self._fraction_lost or 0.0)))

    def _sent_bps(self, now_s: float) -> float:
        oldest = self._oldest(now_s, LOSS_WINDOW_S)
        return (self.sent_bytes - oldest.sent_bytes) * 8 / (now_s - oldest.at_s) if oldest is not None else 0.0

    def _least_sent_bps(self, now_s: float) -> float:
        """Return the lowest rate of a second or so, lately: estimates are of a second that we do not know.

        A camera whose key frames are most of its bits sends a tenth between them; of that an estimate tells nothing.
        """
        lately = [sample for sample in self._samples if now_s - sample.at_s <= _SENT_WITHIN_S]
        lately.append(_Sample(now_s, self.wanted_bytes, self.sent_bytes))
        rates = []
        end = 0
        for start in lately:
            while end < len(lately) and lately[end].at_s - start.at_s < _SPAN_S:
                end += 1
            if end < len(lately):
                rates.append((lately[end].sent_bytes - start.sent_bytes) * 8 / (lately[end].at_s - start.at_s))
        return min(rates, default=0.0)

    def _oldest(self, now_s: float, window_s: float) -> _Sample | None:
        found = None
        for sample in reversed(self._samples):
            if now_s - sample.at_s >= _SAMPLE_S:
                found = sample
            if now_s - sample.at_s >= window_s:
                break
        return found

    # What comes in ---------------------------------------------------------------------------------------

    def receiver_limit(self, bps: float, now_s: float) -> None:
        """The receiver's estimate of what it can be sent (REMB, or made of its transport-wide feedback)."""
        self._sample(now_s)
        before, self._receiver_bps = self._receiver_bps, bps
        if (before is None or bps < _FALLEN * before) and bps < self.wanted_bps(now_s):
            self._fallen(bps, now_s)
        self._settle(now_s)

    def _fallen(self, bps: float, now_s: float) -> None:
        self._troubled_s = now_s
        if self.limit_bps is None:
            self._fallen_while_wide(bps, now_s)
        elif now_s - self._entered_s <= _ENTRY_S:
            self._back_off(max(bps, _ENTRY_LEAST * self._entered_bps), now_s)
        elif now_s - self._backed_off_s >= _BACK_OFF_INTERVAL_S:
            # It is of what came, and less than the link takes comes while we leave out tails.
            self._back_off(max(bps, BACK_OFF * self.limit_bps), now_s)

    def _fallen_while_wide(self, bps: float, now_s: float) -> None:
        sent_bps, wanted_bps = self._least_sent_bps(now_s), self.wanted_bps(now_s)
        if sent_bps < max(_LITTLE_BPS, _UNEVEN * wanted_bps) or bps >= _SHORT * sent_bps:
            return
        is_far = bps < _FAR_BELOW * wanted_bps and bps < _FAR_SHORT * sent_bps
        is_again = self._fell_s is not None and _FALLS_APART_S <= now_s - self._fell_s <= _FALLS_WITHIN_S
        if is_far or is_again:
            self._back_off(bps, now_s)
        elif self._fell_s is None or now_s - self._fell_s > _FALLS_WITHIN_S:
            self._fell_s = now_s

    def blocks(self, blocks: Iterable[ReportBlock], now_s: float) -> None:
        """Receiver reports of any of our streams. Loss is counted over a second: reports may come with every packet."""
        self._sample(now_s)
        for block in blocks:
            seen = self._blocks.get(block.ssrc)
            if seen is not None:
                expected = (block.highest_sequence - seen.highest) & 0xFFFFFFFF
                if expected < 1 << 16 and seen.at_s >= self._loss_from_s:
                    self._expected += expected
                    self._lost += max(0, block.lost - seen.lost)
            elif len(self._blocks) >= _MAX_STREAMS:
                continue
            self._blocks[block.ssrc] = _Seen(block.lost, block.highest_sequence, now_s)
        if self._loss_since_s is None or not self._expected:
            self._loss_since_s = now_s
        elif now_s - self._loss_since_s >= LOSS_WINDOW_S and self._expected >= LOSS_MIN_PACKETS:
            self._judge_loss(min(1.0, self._lost / self._expected), self._expected, now_s)
        self._settle(now_s)

    def round_trip(self, rtt_s: float) -> None:
        """The time to the receiver and back."""
        self._rtt_s = rtt_s

    def socket_full(self, is_full: bool, now_s: float) -> None:
        """Whether pictures wait because our own socket takes no more; asked with every picture."""
        if not is_full:
            self._full_since_s = None
            return
        if self._full_since_s is None:
            self._full_since_s = now_s
        self._sample(now_s)
        if now_s - self._full_since_s >= FULL_S:
            self._has_report = True
            self._full_since_s = now_s
            self._back_off(BACK_OFF * self._sent_bps(now_s), now_s)

    def _judge_loss(self, fraction: float, packets: int, now_s: float) -> None:
        self._fraction_lost = fraction
        self._loss_since_s, self._lost, self._expected = now_s, 0, 0
        # By chance alone a window of a link that loses 5 % of all shows 10 % every few minutes.
        if fraction - 2.0 * sqrt(fraction / packets) >= HEAVY_LOSS:
            through_bps = BACK_OFF * (1 - fraction) * self._sent_bps(now_s)
            self._back_off(max(through_bps, (self.limit_bps or 0.0) / 2), now_s)
        self._is_lossy = fraction > LIGHT_LOSS

    # What follows ----------------------------------------------------------------------------------------

    def _back_off(self, bps: float, now_s: float) -> None:
        self._troubled_s = now_s
        limit_bps = max(MIN_LIMIT_BPS, bps)
        if self.limit_bps is None:
            if limit_bps >= self.wanted_bps(now_s):
                return
            self._entered_s, self._entered_bps = now_s, limit_bps
        elif limit_bps >= self.limit_bps:
            return
        self._too_much_bps = limit_bps / BACK_OFF
        # What was lost before, and what is on the way still, has been answered by this.
        self._loss_from_s = now_s + _ON_THE_WAY_S
        self._lost = self._expected = 0
        self.limit_bps, self._backed_off_s, self._grown_s = limit_bps, now_s, now_s

    def _settle(self, now_s: float) -> None:
        """Try a little more after a while without trouble, as far as what was allowed was sent: no more was tried."""
        self._has_report = True
        if self.limit_bps is None:
            return
        calm_since_s = self._troubled_s + _CALM_S
        passed_s = min(1.0, now_s - max(self._grown_s, calm_since_s))
        if passed_s <= 0:
            return
        used = min(1.0, self._sent_bps(now_s) / (_USED * self.limit_bps))
        self.limit_bps *= self._growth() ** (passed_s * used)
        self._grown_s = now_s
        if self.limit_bps >= _WIDE_ENOUGH * self.wanted_bps(now_s):
            self.limit_bps = None
            self._fell_s = None

    def _growth(self) -> float:
        """Return the factor of one second."""
        assert self.limit_bps is not None
        if self._is_lossy:  # a radio link loses a little whatever it is sent: slowly, but not never
            return _GROW_SLOW
        if self._too_much_bps is None or self.limit_bps > _NEAR[1] * self._too_much_bps:
            return _GROW_FREE
        if self.limit_bps > _NEAR[0] * self._too_much_bps:
            return _GROW_SLOW if self._receiver_bps is None else _GROW_NEAR
        return _GROW_BACK

    def _sample(self, now_s: float) -> None:
        if not self._samples or now_s - self._samples[-1].at_s >= _SAMPLE_S:
            self._samples.append(_Sample(now_s, self.wanted_bytes, self.sent_bytes))
