from __future__ import annotations

from itertools import pairwise

import pytest

from metered_realtime.media.arrival_line import RISE_PER_S, WINDOW_S, ArrivalLine

STEP_S = 1 / 25


def test_what_comes_late_was_made_when_it_would_have_come_in_time() -> None:
    line = ArrivalLine()
    delays_s = (0.0, 0.08, 0.3, 0.01)
    made_s = [line.place(number * STEP_S, 100 + number * STEP_S + late_s) for number, late_s in enumerate(delays_s)]
    assert made_s == pytest.approx([100 + number * STEP_S for number in range(4)], abs=0.005)


def test_a_burst_at_the_start_is_seen_through_as_soon_as_it_is_over() -> None:
    line = ArrivalLine()
    for number in range(10):
        line.place(number * STEP_S, 100.0)
    assert line.place(10 * STEP_S, 100.0) == pytest.approx(100.0)
    assert line.place(11 * STEP_S, 100.0 + STEP_S) == pytest.approx(100.0 + STEP_S)


def test_a_path_that_has_become_slower_is_believed_gently() -> None:
    line = ArrivalLine()
    offsets_s = []
    for number in range(round(30 / STEP_S)):
        at_s = number * STEP_S
        line.place(at_s, at_s + (0.05 if at_s > 5 else 0.0))
        assert line.offset_s is not None
        offsets_s.append(line.offset_s)
    assert offsets_s[round(WINDOW_S / 2 / STEP_S)] == 0
    assert offsets_s[-1] == pytest.approx(0.05)
    steps_s = [after - before for before, after in pairwise(offsets_s)]
    assert 0 <= max(steps_s) <= RISE_PER_S * STEP_S * 1.01
    assert min(steps_s) >= 0


def test_a_clock_that_runs_slow_is_followed() -> None:
    line = ArrivalLine()
    made_s = [line.place(at_s * (1 - 100e-6), float(at_s)) for at_s in range(36_000)]
    assert made_s[-1] == pytest.approx(35_999, abs=0.003)


def test_a_clock_that_is_new_begins_a_new_line() -> None:
    line = ArrivalLine()
    line.place(0.0, 100.0)
    line.forget()
    assert line.offset_s is None
    assert line.place(5000.0, 101.0) == 101.0
