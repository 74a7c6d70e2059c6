from __future__ import annotations

import math

from edged.telemetry.expiry import Expiry
from edged.telemetry.lane import Lane
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.transactions import LaneSummary, StoredAge, StoredReading, Swept
from tests.edged.telemetry.fake_disk import reading

OLD = Moment("b", 0, 0, is_set=False)
NOW = Moment("b", 1_000_000, 0, is_set=False)


def expiry_of(max_age_s=100.0, *, opened=()):
    lanes = tuple(Lane(number) for number in range(3))
    for lane in lanes:
        lane.opened(dict(opened).get(lane.number, LaneSummary()))
    return Expiry(lanes, max_age_s), lanes


def test_a_reading_ends_by_its_own_time_or_that_of_all():
    expiry, _ = expiry_of()
    assert expiry.entry(reading(1), None, 5.0).expires_s == 105.0
    assert expiry.entry(reading(1, keep_s=7.0), None, 5.0).expires_s == 12.0
    assert expiry_of(0.0)[0].entry(reading(1), None, 5.0).expires_s == math.inf


def test_one_from_disk_is_as_old_as_it_is_whatever_the_time_of_the_process():
    expiry, _ = expiry_of()
    taken = Moment("b", 960_000, 0, is_set=False)
    entry = expiry.stored_entry(StoredReading(7, reading(1, taken=taken)), 3.0, NOW)
    assert (entry.since_s, entry.expires_s, entry.row) == (-37.0, 63.0, 7)
    assert expiry.stored_entry(StoredReading(7, reading(1)), 3.0, NOW).expires_s == math.inf


def test_what_is_too_old_leaves_memory_and_is_counted():
    expiry, lanes = expiry_of()
    for keep_s in (0.0, 2.0):
        lanes[1].accept(expiry.entry(reading(1, keep_s=keep_s), None, 0.0))
    expiry.drop_from_memory(1.9)
    assert lanes[1].memory_count == 2
    expiry.drop_from_memory(2.0)
    assert (lanes[1].memory_count, lanes[1].dropped["expired"]) == (1, 1)
    expiry.drop_from_memory(100.0)
    assert lanes[1].memory_count == 0


def ages(*taken, keep_s=0.0):
    return tuple(StoredAge(row, 100, keep_s, one) for row, one in enumerate(taken, 1))


def test_a_sweep_goes_on_as_long_as_all_it_finds_is_too_old():
    expiry, lanes = expiry_of(opened={0: LaneSummary(5000, 500_000, 5000), 2: LaneSummary(2, 200, 2)})
    sweep = expiry.take_sweep(0.0)
    assert (sweep.lane, sweep.after_row, sweep.until_row) == (0, 0, 5000)
    expiry.swept(Swept(0, ages(OLD, OLD)), NOW)
    assert lanes[0].dropped["expired"] == 2
    assert expiry.take_sweep(0.0).after_row == 2
    expiry.swept(Swept(0, (StoredAge(3, 100, 0.0, NOW),)), NOW)
    assert expiry.take_sweep(0.0).lane == 2
    expiry.swept(Swept(2, ()), NOW)
    assert expiry.take_sweep(0.0) is None
    assert expiry.take_sweep(29.0) is None
    assert expiry.take_sweep(30.0).lane == 0


def test_where_readings_have_times_of_their_own_all_are_looked_at():
    expiry, _ = expiry_of(0.0, opened={1: LaneSummary(5000, 500_000, 5000, has_own_keeps=True)})
    assert expiry.take_sweep(0.0).lane == 1
    expiry.swept(Swept(1, ages(NO_MOMENT, keep_s=5.0)), NOW)
    assert expiry.take_sweep(0.0).after_row == 1


def test_where_all_are_kept_without_end_nothing_is_looked_at():
    expiry, _ = expiry_of(0.0, opened={1: LaneSummary(5000, 500_000, 5000)})
    assert expiry.take_sweep(0.0) is None
