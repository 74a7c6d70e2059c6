"""What the owner of a source is told, and when the next attempt is due."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from metered_realtime.media.source_errors import SourceDeniedError, SourceError, SourceLostError
from metered_realtime.media.source_state import MAX_DELAY_S, STEADY_AFTER_S, SourceLife, SourceStateChange

GONE = SourceLostError("the camera went away")


def steps() -> Iterator[float]:
    yield from (1.0, 2.0, 4.0)
    while True:
        yield 8.0


def new_life() -> SourceLife:
    return SourceLife(steps)


def test_from_the_first_read_to_the_first_picture() -> None:
    life = new_life()
    assert life.state == "idle"
    assert life.wait_s(0.0) == 0
    assert life.begin() == SourceStateChange("connecting")
    assert life.arrived(1.0) == SourceStateChange("live")
    assert life.arrived(2.0) is None
    assert life.begin() is None


def test_trouble_is_told_once_and_ends_with_a_picture() -> None:
    life = new_life()
    life.begin()
    assert life.fail(GONE, 10.0) == SourceStateChange("lost", "the camera went away", GONE)
    assert life.begin() is None
    assert life.fail(SourceLostError("the camera went away"), 12.0) is None
    changed = life.fail(SourceError("the camera is busy"), 14.0)
    assert changed is not None
    assert changed.reason == "the camera is busy"
    assert life.failures == 3
    assert life.arrived(15.0) == SourceStateChange("live")
    assert life.error is None


def test_attempts_come_slower_and_slower() -> None:
    life = new_life()
    waits = []
    for _ in range(5):
        life.fail(GONE, 0.0)
        waits.append(life.wait_s(0.0))
    assert waits == [1, 2, 4, 8, 8]
    assert life.wait_s(8.0) == 0


def test_a_source_that_was_steady_is_tried_again_at_once() -> None:
    life = new_life()
    life.fail(GONE, 0.0)
    life.fail(GONE, 0.0)
    life.arrived(10.0)
    life.fail(GONE, 10.0 + STEADY_AFTER_S / 2)
    assert life.wait_s(10.0 + STEADY_AFTER_S / 2) == 4  # not steady: the row goes on
    life.arrived(20.0)
    life.fail(GONE, 20.0 + STEADY_AFTER_S)
    assert life.wait_s(20.0 + STEADY_AFTER_S) == 1


def test_an_error_that_needs_a_hand_waits_longer_also_over_a_rest() -> None:
    life = new_life()
    life.begin()
    life.fail(SourceDeniedError("wrong password"), 0.0)
    assert life.rest() == SourceStateChange("idle")
    assert life.error is None
    assert life.wait_s(1.0) == 59
    assert life.begin() == SourceStateChange("connecting")


def test_the_end_is_told_once() -> None:
    life = new_life()
    assert life.end() == SourceStateChange("ended")
    assert life.end() is None


def test_a_rest_of_what_rests_is_nothing_new() -> None:
    assert new_life().rest() is None


def test_by_itself_the_pace_stays_within_its_bound() -> None:
    life = SourceLife()
    for _ in range(20):
        life.fail(GONE, 0.0)
    assert 0 < life.wait_s(0.0) <= 1.2 * MAX_DELAY_S


class Lives(RuleBasedStateMachine):
    """Any order of calls: events never repeat the state, and a wait never exceeds what the errors ask for."""

    @initialize()
    def start(self) -> None:
        self.life = new_life()
        self.now_s = 0.0
        self.told = SourceStateChange("idle")

    def take(self, change: SourceStateChange | None) -> None:
        if change is not None:
            assert change != self.told
            self.told = change

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def begin(self) -> None:
        self.take(self.life.begin())

    @rule()
    def arrive(self) -> None:
        self.take(self.life.arrived(self.now_s))

    @rule(text=st.sampled_from(["away", "busy"]), slow=st.booleans())
    def fail(self, text: str, slow: bool) -> None:
        self.take(self.life.fail((SourceDeniedError if slow else SourceError)(text), self.now_s))

    @rule()
    def rest(self) -> None:
        self.take(self.life.rest())

    @invariant()
    def what_was_told_is_true(self) -> None:
        assert self.life.state == self.told.state
        assert (self.told.err is not None) == (self.told.state == "lost")
        assert bool(self.told.reason) == (self.told.state == "lost")
        assert 0 <= self.life.wait_s(self.now_s) <= 60.001


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("state", ["idle", "connecting", "live", "lost", "ended"])
def test_every_state_has_its_event(state: str) -> None:
    assert SourceStateChange(state).state == state  # type: ignore[arg-type]
