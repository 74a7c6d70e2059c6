"""Timestamps that never go back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.timeline import MAX_DRIFT_S, Timeline, to_ticks


def test_the_first_timestamp_is_now_and_the_source_keeps_its_distances() -> None:
    timeline = Timeline(1000)
    assert timeline.place(500, 10.0) == 10_000
    assert timeline.place(540, 10.07) == 10_040


def test_a_source_that_starts_over_goes_on_now() -> None:
    timeline = Timeline(1000)
    timeline.place(5000, 10.0)
    assert timeline.place(0, 10.2) == 10_200


def test_a_source_that_runs_away_is_brought_back() -> None:
    timeline = Timeline(1000)
    timeline.place(0, 10.0)
    assert timeline.place(int(1000 * MAX_DRIFT_S) + 1, 10.0) == 10_001
    assert timeline.place(int(1000 * MAX_DRIFT_S) + 41, 10.04) == 10_041


def test_a_source_without_timestamps_gets_the_clock() -> None:
    timeline = Timeline(1000)
    assert timeline.place(None, 1.0) == 1000
    assert timeline.place(None, 1.0) == 1001
    assert timeline.place(None, 1.5) == 1500


@given(st.lists(st.tuples(st.none() | st.integers(-(10**9), 10**9), st.floats(0, 2.0)), max_size=50))
def test_whatever_the_source_says_time_goes_forward_and_near_the_clock(steps: list[tuple[int | None, float]]) -> None:
    timeline, now_s, last = Timeline(1000), 100.0, -1
    for ticks, waited_s in steps:
        now_s += waited_s
        placed = timeline.place(ticks, now_s)
        assert placed > last
        assert placed <= now_s * 1000 + MAX_DRIFT_S * 1000 + len(steps)
        last = placed


def test_units_are_converted_with_rounding() -> None:
    assert to_ticks(1, 1, 30, 90_000) == 3000
    assert to_ticks(1001, 1, 30_000, 90_000) == 3003
    assert to_ticks(1, 1, 3, 10) == 3
    assert to_ticks(2, 1, 3, 10) == 7
