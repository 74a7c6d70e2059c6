"""How fast messages may leave, and what a complaint of the service does to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.telemetry.pace import Pace


def test_a_burst_goes_at_once_and_then_the_rate_holds():
    pace = Pace(10, 3)
    assert [pace.take(0.0) for _ in range(3)] == [0, 0, 0]
    assert pace.take(0.0) == pytest.approx(0.1)
    assert pace.take(0.05) == pytest.approx(0.05)
    assert pace.take(0.1) == 0
    assert pace.take(0.1) > 0


def test_tokens_do_not_pile_up_beyond_the_burst():
    pace = Pace(10, 2)
    pace.take(0.0)
    assert [pace.take(100.0) for _ in range(3)] == [0, 0, pytest.approx(0.1)]


def test_a_token_can_be_given_back():
    pace = Pace(10, 1)
    assert pace.take(0.0) == 0
    pace.give_back()
    assert pace.take(0.0) == 0
    pace.give_back()
    pace.give_back()
    assert [pace.take(0.0), pace.take(0.0)] == [0, pytest.approx(0.1)]


def test_every_complaint_halves_the_rate_down_to_one_a_second():
    pace = Pace(80, 100)
    rates = []
    for _ in range(8):
        pace.too_fast(0.0)
        rates.append(pace.per_s)
    assert rates == [40, 20, 10, 5, 2.5, 1.25, 1, 1]
    assert pace.is_slowed
    assert pace.take(0.0) == pytest.approx(1.0)


def test_a_pace_below_one_a_second_is_not_raised_by_a_complaint():
    pace = Pace(0.5, 1)
    pace.too_fast(0.0)
    assert pace.per_s == 0.5


def test_every_quiet_minute_gives_a_twentieth_back_until_all_is_back():
    pace = Pace(80, 100)
    pace.too_fast(0.0)
    pace.take(59.0)
    assert pace.per_s == 40
    pace.take(60.0)
    assert pace.per_s == 44
    pace.take(185.0)
    assert pace.per_s == 52
    pace.take(3600.0)
    assert pace.per_s == 80
    assert not pace.is_slowed
    assert [pace.take(3600.0) for _ in range(99)] == [0] * 99


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 200), st.booleans()), max_size=60))
def test_never_more_than_the_rate_and_the_burst_whatever_happens(steps):
    pace, now_s, taken = Pace(80, 100), 0.0, 0
    for wait_s, complains in steps:
        now_s += wait_s
        if complains:
            pace.too_fast(now_s)
        while pace.take(now_s) == 0:
            taken += 1
        assert 1 <= pace.per_s <= 80
    assert taken <= 100 + 80 * now_s + 1
