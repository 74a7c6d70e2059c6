from __future__ import annotations

from itertools import pairwise

import pytest

from metered_realtime.media.sound_line import SoundLine

RATE = 8_000
PACKET = 160


def steps(arrivals: list[tuple[int | None, float]]) -> list[int]:
    """Return the steps between the timestamps that packets get."""
    line = SoundLine(RATE)
    return [after - before for before, after in pairwise(line.place(ticks, at_s) for ticks, at_s in arrivals)]


def test_sound_keeps_its_own_steps_however_it_arrives() -> None:
    assert steps([(0, 10.0), (160, 10.1), (320, 10.1), (640, 10.11)]) == [160, 160, 320]


def test_a_stall_and_the_burst_after_it_move_nothing() -> None:
    stalled = [(number * PACKET, 15.0) for number in range(1, 150)]
    assert set(steps([(0, 10.0), *stalled, (150 * PACKET, 15.02)])) == {PACKET}


def test_a_silence_is_as_long_as_it_was() -> None:
    assert steps([(0, 10.0), (160, 10.02), (160 + 60 * RATE, 70.02)]) == [160, 60 * RATE]


@pytest.mark.parametrize("base", [-900_000, 900_000, 100])
def test_a_restarted_camera_goes_on_after_the_time_that_passed(base: int) -> None:
    assert steps([(0, 10.0), (160, 10.02), (base, 12.02), (base + 160, 12.04)]) == [160, 2 * RATE, 160]


def test_clocks_that_drift_are_let_drift() -> None:
    slow = [(number * RATE, number * 1.0002) for number in range(20_000)]
    assert set(steps(slow)) == {RATE}


def test_the_same_stamp_again_still_rises() -> None:
    assert steps([(0, 10.0), (0, 10.0)]) == [1]


def test_sound_without_a_stamp_is_placed_by_when_it_comes() -> None:
    assert steps([(None, 10.0), (None, 10.02), (7, 10.04), (None, 10.06)]) == [160, 160, 160]
