from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.cameras.demand import Demand


def test_open_from_the_first_viewer_until_some_time_after_the_last() -> None:
    demand = Demand(linger_s=10, keep_warm=False)
    assert not demand.wanted(0)
    assert demand.changes_in_s(0) is None
    demand.watch(1, watched=True)
    assert demand.wanted(1000)
    assert demand.changes_in_s(1000) is None
    demand.watch(1000, watched=False)
    assert demand.wanted(1009.9)
    assert demand.changes_in_s(1004) == 6
    assert not demand.wanted(1010)
    assert demand.changes_in_s(1010) is None


def test_a_viewer_who_returns_in_time_keeps_it_open() -> None:
    demand = Demand(linger_s=10, keep_warm=False)
    demand.watch(0, watched=True)
    demand.watch(5, watched=False)
    demand.watch(14, watched=True)
    assert demand.wanted(100)


def test_being_told_twice_that_nobody_watches_does_not_start_the_time_again() -> None:
    demand = Demand(linger_s=10, keep_warm=False)
    demand.watch(0, watched=True)
    demand.watch(5, watched=False)
    demand.watch(12, watched=False)
    assert not demand.wanted(15)


def test_kept_warm_it_is_always_open() -> None:
    demand = Demand(linger_s=0, keep_warm=True)
    assert demand.wanted(0)
    demand.watch(0, watched=True)
    demand.watch(1, watched=False)
    assert demand.wanted(1000)
    assert demand.changes_in_s(1000) is None


class AnyViewers(RuleBasedStateMachine):
    """Against the plainest model: a list of what happened when."""

    def __init__(self) -> None:
        super().__init__()
        self.demand = Demand(linger_s=10, keep_warm=False)
        self.now_s = 0.0
        self.watched = False
        self.left_s = -1000.0

    @rule(seconds=st.integers(0, 15))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(watched=st.booleans())
    def watch(self, *, watched: bool) -> None:
        if self.watched and not watched:
            self.left_s = self.now_s
        self.watched = watched
        self.demand.watch(self.now_s, watched=watched)

    @invariant()
    def agrees_with_the_model(self) -> None:
        wanted = self.watched or self.now_s < self.left_s + 10
        assert self.demand.wanted(self.now_s) is wanted
        change_s = self.demand.changes_in_s(self.now_s)
        assert (change_s is not None) is (wanted and not self.watched)
        if change_s is not None:
            assert not self.demand.wanted(self.now_s + change_s)


TestAnyViewers = AnyViewers.TestCase
TestAnyViewers.settings = settings(max_examples=50, deadline=None)
