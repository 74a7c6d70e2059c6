from __future__ import annotations

import pytest

from edged.telemetry.commit_times import CommitTimes
from edged.telemetry.entries import Entry
from edged.telemetry.lane import Lane
from edged.telemetry.transactions import Evicted, LaneSummary
from tests.edged.telemetry.fake_disk import reading


class Clerk:
    """Three lanes, and the times of their commits."""

    def __init__(self, spill_after_s=3.0):
        self.lanes = tuple(Lane(number) for number in range(3))
        self.times = CommitTimes(self.lanes, spill_after_s)
        for lane in self.lanes:
            lane.go_without_store()

    def accept(self, now_s, *, count=1, pause_s=0.0, **options):
        for at in range(count):
            self.times.accepted_s = now_s + at * pause_s
            self.lanes[1].accept(Entry(reading(at, **options), None, self.times.accepted_s, 0))

    def spill(self):
        part = self.lanes[1].take_write(0, with_appends=True)
        self.lanes[1].written(part, EVICTED)

    def is_due(self, now_s, *, is_linked=True):
        return self.times.spill_is_due(now_s, is_linked=is_linked)


EVICTED = Evicted()


def test_at_the_beginning_of_an_outage_the_broker_is_not_kept_waiting_until_it_drops(clerk):
    times = CommitTimes(clerk.lanes, 3.0, unacked_limit=300)
    clerk.accept(0.0, count=299)
    assert not times.is_enough
    assert not times.spill_is_due(0.3, is_linked=True)
    clerk.accept(0.3)
    assert times.is_enough
    assert times.spill_is_due(0.3, is_linked=True)


@pytest.fixture
def clerk():
    return Clerk()


def test_a_reading_is_due_when_it_has_waited(clerk):
    clerk.accept(1.0)
    assert not clerk.is_due(3.9)
    assert clerk.is_due(4.0)


def test_while_spilling_a_reading_waits_twice_as_long_for_others(clerk):
    clerk.accept(0.0)
    clerk.spill()
    clerk.accept(10.0)
    assert not clerk.is_due(15.9)
    assert clerk.is_due(16.0)


def test_with_a_link_a_reading_has_the_time_its_route_gives_it(clerk):
    clerk.accept(0.0, batch_delay_s=60.0)
    assert not clerk.is_due(62.0)
    assert clerk.is_due(62.0, is_linked=False)
    assert clerk.is_due(63.0)


def test_while_spilling_enough_readings_are_reason_enough(clerk):
    clerk.accept(0.0, count=200)
    assert not clerk.times.is_enough
    clerk.spill()
    assert clerk.times.is_spilling
    clerk.accept(0.0, count=199)
    assert not clerk.times.is_enough
    clerk.accept(0.0)
    assert clerk.times.is_enough
    assert clerk.is_due(0.0)


def test_a_broker_that_sends_no_more_waits_for_acknowledgements(clerk):
    clerk.accept(0.0)
    clerk.spill()
    clerk.accept(1.0, count=20, pause_s=0.001)
    assert not clerk.is_due(1.05)
    assert clerk.is_due(1.08)


def test_a_slow_sensor_is_not_taken_for_a_stalled_broker(clerk):
    clerk.accept(0.0)
    clerk.spill()
    clerk.accept(1.0, count=20, pause_s=0.1)
    assert not clerk.is_due(3.3)


def test_rows_are_deleted_soon_or_when_they_are_many(clerk, monkeypatch):
    monkeypatch.setattr("edged.telemetry.commit_times._ENOUGH_DEAD_ROWS", 3)
    times, dead = clerk.times, clerk.lanes[0].dead
    times.look_for_dead(1.0)
    assert not times.dead_rows_are_due(100.0)
    dead.add(1, 10)
    times.look_for_dead(1.0)
    times.look_for_dead(1.5)
    assert not times.dead_rows_are_due(1.9)
    assert times.dead_rows_are_due(2.0)
    dead.add(2, 10)
    dead.add(3, 10)
    assert times.dead_rows_are_due(1.0)
    times.committed()
    assert not times.dead_rows_are_due(100.0)


def test_a_backlog_from_before_counts_as_spilling(clerk):
    lane = Lane(1)
    lane.opened(LaneSummary(3, 300, 3))
    assert CommitTimes((Lane(0), lane, Lane(2)), 3.0).is_spilling
