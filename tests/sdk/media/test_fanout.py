from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.fanout import ReaderQueue

MAX_UNITS = 4
MAX_BYTES = 100


def unit(number: int, *, key: bool = False, size: int = 10) -> AccessUnit:
    return AccessUnit(bytes(size), number, key)


def drain(queue: ReaderQueue[AccessUnit]) -> list[int]:
    out = []
    while (item := queue.pop()) is not None:
        out.append(item.pts_90k)
    return out


def test_a_newcomer_gets_the_ring_and_then_live() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue(max_units=2)
    queue.start([unit(1, key=True), unit(2), unit(3)])
    assert queue.in_burst
    assert queue.push(unit(4))
    assert drain(queue) == [1, 2, 3, 4]
    assert not queue.in_burst
    assert queue.dropped_units == 0


def test_a_newcomer_without_a_ring_waits_for_a_key_frame_and_that_is_no_loss() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue()
    queue.start([])
    assert not queue.push(unit(1))
    assert queue.push(unit(2, key=True))
    assert drain(queue) == [2]
    assert queue.dropped_units == 0


def test_full_reader_waits_for_the_next_key_frame_and_returns_to_live() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue(max_units=2)
    for item in (unit(1, key=True), unit(2), unit(3), unit(4)):
        queue.push(item)
    assert queue.dropped_units == 2
    assert queue.overflows == 1
    assert queue.pop() == unit(1, key=True)
    assert not queue.push(unit(5)), "room again, but its group has a hole"
    assert queue.push(unit(6, key=True))
    assert drain(queue) == [6]
    assert queue.dropped_units == 4


def test_a_key_frame_replaces_the_backlog_of_a_full_queue() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue(max_units=2)
    for item in (unit(1, key=True), unit(2), unit(3, key=True)):
        queue.push(item)
    assert drain(queue) == [3]
    assert queue.overflows == 1


def test_bytes_are_bounded_too_but_one_large_unit_passes() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue(max_bytes=50)
    assert queue.push(unit(1, key=True, size=500))
    assert not queue.push(unit(2, size=1))
    assert drain(queue) == [1]


def test_after_an_interruption_the_next_key_frame_is_next() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue()
    queue.push(unit(1, key=True))
    queue.wait_for_key()
    assert not queue.push(unit(2))
    assert queue.push(unit(3, key=True))
    assert drain(queue) == [3]


def test_past_an_empty_queue_goes_what_would_be_pushed_and_popped_at_once() -> None:
    queue, twin = ReaderQueue[AccessUnit](max_units=2), ReaderQueue[AccessUnit](max_units=2)
    units = [unit(1), unit(2, key=True), unit(3), unit(4, size=5 * MAX_BYTES)]
    for each in units:
        assert queue.lets_pass(each) is (twin.push(each) and twin.pop() is each)

    for each in (unit(5), unit(6), unit(7)):
        queue.push(each)
    assert not queue.lets_pass(unit(8)), "the queue is not empty"
    drain(queue)
    assert not queue.lets_pass(unit(9)), "something is missing before it"
    assert queue.dropped_units == 2
    assert queue.lets_pass(unit(10, key=True))
    assert queue.lets_pass(unit(11))


def test_clear_forgets_and_waits_for_a_key_frame() -> None:
    queue: ReaderQueue[AccessUnit] = ReaderQueue()
    queue.start([unit(1, key=True)])
    queue.clear()
    assert len(queue) == 0
    assert not queue.push(unit(2))


class AnyReader(RuleBasedStateMachine):
    """Whatever the pace of camera and reader: bounded, in order, and never a delta whose predecessor is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: ReaderQueue[AccessUnit] = ReaderQueue(max_bytes=MAX_BYTES, max_units=MAX_UNITS)
        self.number = 0
        self.seen: list[AccessUnit] = []
        self.burst = 0

    @rule(key=st.booleans(), size=st.integers(1, 60))
    def push(self, *, key: bool, size: int) -> None:
        self.number += 1
        self.queue.push(unit(self.number, key=key, size=size))

    @rule(length=st.integers(0, 12))
    def start(self, length: int) -> None:
        self.queue.start([unit(self.number + step, key=step == 1) for step in range(1, length + 1)])
        self.number += length
        self.burst = length

    @rule()
    def interrupt(self) -> None:
        self.queue.wait_for_key()

    @rule()
    def pop(self) -> None:
        item = self.queue.pop()
        if item is None:
            return
        before = self.seen[-1].pts_90k if self.seen else 0
        assert item.pts_90k > before
        assert item.is_key or item.pts_90k == before + 1
        self.seen.append(item)

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.queue) <= MAX_UNITS + self.burst


TestAnyReader = AnyReader.TestCase
TestAnyReader.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
