"""The month's messages last for the month, and nobody is told twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.settings import BudgetSettings
from edged.telemetry.budget import Budget
from edged.telemetry.moments import Moment

DAY_S = 86_400
START = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


def at(days, *, is_set=True, start=START):
    return Moment("boot", int(days * DAY_S * 1000) + 5_000_000, int((start + days * DAY_S) * 1000), is_set)


def budget(limit=30_000, reset_day=1, state=""):
    return Budget(BudgetSettings(messages_per_month=limit, reset_day=reset_day), state=state)


def spend(each, days, *, urgent=False, most=1_000_000):
    """Send all that may be sent at once; return how many."""
    return next(sent for sent in range(most + 1) if sent == most or each.take(at(days), urgent=urgent) > 0)


def test_without_a_limit_all_are_counted_and_none_waits():
    each = budget(0)
    assert spend(each, 1, most=5000) == 5000
    figures = each.figures(at(1))
    assert (figures["used"], figures["limit"], figures["state"]) == (5000, 0, "ok")
    assert each.warning(at(1)) == ""


def test_a_days_worth_may_go_ahead_of_the_line():
    each = budget()
    assert spend(each, 0) == 900  # 27,000 in 30 days, the rest is the reserve
    assert spend(each, 1) == 900
    assert each.take(at(1)) > 0
    assert each.figures(at(1))["state"] == "slowed"


def test_what_was_not_used_may_be_used_later():
    each = budget()
    assert spend(each, 15) == 900 * 16


def test_a_wait_is_as_long_as_it_takes_for_one_more():
    each = budget()
    spend(each, 0)
    wait_s = each.take(at(0))
    assert wait_s == pytest.approx(96, abs=1)
    assert each.take(at((wait_s + 0.1) / DAY_S)) == 0


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=30), st.integers(50, 500), st.integers(1, 28))
def test_no_month_ever_has_more_than_its_limit(steps, limit, reset_day):
    each, days, sent = budget(limit, reset_day), 0.0, {}
    for step in steps:
        days += step
        now = datetime.fromtimestamp(START + days * DAY_S, UTC)
        months = now.year * 12 + now.month - (now.day < reset_day)
        sent[months] = sent.get(months, 0) + spend(each, days) + spend(each, days, urgent=True)
    assert max(sent.values()) <= limit


def test_urgent_readings_may_use_the_reserve_and_go_ahead_of_the_line():
    each = budget(1000)
    spend(each, 0)
    assert each.take(at(0)) > 0
    assert each.take(at(0), urgent=True) == 0
    spend(each, 0, urgent=True)
    assert each.used == 1000
    assert each.take(at(0), urgent=True) > 0


def test_the_month_begins_anew_on_its_day():
    each = budget(1000, reset_day=15)
    spend(each, 13.9)
    assert each.used == 900
    assert each.figures(at(13.9))["state"] == "used up"
    assert each.take(at(14.1)) == 0
    assert each.used == 1
    assert each.figures(at(14.1))["days_left"] == pytest.approx(29.9)


def test_a_clock_that_was_wrong_for_a_while_gives_nothing_away():
    each = budget(1000)
    spend(each, 10)
    used = each.used
    each.figures(at(-10))
    assert each.used == used


def test_with_no_clock_the_even_rate_holds_from_here():
    each = budget(31_000)
    day = 31_000 * 0.9 / 31
    unset = [each.take(at(20, is_set=False)) for _ in range(int(day) + 10)]
    assert unset.count(0) == pytest.approx(day, abs=1)
    assert "days_left" not in each.figures(at(20, is_set=False))
    later = [each.take(at(21, is_set=False)) for _ in range(int(day) + 10)]
    assert later.count(0) == pytest.approx(day, abs=2)


def test_the_state_is_all_the_next_life_needs():
    each = budget()
    spend(each, 5)
    after = budget(state=each.state())
    assert after.used == each.used
    assert after.take(at(5)) > 0
    assert after.state() == each.state()


def test_what_becomes_known_late_is_added_once():
    earlier = budget()
    spend(earlier, 5)
    each = budget()
    assert each.state() == ""
    each.take(at(5))
    for _ in range(2):
        each.restore(earlier.state())
    assert each.used == earlier.used + 1
    known = budget(state=earlier.state())
    known.restore(earlier.state())
    assert known.used == earlier.used


def test_what_is_known_late_of_another_month_is_not_added():
    earlier = budget()
    spend(earlier, 5)
    each = budget()
    each.take(at(35))
    each.restore(earlier.state())
    assert each.used == 1
    each.restore("")
    unset = budget()
    unset.take(at(0, is_set=False))
    unset.restore(earlier.state())
    assert unset.used == earlier.used + 1


def test_a_forecast_outlives_the_process():
    each = budget(1_000_000)
    for minute in range(0, 24 * 60, 2):
        each.take(at(minute / 1440))
    after = budget(1_000_000, state=each.state())
    after.take(at(1))
    assert after.figures(at(1))["forecast"] == pytest.approx(each.figures(at(1))["forecast"], rel=0.02)


@pytest.mark.parametrize(
    "state",
    [
        "",
        "\0" * 50,
        "2 2026-11-01 5 0",
        "1 2026-99-01 5 0",
        "1 2026-11-01 -5 0",
        "1 2026-11-01 ٣ 0",
        "1 2026-11-01 99999999999999999999 0",
        "1 2026-11-01 5 nan",
        "1 2026-11-01 5 inf",
        "1 2026-11-01 5",
    ],
)
def test_a_damaged_state_is_forgotten(state):
    assert budget(state=state).used == 0


def test_a_state_from_before_the_clock_was_set_is_kept():
    each = budget()
    each.take(at(0, is_set=False))
    assert each.state().startswith("1 - 1 ")
    after = budget(state=each.state())
    assert after.figures(at(0.1))["used"] == 1


def test_the_forecast_follows_the_rate_of_the_last_hours():
    each = budget(1_000_000)
    for minute in range(0, 24 * 60, 2):
        each.take(at(minute / 1440))
    assert each.figures(at(1))["forecast"] == pytest.approx(720 * 30, rel=0.05)
    assert each.figures(at(3))["forecast"] == pytest.approx(720, rel=0.05)


def test_there_is_no_forecast_before_there_is_something_to_go_by():
    each = budget()
    each.take(at(0))
    assert "forecast" not in each.figures(at(0))


def test_each_warning_is_said_once_a_month():
    each = budget(1000)
    for minute in range(0, 120, 10):
        each.take(at(minute / 1440))
    assert each.figures(at(0.1))["state"] == "ok"
    said = [each.warning(at(0.1)) for _ in range(3)]
    assert "at this rate" in said[0]
    assert said[1:] == ["", ""]
    spend(each, 29.9)
    said = [each.warning(at(29.9)) for _ in range(3)]
    assert "day 1" in said[0]
    assert said[1:] == ["", ""]
    spend(each, 30.1)
    assert "at this rate" in each.warning(at(30.1))


def test_who_is_slowed_is_told_before_there_is_a_forecast():
    each = budget()
    spend(each, 0)
    assert "forecast" not in each.figures(at(0))
    assert "fewer and larger" in each.warning(at(0))
