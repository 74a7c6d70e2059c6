"""How much may be on its way to the hub, learnt from how fast acknowledgements come back. Pure.

What is followed is TCP BBR's idea, at the size of messages: the fastest delivery rate seen lately times twice the
shortest round trip, and a little more. A window that is too small doubles with every round trip, for as long as the
rate follows it; one that is too large only fills a queue, which lengthens the round trip and leaves the rate as it is.
As a full link hides its own round trip behind that queue, the queue is let run down every ten seconds for a look.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

INITIAL_BYTES = 8 * 1024
"""Three seconds of a link of 20 kbit/s; what is thinner is not worth a smaller start."""
MIN_BYTES = 2 * 1024
MAX_BYTES = 4 * 1024 * 1024
MAX_MESSAGES = 256
MIN_PIECE_BYTES = 1024
"""Below it a message is more envelope than readings."""
MAX_PIECE_BYTES = 56 * 1024
"""The hub takes messages of 64 KiB."""
_PIECES = 8
"""A message is at most this part of the window: its own length must not pass for the length of the way."""
_GAIN = 2.0
_SPARE_S = 0.1
_RATE_KEPT_S = 10.0
_RATE_KEPT_ROUNDS = 10
_LOOK_EVERY_S = 10.0
_SWOLLEN = 2.0
_ANSWER_S = 12.0
"""Mobile links hold their breath for some seconds when they change the cell."""
_SLOW_ANSWER_S = 8.0
_PATIENCE = 3.0
_LONGEST_ANSWER_S = 19.0
_LEAST_PATIENCE = 2.0
"""Of a link so slow that its answers take ten seconds, more than the longest is borne: nothing would ever arrive."""
_SLOWEST_BYTES_PER_S = 2500.0
_SMOOTHING = 0.125


@dataclass(frozen=True, slots=True)
class Sent:
    """What has to be known of a message when its acknowledgement comes."""

    size_bytes: int
    at_s: float
    delivered_bytes: int
    delivered_at_s: float
    tells_rate: bool
    tells_way: bool


class Window:
    """The window of one connection. Time is an argument."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_messages: int = MAX_MESSAGES) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self.in_flight_bytes = 0
        self.in_flight_messages = 0
        self.rtt_s = 0.0
        self.min_rtt_s = 0.0
        self._min_rtt_at_s = 0.0
        self._looking = False
        self._delivered_bytes = 0
        self._delivered_at_s = 0.0
        self._dry_until_bytes = 0
        self._rates: deque[tuple[float, float]] = deque()
        self._rate_is_known = False

    @property
    def rate_bytes_per_s(self) -> float:
        """The fastest rate of delivery seen lately; 0 as long as nothing is known."""
        return self._rates[0][1] if self._rates else 0.0

    @property
    def size_bytes(self) -> int:
        """How much may be on its way."""
        wanted = self.rate_bytes_per_s * (_GAIN * self.min_rtt_s + _SPARE_S)
        if self._looking:
            wanted = self.rate_bytes_per_s * self.min_rtt_s / 2
        elif not self._rate_is_known:
            wanted = max(wanted, INITIAL_BYTES)
        return int(min(max(wanted, MIN_BYTES), self._max_bytes))

    @property
    def piece_bytes(self) -> int:
        """How large a message should be at most."""
        return min(max(self.size_bytes // _PIECES, MIN_PIECE_BYTES), MAX_PIECE_BYTES)

    @property
    def patience_s(self) -> float:
        """How long the answer to a message may take: a dead link is found in time, a slow one is borne."""
        rate = max(self.rate_bytes_per_s, _SLOWEST_BYTES_PER_S)
        expected_s = max(self.rtt_s, self.in_flight_bytes / rate)
        borne_s = min(_SLOW_ANSWER_S + _PATIENCE * expected_s, _LONGEST_ANSWER_S)
        return max(_ANSWER_S, borne_s, _LEAST_PATIENCE * expected_s)

    def room_bytes(self, now_s: float) -> int:
        """Return how large the next message may be; 0: wait for an acknowledgement. One message may always go."""
        if self.in_flight_messages == 0:
            return self.piece_bytes
        if not self._looking and self.rtt_s and now_s - self._min_rtt_at_s >= _LOOK_EVERY_S:
            self._looking = True
        # No small message for a small gap: it would cost as much as a large one.
        has_room = self.size_bytes - self.in_flight_bytes >= self.piece_bytes
        return self.piece_bytes if has_room and self.in_flight_messages < self._max_messages else 0

    def sent(self, size_bytes: int, now_s: float) -> Sent:
        """A message goes out; give what is returned back when it is answered."""
        if self.in_flight_messages == 0:
            self._delivered_at_s = now_s
        sent = Sent(
            size_bytes,
            now_s,
            self._delivered_bytes,
            self._delivered_at_s,
            self._delivered_bytes >= self._dry_until_bytes,
            self._looking or self.in_flight_messages == 0,
        )
        self.in_flight_bytes += size_bytes
        self.in_flight_messages += 1
        return sent

    def ran_dry(self) -> None:
        """There was room and nothing to fill it: how fast that was delivered says little about the link."""
        self._dry_until_bytes = self._delivered_bytes + self.in_flight_bytes + 1

    def lost(self, sent: Sent) -> None:
        """A message was not answered, or refused."""
        self.in_flight_bytes -= sent.size_bytes
        self.in_flight_messages -= 1

    def acknowledged(self, sent: Sent, now_s: float) -> None:
        """A message has arrived."""
        self.lost(sent)
        self._delivered_bytes += sent.size_bytes
        self._delivered_at_s = now_s
        rtt_s = max(now_s - sent.at_s, 1e-6)
        self.rtt_s = rtt_s if not self.rtt_s else self.rtt_s + _SMOOTHING * (rtt_s - self.rtt_s)
        swollen = self._rate_is_known and rtt_s > _SWOLLEN * (self.size_bytes / self.rate_bytes_per_s + _SPARE_S)
        self._take_rtt(rtt_s, sent, now_s)
        rate = (self._delivered_bytes - sent.delivered_bytes) / max(now_s - sent.delivered_at_s, 1e-6)
        if swollen and sent.tells_rate:
            self._rates.clear()
        self._take_rate(rate, now_s, tells=sent.tells_rate)

    def _take_rtt(self, rtt_s: float, sent: Sent, now_s: float) -> None:
        is_look = self._looking and sent.tells_way
        if is_look or not self.min_rtt_s or rtt_s <= self.min_rtt_s:
            self.min_rtt_s = rtt_s
            self._min_rtt_at_s = now_s
            self._looking = False

    def _take_rate(self, rate: float, now_s: float, *, tells: bool) -> None:
        if not tells and rate <= self.rate_bytes_per_s:
            return
        self._rate_is_known = self._rate_is_known or tells
        kept_s = max(_RATE_KEPT_S, _RATE_KEPT_ROUNDS * self.min_rtt_s)
        while self._rates and self._rates[0][0] < now_s - kept_s:
            self._rates.popleft()
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_s, rate))
