from __future__ import annotations

from edged.cameras.rate import WINDOW_S, Rate


def test_before_there_is_a_rate_it_is_nothing() -> None:
    rate = Rate()
    assert rate.bps() == 0.0
    rate.add(5.0, 1000)
    assert rate.bps() == 0.0


def test_the_first_seconds_count_as_far_as_they_have_come() -> None:
    rate = Rate()
    rate.add(5.0, 1000)
    rate.add(6.0, 1000)
    assert rate.bps() == 16_000


def test_of_the_last_window_and_of_what_stopped_the_last_there_was() -> None:
    rate = Rate()
    for number in range(12):
        rate.add(number * WINDOW_S / 10, 1000)
    assert rate.bps() == 10_000 * 8 / WINDOW_S


def test_a_pause_is_no_part_of_a_window() -> None:
    rate = Rate()
    rate.add(0.0, 1000)
    rate.add(1.0, 1000)
    rate.stopped()
    assert rate.bps() == 16_000
    for number in range(12):
        rate.add(3600 + number * WINDOW_S / 10, 1000)
        assert rate.bps() >= 16_000
    rate.stopped()
    assert rate.bps() == 10_000 * 8 / WINDOW_S


def test_pieces_are_counted_as_bits_are() -> None:
    rate = Rate()
    assert rate.per_s() == 0.0
    rate.add(0.0, 1)
    assert rate.per_s() == 0.0
    for number in range(1, 26):
        rate.add(number / 25, 1)
    assert rate.per_s() == 25.0
    for number in range(26, 300):
        rate.add(number / 25, 1)
    assert rate.per_s() == 25.0
    rate.stopped()
    assert rate.per_s() == 25.0
