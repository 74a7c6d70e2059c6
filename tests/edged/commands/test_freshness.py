"""How long a message may have waited: never said to be less than it was, and nothing on a link that is alive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.commands.freshness import ANSWER_ALLOWANCE_S, TICK_S, Freshness

CHECK_S = 5.0


def run(freshness: Freshness, from_s: float, to_s: float) -> None:
    """Let it tick as the loop does."""
    now_s = from_s
    while now_s < to_s:
        freshness.tick(now_s)
        now_s += TICK_S


def test_a_link_that_answers_in_time_delays_nothing() -> None:
    freshness = Freshness(CHECK_S, 0)
    run(freshness, 0, 4)
    freshness.answered(3.9)
    run(freshness, 4, 8.9)

    assert freshness.waited_s(8.9 + 0.4) == 0


def test_after_a_silent_link_a_message_may_be_as_old_as_the_last_answered_question() -> None:
    freshness = Freshness(CHECK_S, 0)
    freshness.answered(1)
    run(freshness, 0, 40)

    assert freshness.waited_s(40) == 39
    freshness.answered(5)  # asked before the silence, answered only now
    assert freshness.waited_s(40) == 35
    freshness.answered(40)
    assert freshness.waited_s(40) == 0


def test_a_process_that_stood_still_doubts_everything_until_a_later_question_is_answered() -> None:
    freshness = Freshness(CHECK_S, 0)
    run(freshness, 0, 10)
    freshness.answered(9)

    assert freshness.tick(12.5), "it is told, so that a question is asked at once"
    assert freshness.waited_s(12.5) == 3
    freshness.answered(12.4)
    assert freshness.waited_s(12.6) > 0, "asked before it stood still ended"
    freshness.answered(12.5)
    assert freshness.waited_s(12.7) == 0


def test_a_message_that_is_read_before_the_first_tick_is_doubted_too() -> None:
    freshness = Freshness(CHECK_S, 0)
    freshness.answered(0)

    assert freshness.waited_s(60) == 60


def test_standing_still_twice_counts_from_the_first_time() -> None:
    freshness = Freshness(CHECK_S, 0)
    freshness.tick(5)
    freshness.tick(5.5)
    freshness.tick(9)

    assert freshness.waited_s(9) == 9


@given(st.lists(st.tuples(st.floats(0.01, 30), st.floats(0, 30)), min_size=1, max_size=20), st.floats(0, 30), st.data())
def test_a_message_is_never_said_to_be_younger_than_it_is(
    steps: list[tuple[float, float]], silent_s: float, data: st.DataObject
) -> None:
    """The hub sends in order: what comes now was sent after the last answer was, which was after its question."""
    freshness, now_s, asked_s = Freshness(CHECK_S, 0), 0.0, 0.0
    for running_s, under_way_s in steps:
        run(freshness, now_s, now_s + running_s)
        now_s += running_s
        asked_s = max(asked_s, now_s - under_way_s)
        freshness.answered(asked_s)
    stood = data.draw(st.booleans())
    if not stood:
        run(freshness, now_s, now_s + silent_s)
    now_s += silent_s

    # The oldest that a message can be which comes at this moment.
    oldest_s = now_s - asked_s
    tolerated_s = CHECK_S + ANSWER_ALLOWANCE_S
    assert freshness.waited_s(now_s) >= oldest_s - tolerated_s - 1e-6
    if oldest_s > tolerated_s:
        assert freshness.waited_s(now_s) >= min(oldest_s, silent_s) - 1e-6
