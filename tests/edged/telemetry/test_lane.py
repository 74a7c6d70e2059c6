"""One lane: what happens where the tiers meet. The outbox model goes through all the rest."""

from __future__ import annotations

import pytest

from edged.telemetry.entries import Entry, OnDisk
from edged.telemetry.lane import Lane
from edged.telemetry.transactions import Evicted, LaneSummary, Loaded, StoredReading
from tests.edged.telemetry.fake_disk import reading

ROW_BYTES = 40 + 64


@pytest.fixture
def lane():
    lane = Lane(1)
    lane.opened(LaneSummary())
    return lane


def accept(lane, *numbers, channel="farm"):
    for number in numbers:
        lane.accept(Entry(reading(number, channel), None, 0.0, 0))


def write(lane, evict_bytes=0):
    part = lane.take_write(evict_bytes, with_appends=True)
    lane.written(part, Evicted())
    return part


def take(lane, count=50, *, live=False):
    return lane.take(0.0, lambda: live, (), count, 1 << 20)


def rows(entries):
    return [entry.row for entry in entries]


def load(lane, *found):
    loaded = Loaded(1, tuple(StoredReading(row, reading(row)) for row in found), {})
    stored, _lost = lane.gap.loaded(loaded)
    lane.load(Entry(one.reading, None, 0.0, one.row) for one in stored)


def test_readings_that_came_before_the_store_was_open_come_after_what_it_holds():
    lane = Lane(1)
    accept(lane, 100, 101)
    assert not lane.has_work(())
    lane.opened(LaneSummary(2, 2 * ROW_BYTES, 7))
    assert not lane.has_work(())
    load(lane, 3, 7)
    taken, is_backlog, _size = take(lane)
    assert (rows(taken), is_backlog) == ([3, 7, 8, 9], False)


def test_what_newer_readings_have_overtaken_stays_late_when_it_no_longer_takes_long(lane):
    accept(lane, 1, 2)
    lane.overtake()
    accept(lane, 3, 4)
    take(lane, 1, live=True)
    lane.line_up()
    accept(lane, 5)
    assert [(rows(taken), late) for taken, late, _ in (take(lane, 2), take(lane, 2))] == [
        ([1, 2], True),
        ([4, 5], False),
    ]


def test_what_had_been_overtaken_before_a_restart_is_late_after_it():
    lane = Lane(1)
    lane.opened(LaneSummary(3, 3 * ROW_BYTES, 9, late_until_row=8))
    load(lane, 3, 7, 9)
    assert [(rows(taken), late) for taken, late, _ in (take(lane, 2), take(lane, 2))] == [([3, 7], True), ([9], False)]
    assert write(lane).late_until_row == 8


def test_what_a_store_holds_that_opens_after_newer_ones_have_gone_comes_late_beside_the_live_ones():
    lane = Lane(1)
    lane.go_without_store()
    accept(lane, 100, 101)
    sent, _is_backlog, _size = take(lane, 1)
    lane.settle(sent)
    lane.opened(LaneSummary(2, 2 * ROW_BYTES, 7))
    accept(lane, 102)
    load(lane, 3, 7)
    late, is_backlog, _size = take(lane)
    assert (rows(late), is_backlog) == ([3, 7], True)
    live, is_backlog, _size = take(lane, live=True)
    assert (rows(live), is_backlog) == ([9, 10], False)


def test_a_few_live_ones_on_disk_stay_live_when_memory_is_short_and_many_do_not(lane):
    accept(lane, *range(20))
    lane.overtake()
    accept(lane, 20)
    write(lane)
    lane.shed(lane.memory_bytes)
    assert lane.live_count == 1
    accept(lane, *range(21, 60))
    write(lane)
    lane.shed(lane.memory_bytes)
    assert lane.live_count == 0


def test_what_leaves_memory_is_the_newest_of_the_backlog_that_is_on_disk(lane):
    accept(lane, 1, 2, 3)
    write(lane)
    accept(lane, 4)
    lane.shed(1)
    assert (lane.gap.count, lane.gap.after_row, lane.memory_count) == (2, 1, 2)
    assert rows(take(lane)[0]) == [1]
    assert not lane.has_work(())
    load(lane, 2, 3)
    assert rows(take(lane)[0]) == [2, 3, 4]


