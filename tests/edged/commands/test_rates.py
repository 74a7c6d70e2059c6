"""Budgets refill with time, and take a bounded place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.commands.rates import Rates


def test_a_burst_is_taken_at_once_and_comes_back_with_time() -> None:
    rates = Rates()

    assert [rates.take("a", per_s=2, burst=3, now_s=0) for _ in range(4)] == [True, True, True, False]
    assert rates.take("a", per_s=2, burst=3, now_s=0.5)
    assert not rates.take("a", per_s=2, burst=3, now_s=0.5)
    assert rates.take("b", per_s=2, burst=3, now_s=0.5)


def test_time_that_runs_backwards_refills_nothing() -> None:
    rates = Rates()
    assert rates.take("a", per_s=1, burst=1, now_s=100)

    assert not rates.take("a", per_s=1, burst=1, now_s=0)


def test_the_key_seen_longest_ago_is_forgotten_first() -> None:
    rates = Rates(2)
    for key in ("a", "b", "a", "c"):
        rates.take(key, per_s=0.001, burst=2, now_s=0)

    assert len(rates) == 2
    assert not rates.take("a", per_s=0.001, burst=2, now_s=0), "it was used twice and not forgotten"


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 5), st.integers(1, 10))
def test_no_more_than_the_burst_and_what_time_brought_is_ever_allowed(
    steps: list[float], per_s: float, burst: int
) -> None:
    rates, now_s, allowed = Rates(), 0.0, 0
    for step in steps:
        now_s += step
        allowed += rates.take("a", per_s=per_s, burst=burst, now_s=now_s)

    assert allowed <= burst + now_s * per_s + 1e-6
