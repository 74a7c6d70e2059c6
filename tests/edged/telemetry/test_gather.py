"""Readings wait for company, as long as they wish and no longer."""

from __future__ import annotations

import pytest

from edged.telemetry.gather import Gather
from edged.telemetry.reading import Reading


def reading(channel="farm", delay_s=0.0, *, size=100, readings=0, size_limit=0):
    return Reading("id", channel, "x", size, batch_delay_s=delay_s, batch_readings=readings, batch_bytes=size_limit)


def gather(distance_s=0.0):
    return Gather(distance_s, max_readings=5, max_bytes=1000)


def test_a_reading_without_a_wish_goes_at_once():
    each = gather()
    assert each.add(reading(), 0.0)
    assert each.wait_s(0.0) == 0
    assert "farm" not in each.not_yet(0.0)


def test_the_first_reading_goes_at_once_and_the_next_round_waits():
    each = gather(0.05)
    assert each.wait_s(1.0) == 0
    each.sent(1.0)
    assert each.wait_s(1.0) == 0, "the round is not over"
    each.emptied()
    assert each.wait_s(1.0) == pytest.approx(0.05)
    assert each.wait_s(1.06) == 0


def test_a_full_message_does_not_wait_for_its_round():
    for one in (reading(), reading(size=400)):
        each = gather(10.0)
        each.sent(0.0)
        each.emptied()
        for _ in range(5):
            each.add(one, 0.0)
        assert each.is_full
        assert each.wait_s(0.0) == 0


def test_a_channel_waits_as_long_as_its_first_reading_wishes():
    each = gather()
    assert not each.add(reading(delay_s=2.0), 0.0)
    assert not each.add(reading(delay_s=2.0), 1.0)
    assert each.first_due_s == 2.0
    assert "farm" in each.not_yet(1.9)
    assert "barn" not in each.not_yet(1.9)
    assert "farm" not in each.not_yet(2.0)
    assert each.first_due_s == float("inf")


def test_a_reading_without_a_wish_takes_those_of_its_channel_along():
    each = gather()
    each.add(reading(delay_s=60.0), 0.0)
    each.add(reading("barn", 60.0), 0.0)
    assert each.add(reading(), 1.0)
    assert "farm" not in each.not_yet(1.0)
    assert "barn" in each.not_yet(1.0)


def test_enough_readings_or_bytes_of_a_channel_end_the_wait():
    for one, enough in ((reading(delay_s=9.0, readings=3), 3), (reading(delay_s=9.0, size_limit=200), 2)):
        each = gather()
        assert [each.add(one, 0.0) for _ in range(enough)] == [False] * (enough - 1) + [True]
        assert "farm" not in each.not_yet(0.0)
    each = gather()
    assert [each.add(reading(delay_s=9.0), 0.0) for _ in range(5)][-1]


def test_nobody_waits_after_a_flush():
    each = gather()
    each.add(reading(delay_s=9.0), 0.0)
    each.flush()
    assert "farm" not in each.not_yet(0.0)
    assert each.first_due_s == float("inf")


def test_what_waited_counts_for_the_round_it_goes_in():
    each = gather(10.0)
    each.sent(0.0)
    each.emptied()
    for _ in range(5):
        each.add(reading(delay_s=1.0), 0.0)
    each.not_yet(1.0)
    assert each.is_full