def test_new_readings_overtake_a_backlog_and_line_up_behind_it_when_the_link_goes(lane):
    accept(lane, 1, 2)
    lane.overtake()
    accept(lane, 3, 4)
    assert (lane.backlog_count, lane.live_count, lane.is_overtaking) == (2, 2, True)
    assert [(rows(taken), late) for taken, late, _ in (take(lane, 1, live=True), take(lane, 1))] == [
        ([3], False),
        ([1], True),
    ]
    lane.line_up()
    assert (lane.backlog_count, lane.is_overtaking) == (2, False)
    taken, is_backlog, _size = take(lane)
    assert (rows(taken), is_backlog) == ([2, 4], True)


def test_a_live_reading_that_comes_back_is_live_again(lane):
    accept(lane, 1)
    lane.overtake()
    accept(lane, 2, 3)
    taken, *_ = take(lane, 1, live=True)
    lane.give_back(taken)
    assert rows(take(lane, live=True)[0]) == [2, 3]


def test_what_is_in_flight_while_its_part_leaves_memory_rejoins_the_gap(lane):
    accept(lane, 1, 2, 3, channel="a")
    accept(lane, 4, channel="b")
    write(lane)
    flying, *_ = take(lane, 3)
    lane.shed(0)
    assert rows(lane.gap.flying.values()) == [2, 3]
    assert lane.gap.count == 1
    lane.give_back(flying)
    assert (lane.gap.count, lane.memory_count) == (1, 3)
    assert rows(take(lane)[0]) == [1, 2, 3]


def test_a_gap_that_cannot_be_read_is_passed(lane):
    accept(lane, 1, 2)
    write(lane)
    lane.shed(0)
    accept(lane, 3)
    assert rows(take(lane)[0]) == [1]
    lane.pass_gap()
    taken, is_backlog, _size = take(lane)
    assert (rows(taken), is_backlog) == ([3], False)
    load(lane, 2)
    taken, is_backlog, _size = take(lane)
    assert (rows(taken), is_backlog) == ([2], True)
    assert lane.is_caught_up


def test_the_oldest_goes_first_for_lack_of_room_and_the_gap_before_the_tail(lane):
    accept(lane, 1, 2, 3)
    write(lane)
    lane.shed(1)
    accept(lane, 4, 5)
    assert lane.drop_oldest(ROW_BYTES) == (0, 0)
    assert lane.drop_oldest(ROW_BYTES) == (ROW_BYTES, 0)
    assert lane.drop_oldest(3 * ROW_BYTES) == (2 * ROW_BYTES, 0)
    assert lane.dropped == {"outbox_full": 2}
    assert lane.memory_count == 1


def test_a_failed_write_leaves_all_as_it_was(lane):
    accept(lane, 1, 2)
    part = lane.take_write(0, with_appends=True)
    taken, *_ = take(lane, 1)
    lane.settle(taken)
    lane.write_failed(part)
    assert (lane.unstored_count, lane.unstored_bytes) == (1, ROW_BYTES)
    assert rows(write(lane).appends) == [2]
    assert lane.waiting_disk_bytes == lane.disk_bytes == ROW_BYTES


def test_when_the_file_is_lost_what_is_in_memory_is_written_anew(lane):
    accept(lane, 1, 2, 3)
    write(lane)
    lane.shed(1)
    assert lane.store_lost() == 2
    assert lane.dropped == {"store_corrupt": 2}
    assert rows(write(lane).appends) == [1]
    assert all(entry.on_disk is OnDisk.YES for entry in take(lane)[0])


def test_a_write_says_from_which_row_on_rows_are_needed(lane):
    accept(lane, 1, 2, 3)
    assert write(lane).first_row == 1
    taken, *_ = take(lane, 2)
    lane.settle(taken)
    part = write(lane)
    assert (part.first_row, [(run.first, run.last) for run in part.deletes]) == (3, [(1, 2)])
    lane.settle(take(lane)[0])
    assert write(lane).first_row == 4
