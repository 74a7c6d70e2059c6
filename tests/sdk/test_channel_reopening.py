"""Which channel is used when both sides open, close and lose them in any order."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from metered_realtime.channel_reopening import (
    FIRST_DELAY_S,
    HEALTHY_S,
    MAX_DELAY_S,
    Became,
    ChannelReopening,
    LetGo,
    Open,
)


def opener() -> ChannelReopening:
    return ChannelReopening(opens=True, random=lambda: 0.5)


def test_the_opening_side_opens_at_once():
    core = opener()
    assert core.start() == [Open(1)]
    assert core.opened(1, 0.0) == [Became("connecting", "open")]
    assert core.opened(7, 0.0) == []


def test_the_accepting_side_waits_and_takes_the_newest():
    core = ChannelReopening(opens=False)
    assert core.start() == []
    assert core.offered(0.0, polite=False) == (1, [Became("connecting", "open")])
    assert core.offered(1.0, polite=False) == (2, [LetGo(1, is_dead=False)])
    assert core.closed(1, 1.0) == []
    assert core.closed(2, 1.0) == [Became("open", "connecting")]
    assert core.next_timer() is None
    assert core.reset() == []


def test_a_lost_channel_is_opened_again_at_once_after_a_reset():
    core = opener()
    core.start()
    core.opened(1, 0.0)
    assert core.reset() == [LetGo(1, is_dead=True), Became("open", "connecting"), Open(2)]


def test_a_channel_that_is_closed_again_and_again_is_opened_ever_more_slowly():
    core = opener()
    core.start()
    waits, now_s = [], 0.0
    for number in range(1, 10):
        core.opened(number, now_s)
        core.closed(number, now_s)
        assert core.tick(now_s) == []
        waits.append(core.next_timer() - now_s)
        now_s = core.next_timer()
        assert core.tick(now_s) == [Open(number + 1)]
    assert waits[0] == pytest.approx(FIRST_DELAY_S)
    assert waits == sorted(waits)
    assert waits[-1] == MAX_DELAY_S


def test_a_channel_that_held_for_a_while_is_opened_again_quickly():
    core = opener()
    core.start()
    for number in (1, 2, 3):
        core.closed(number, 0.0)
        core.tick(core.next_timer())
    core.opened(4, 10.0)
    core.closed(4, 10.0 + HEALTHY_S)
    assert core.next_timer() == pytest.approx(10.0 + HEALTHY_S + FIRST_DELAY_S)


def test_the_polite_side_moves_to_the_channel_of_the_other():
    core = opener()
    core.start()
    assert core.offered(0.0, polite=True) == (2, [LetGo(1, is_dead=False), Became("connecting", "open")])
    assert core.current == 2


def test_the_impolite_side_keeps_its_own_and_listens_to_the_newest_beside_it():
    core = opener()
    core.start()
    core.opened(1, 0.0)
    assert core.offered(0.0, polite=False) == (2, [])
    assert core.offered(0.0, polite=False) == (3, [LetGo(2, is_dead=False)])
    assert core.current == 1
    assert core.closed(3, 0.0) == []
    assert core.offered(0.0, polite=False) == (4, [])
    assert core.closed(1, 0.0) == []
    assert core.current == 4
    assert core.state == "open"


def test_a_channel_offered_while_waiting_is_taken_and_none_is_opened():
    core = opener()
    core.start()
    core.closed(1, 0.0)
    assert core.offered(0.1, polite=False) == (2, [Became("connecting", "open")])
    assert core.next_timer() is None
    assert core.tick(99.0) == []


@pytest.mark.parametrize("is_dead", [True, False])
def test_after_the_end_nothing_is_opened(is_dead):
    core = opener()
    core.start()
    core.opened(1, 0.0)
    core.offered(0.0, polite=False)
    assert core.end(is_dead=is_dead) == [LetGo(1, is_dead), LetGo(2, is_dead), Became("open", "closed")]
    assert core.end(is_dead=is_dead) == []
    assert core.reset() == []
    assert core.closed(1, 0.0) == []
    assert core.next_timer() is None


class TwoSides(RuleBasedStateMachine):
    """Two sides of one connection, at least one of which opens; what each does reaches the other some time later."""

    def __init__(self):
        super().__init__()
        self.sides: list[ChannelReopening] = []
        self.wires: list[deque] = [deque(), deque()]
        self.physical: list[dict[int, int]] = [{}, {}]
        self.listening: list[set[int]] = [set(), set()]
        self.channels = 0
        self.now_s = 0.0

    @precondition(lambda self: not self.sides)
    @rule(opens=st.sampled_from([(True, True), (True, False), (False, True)]))
    def begin(self, opens):
        self.sides = [ChannelReopening(opens=each, random=lambda: 0.5) for each in opens]
        for side in (0, 1):
            self.do(side, self.sides[side].start())

    def do(self, side, actions):
        for action in actions:
            match action:
                case Open():
                    self.channels += 1
                    self.physical[side][action.number] = self.channels
                    self.listening[side].add(action.number)
                    self.wires[side].append(("offer", self.channels))
                case LetGo():
                    self.listening[side].remove(action.number)
                    if not action.is_dead:
                        self.wires[side].append(("close", self.physical[side][action.number]))

    def number_of(self, side, channel):
        known = {physical: number for number, physical in self.physical[side].items()}
        return known.get(channel, 0)

    def deliver(self, sender):
        kind, channel = self.wires[sender].popleft()
        receiver = 1 - sender
        core = self.sides[receiver]
        if kind == "offer":
            number, actions = core.offered(self.now_s, polite=receiver == 0)
            self.physical[receiver][number] = channel
            self.listening[receiver].add(number)
            self.do(receiver, actions)
            self.wires[receiver].append(("ack", channel))
        else:
            number = self.number_of(receiver, channel)
            if number in self.listening[receiver]:
                if kind == "close":
                    self.listening[receiver].remove(number)
                    self.do(receiver, core.closed(number, self.now_s))
                else:
                    self.do(receiver, core.opened(number, self.now_s))

    @precondition(lambda self: self.sides and any(self.wires))
    @rule(sender=st.integers(0, 1))
    def something_arrives(self, sender):
        if self.wires[sender]:
            self.deliver(sender)

    @precondition(lambda self: self.sides)
    @rule(side=st.integers(0, 1))
    def a_channel_breaks(self, side):
        number = self.sides[side].current
        if number in self.listening[side]:
            self.listening[side].remove(number)
            self.wires[side].append(("close", self.physical[side][number]))
            self.do(side, self.sides[side].closed(number, self.now_s))

    @precondition(lambda self: self.sides)
    @rule()
    def the_connection_is_replaced(self):
        for wire in self.wires:
            wire.clear()
        for side in (0, 1):
            self.do(side, self.sides[side].reset())

    @precondition(lambda self: self.sides)
    @rule(seconds=st.floats(0.0, 12.0))
    def time_passes(self, seconds):
        self.now_s += seconds
        for side in (0, 1):
            due = self.sides[side].next_timer()
            if due is not None and due <= self.now_s:
                self.do(side, self.sides[side].tick(self.now_s))

    @invariant()
    def few_channels_are_held(self):
        assert all(len(numbers) <= 2 for numbers in self.listening)

    def teardown(self):
        if not self.sides:
            return
        for _ in range(20):
            while any(self.wires):
                for sender in (0, 1):
                    while self.wires[sender]:
                        self.deliver(sender)
            self.time_passes(12.0)
        used = {self.physical[side][self.sides[side].current] for side in (0, 1)}
        assert [side.state for side in self.sides] == ["open", "open"]
        assert len(used) == 1, "both sides send on the same channel in the end"
        assert [len(numbers) for numbers in self.listening] == [1, 1]


TwoSides.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
test_two_sides_settle = TwoSides.TestCase
