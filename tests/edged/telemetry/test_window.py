"""The window over a simulated link: it fills the link, and does not flood it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.telemetry.window import (
    INITIAL_BYTES,
    MAX_BYTES,
    MAX_PIECE_BYTES,
    MIN_BYTES,
    MIN_PIECE_BYTES,
    Window,
)

READING_BYTES = 150


@dataclass
class Simulation:
    """A link of one rate with a queue of any length; readings without end, or so many bytes per second."""

    rate: float
    rtt_s: float
    offered: float | None = None
    jitter: tuple[float, ...] = (0.0,)
    window: Window = field(default_factory=lambda: Window(max_bytes=1 << 30))

    def __post_init__(self):
        self.now_s = 0.0
        self.free_at_s = 0.0
        self.answers = []
        self.numbers = count()
        self.sent_bytes = 0
        self.delivered = []
        self.queued_s = []
        self.max_in_flight = 0

    def run(self, until_s):
        while self.now_s < until_s:
            while size := self.next_size():
                self.send(size)
            waits_for_readings = self.offered is not None and self.window.room_bytes(self.now_s)
            arrival_s = (self.sent_bytes + READING_BYTES) / self.offered + 1e-9 if waits_for_readings else 1e9
            self.now_s = max(self.now_s + 1e-6, min(self.answers[0][0] if self.answers else 1e9, arrival_s))
            while self.answers and self.answers[0][0] <= self.now_s:
                _at_s, _number, sent = heapq.heappop(self.answers)
                self.window.acknowledged(sent, self.now_s)
                self.delivered.append((self.now_s, sent.size_bytes))
        return self

    def next_size(self):
        room = self.window.room_bytes(self.now_s)
        if room and self.offered is not None:
            waiting = self.offered * self.now_s - self.sent_bytes
            if waiting < READING_BYTES:
                self.window.ran_dry()
                return 0
            room = min(room, waiting)
        return room and max(READING_BYTES, room // READING_BYTES * READING_BYTES)

    def send(self, size):
        sent = self.window.sent(int(size), self.now_s)
        self.sent_bytes += sent.size_bytes
        there_s = self.now_s + self.rtt_s / 2
        self.queued_s.append((self.now_s, max(0.0, self.free_at_s - there_s)))
        self.free_at_s = max(there_s, self.free_at_s) + sent.size_bytes / self.rate
        number = next(self.numbers)
        late_s = self.jitter[number % len(self.jitter)]
        heapq.heappush(self.answers, (self.free_at_s + self.rtt_s / 2 + late_s, number, sent))
        self.max_in_flight = max(self.max_in_flight, self.window.in_flight_bytes)

    def use(self, since_s, until_s):
        """Return the share of the link that was used."""
        size = sum(size for at_s, size in self.delivered if since_s <= at_s < until_s)
        return size / (until_s - since_s) / self.rate

    def longest_queue_s(self, since_s):
        return max(queued_s for at_s, queued_s in self.queued_s if at_s >= since_s)


LINKS = {
    "rate": st.floats(3.4, 7.1).map(lambda power: 10**power),  # 20 kbit/s to 100 Mbit/s
    "rtt_s": st.floats(-3, 0).map(lambda power: 10**power),
}


@settings(max_examples=40, deadline=None)
@given(**LINKS)
def test_a_link_is_used_and_not_flooded(rate, rtt_s):
    settled_s = 10 + 10 * rtt_s
    link = Simulation(rate, rtt_s).run(settled_s + 30)
    assert link.use(settled_s, settled_s + 30) >= 0.8
    # Twice the way, a message, and the spare; the way seems longer by the length of the messages.
    assert link.longest_queue_s(settled_s) <= 2 * rtt_s + 0.3 + 2 * MIN_BYTES / rate
    assert link.max_in_flight <= 3.5 * rate * rtt_s + 0.2 * rate + max(INITIAL_BYTES, MAX_PIECE_BYTES)


@settings(max_examples=20, deadline=None)
@given(**LINKS, jitter=st.lists(st.floats(0, 0.2), min_size=1, max_size=7).map(tuple))
def test_a_shaky_way_leaves_most_of_the_rate(rate, rtt_s, jitter):
    link = Simulation(rate, rtt_s, jitter=jitter).run(50)
    assert link.use(20, 50) >= 0.7
    assert link.window.in_flight_bytes == sum(sent.size_bytes for _at, _number, sent in link.answers)


def test_a_thousand_readings_a_second_keep_up_at_600_ms():
    offered = 1000 * READING_BYTES
    link = Simulation(1.25e6, 0.6, offered=offered).run(30)
    assert link.use(10, 30) * link.rate == pytest.approx(offered, rel=0.05)
    assert link.longest_queue_s(10) < 0.1


def test_one_message_may_always_go():
    window = Window()
    assert window.room_bytes(0.0) >= MIN_PIECE_BYTES
    window.sent(48_000, 0.0)
    assert window.room_bytes(0.0) == 0


def test_a_full_link_that_becomes_thin_is_followed():
    link = Simulation(1.25e6, 0.1).run(20)
    link.rate = 12_500
    link.run(120)
    assert link.use(80, 120) >= 0.8
    assert link.longest_queue_s(80) < 1


def test_a_thin_link_that_becomes_wide_is_followed():
    link = Simulation(12_500, 0.1).run(20)
    link.rate = 1.25e6
    link.run(60)
    assert link.use(40, 60) >= 0.8


def test_a_way_that_becomes_longer_is_followed():
    link = Simulation(125_000, 0.05).run(20)
    link.rtt_s = 0.6
    link.run(80)
    assert link.use(50, 80) >= 0.8


def test_few_readings_do_not_shrink_the_window():
    link = Simulation(1e6, 0.6, offered=READING_BYTES).run(100)
    assert link.window.size_bytes >= INITIAL_BYTES


def test_bytes_and_messages_are_bounded():
    link = Simulation(1e9, 1.0, window=Window()).run(30)
    assert link.max_in_flight <= MAX_BYTES
    small = Window(max_messages=3)
    for _ in range(3):
        small.sent(1, 0.0)
    assert small.room_bytes(0.0) == 0


def test_what_is_lost_is_no_longer_in_flight():
    window = Window()
    sent = window.sent(5000, 0.0)
    window.lost(sent)
    assert (window.in_flight_bytes, window.in_flight_messages) == (0, 0)
    assert window.rtt_s == 0.0


def test_patience_is_short_on_a_fast_link_and_enough_for_a_slow_one():
    fast = Simulation(1.25e6, 0.05).run(20).window
    assert fast.patience_s == Window().patience_s == 12
    slow = Window()
    slow.sent(48_000, 0.0)
    assert slow.patience_s == pytest.approx(2 * 48_000 / 2500)


def test_a_dead_link_is_found_within_20_s_on_every_way_that_is_in_use():
    for rate in (2500, 12_500, 125_000, 1.25e6, 1.25e7):
        for rtt_s in (0.001, 0.1, 0.6, 1.0, 4.0):
            assert Simulation(rate, rtt_s).run(60).window.patience_s < 20
