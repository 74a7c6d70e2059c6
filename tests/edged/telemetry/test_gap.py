from __future__ import annotations

import pytest

from edged.telemetry.entries import Entry
from edged.telemetry.gap import Gap
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.row_runs import RowRuns
from edged.telemetry.transactions import Evicted, LaneSummary, Loaded, StoredAge, StoredReading, Swept
from tests.edged.telemetry.fake_disk import reading


def entry(row):
    return Entry(reading(row), None, 0.0, row)


def found(*rows, damaged=()):
    stored = tuple(StoredReading(row, reading(row)) for row in rows)
    return Loaded(1, stored, dict.fromkeys(damaged, 104))


@pytest.fixture
def gap():
    gap = Gap(RowRuns())
    for row in (5, 6, 8):
        gap.enter(entry(row))
    return gap


def test_its_ends_are_those_of_what_entered(gap):
    assert (gap.after_row, gap.until_row, gap.count, gap.total_bytes) == (4, 8, 3, 3 * 104)
    assert [row for row in range(12) if gap.holds(row)] == [5, 6, 7, 8]


def test_what_is_read_leaves_it_and_what_is_damaged_is_dead(gap):
    rows, lost = gap.loaded(found(5, damaged=[6]))
    assert [stored.row for stored in rows] == [5]
    assert (lost, gap.count, gap.after_row) == (1, 1, 6)
    assert 6 in gap._dead


def test_rows_that_are_dead_or_in_flight_are_passed_over(gap):
    gap._dead.add(7, 104)
    flying = entry(4)
    gap.after_row = 3
    gap.fly(flying)
    rows, lost = gap.loaded(found(4, 5, 6, 7, 8))
    assert [stored.row for stored in rows] == [5, 6, 8]
    assert (lost, gap.count) == (0, 0)
    gap.land(flying)
    assert not flying.is_in_gap


def test_what_is_not_there_is_lost(gap):
    assert gap.loaded(found()) == ([], 0)
    assert gap.lose() == 3
    assert gap.count == gap.total_bytes == 0


def test_rows_in_flight_are_spared_by_an_eviction_unless_they_come_back_meanwhile(gap):
    flying = entry(7)
    gap.fly(flying)
    assert gap.eviction(0) is None
    eviction = gap.eviction(200)
    assert (eviction.after_row, eviction.until_row, eviction.spared) == (4, 8, {7})
    gap.land(flying)
    gap.rejoin(flying)
    assert gap.evicted(Evicted(3, 3 * 104, 8)) == 4
    assert gap.count == 0
    assert 7 in gap._dead


def test_a_sweep_takes_what_is_too_old_by_its_own_time_or_that_of_all(gap):
    now = Moment("b", 100_000, 0, is_set=False)
    taken = Moment("b", 50_000, 0, is_set=False)
    ages = StoredAge(5, 104, 0.0, taken), StoredAge(6, 104, 60.0, taken), StoredAge(8, 104, 40.0, NO_MOMENT)
    assert gap.swept(Swept(1, ages), 40.0, now) == (1, False)
    assert (gap.count, gap.swept_row) == (2, 8)
    assert 5 in gap._dead
    assert gap.swept(Swept(1, ages[1:2]), 0.0, Moment("b", 111_000, 0, is_set=False)) == (1, True)


def test_when_the_file_is_lost_what_was_in_flight_is_in_memory_again():
    gap = Gap(RowRuns())
    gap.opened(LaneSummary(2, 208, 9))
    assert (gap.count, gap.until_row) == (2, 9)
    for row in (9, 7):
        gap.fly(entry(row))
    assert [one.row for one in gap.clear_flying()] == [7, 9]
    assert not gap.flying
    assert gap.lose() == 2
