"""What leaves over a thin link can always be decoded, and never lags."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metered_realtime.thinning import MAX_LAG_S, ThinQueue

RATE_BPS = 80_000.0  # 10 000 bytes a second


def filled(*sizes: int, key_first: bool = True) -> ThinQueue[str]:
    queue: ThinQueue[str] = ThinQueue()
    for number, size in enumerate(sizes):
        queue.push("a", f"{number}", size, is_key=key_first and number == 0, rate_bps=RATE_BPS, now_s=0.0)
    return queue


def test_pictures_leave_at_the_rate_of_the_link() -> None:
    queue = filled(5000, 2000, 2000)
    assert queue.pop(RATE_BPS, 0.0) == "0"
    assert queue.pop(RATE_BPS, 0.0) is None
    assert queue.ready_in_s(0.0) == pytest.approx(0.5)
    assert queue.pop(RATE_BPS, 0.5) == "1"
    assert queue.waiting_bytes == 2000


def test_once_a_picture_would_lag_the_rest_of_its_group_is_left_out() -> None:
    queue = filled(9000, 2000, 2000, 10)
    assert len(queue) == 2
    assert queue.thinned == {"a": 2}
    assert not queue.is_whole


def test_the_next_key_frame_takes_the_place_of_what_waits() -> None:
    queue = filled(1000, 2000, 2000)
    queue.pop(RATE_BPS, 0.0)
    assert queue.push("a", "key", 3000, is_key=True, rate_bps=RATE_BPS, now_s=0.01)
    assert queue.thinned == {"a": 2}
    assert queue.pop(RATE_BPS, 0.2) == "key"


def test_a_key_frame_is_left_out_only_where_the_link_is_busy_with_the_one_before() -> None:
    queue = filled(25_000)
    queue.pop(RATE_BPS, 0.0)  # 2.5 s of the link
    assert not queue.push("a", "too soon", 25_000, is_key=True, rate_bps=RATE_BPS, now_s=1.0)
    assert queue.push("a", "key", 25_000, is_key=True, rate_bps=RATE_BPS, now_s=2.0)
    assert queue.thinned == {"a": 1}


def test_one_stream_that_is_cut_does_not_cut_another() -> None:
    queue = filled(9000, 2000, 2000)
    queue.pop(RATE_BPS, 0.0)
    assert queue.push("b", "key", 100, is_key=True, rate_bps=RATE_BPS, now_s=0.5)
    assert not queue.push("a", "tail", 1, is_key=False, rate_bps=RATE_BPS, now_s=0.5)


def test_two_cameras_with_groups_of_one_length_both_get_through() -> None:
    queue: ThinQueue[tuple[str, bool]] = ThinQueue()
    left = []
    for tick in range(50 * 20):  # a group of each in two seconds, the second 0.6 s after the first
        now_s = tick / 25
        for stream, start in (("a", 0), ("b", 15)):
            is_key = tick % 50 == start
            if tick >= start:
                size = 2000 if is_key else 1000
                queue.push(stream, (stream, is_key), size, is_key=is_key, rate_bps=RATE_BPS, now_s=now_s)
        while (item := queue.pop(RATE_BPS, now_s)) is not None:
            left.append(item)
    keys = {stream: left.count((stream, True)) for stream in "ab"}
    assert min(keys.values()) >= 19
    tails = {stream: left.count((stream, False)) for stream in "ab"}
    assert min(tails.values()) > 0.3 * max(tails.values())


def test_a_camera_that_sends_nothing_takes_no_share() -> None:
    queue = filled(1000)
    queue.pop_any()
    queue.push("b", "b", 1000, is_key=True, rate_bps=RATE_BPS, now_s=10.0)
    queue.pop_any()
    taken = [queue.push("b", "b", 1000, is_key=False, rate_bps=RATE_BPS, now_s=10.0) for _ in range(20)]
    assert sum(taken) == 11


def test_what_else_the_link_was_given_counts() -> None:
    queue = filled(100)
    queue.charge(5000, RATE_BPS, 0.0)
    assert queue.pop(RATE_BPS, 0.4) is None
    assert queue.pop(RATE_BPS, 0.5) == "0"


def test_a_link_no_longer_thin_gets_all_that_waits_and_then_whole_groups() -> None:
    queue = filled(9000, 2000, 2000, 10)
    assert [queue.pop_any(), queue.pop_any(), queue.pop_any()] == ["0", "1", None]
    assert not queue.is_whole
    assert not queue.push("a", "tail", 1, is_key=False, rate_bps=float("inf"), now_s=0.0)
    assert queue.push("a", "key", 1, is_key=True, rate_bps=float("inf"), now_s=0.0)
    queue.pop_any()
    assert queue.is_whole


def test_a_stream_that_ends_leaves_nothing() -> None:
    queue = filled(9000, 2000, 2000)
    queue.forget("a")
    assert queue.is_whole
    assert (queue.waiting_bytes, queue.thinned, queue.ready_in_s(0.0)) == (0, {}, None)


class Thinned(RuleBasedStateMachine):
    """Two streams over a link whose rate changes."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: ThinQueue[tuple[str, int, bool, float]] = ThinQueue()
        self.now_s = 0.0
        self.rate_bps = RATE_BPS
        self.pushed = {"a": 0, "b": 0}
        self.last = {"a": 0, "b": 0}  # what left before the link was thin
        self.left = 0
        self.free_s = 0.0

    @rule(stream=st.sampled_from("ab"), size=st.integers(1, 20_000), is_key=st.booleans())
    def push(self, stream: str, size: int, is_key: bool) -> None:
        number = self.pushed[stream] = self.pushed[stream] + 1
        item = (stream, number, is_key, self.now_s)
        self.queue.push(stream, item, size, is_key=is_key, rate_bps=self.rate_bps, now_s=self.now_s)

    @rule(passed_s=st.floats(0.001, 3.0))
    def wait(self, passed_s: float) -> None:
        end_s = self.now_s + passed_s
        while (ready_s := self.queue.ready_in_s(self.now_s)) is not None and self.now_s + ready_s <= end_s:
            self.now_s += ready_s + 1e-9
            self.take()
        self.now_s = max(self.now_s, end_s)

    def take(self) -> None:
        item = self.queue.pop(self.rate_bps, self.now_s)
        assert item is not None
        stream, number, is_key, _ = item
        # Decodable: a key frame, or the very next picture after one that left.
        assert is_key or self.last[stream] == number - 1
        self.last[stream] = number
        self.left += 1

    @rule(rate_bps=st.floats(10_000.0, 10_000_000.0))
    def change(self, rate_bps: float) -> None:
        self.rate_bps = rate_bps

    @invariant()
    def every_picture_is_accounted_for(self) -> None:
        assert sum(self.pushed.values()) == self.left + len(self.queue) + sum(self.queue.thinned.values())

    @invariant()
    def what_waits_is_bounded(self) -> None:
        assert self.queue.waiting_bytes <= MAX_LAG_S * 10_000_000 / 8 + 2 * 20_000


TestThinned = Thinned.TestCase
