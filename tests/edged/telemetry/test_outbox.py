"""The outbox: order, acknowledgement, tiers and bounds."""

from __future__ import annotations

import pytest

from edged.settings import OutboxSettings
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.outbox import MAX_BATCH_READINGS, MAX_MESSAGES_IN_FLIGHT, Outbox
from edged.telemetry.reading import HIGH, LOW
from edged.telemetry.transactions import LaneSummary, Loaded, StoredReading, StoreSummary
from tests.edged.telemetry.fake_disk import Disk, numbers, read_back, reading, spill

EMPTY = StoreSummary()


class Acks:
    def __init__(self):
        self.seen = []

    def __call__(self, number):
        return lambda: self.seen.append(number)


@pytest.fixture
def acks():
    return Acks()


def opened(**settings):
    outbox = Outbox(OutboxSettings(**settings))
    outbox.opened(EMPTY)
    return outbox


def test_a_healthy_uplink_writes_nothing_to_disk(acks):
    outbox = opened(spill_after_s=3)
    for n in range(5):
        outbox.accept(reading(n), acks(n), 0.0)
    batch = outbox.next_batch()
    assert numbers(batch) == [0, 1, 2, 3, 4]
    assert acks.seen == []
    outbox.settle(batch, 0.1)
    assert acks.seen == [0, 1, 2, 3, 4]
    assert outbox.take_write(10.0) is None


def test_a_batch_holds_one_channel_in_order_and_is_bounded(acks):
    outbox = opened()
    for n in range(120):
        outbox.accept(reading(n, "ab"[n % 2]), acks(n), 0.0)
    first, second = outbox.next_batch(), outbox.next_batch()
    assert (first.channel, second.channel) == ("a", "b")
    assert numbers(first) == list(range(0, 100, 2))
    assert len(second.entries) == MAX_BATCH_READINGS
    small = outbox.next_batch(max_bytes=100)
    assert numbers(small) == [100, 102]


def test_a_reading_larger_than_a_batch_goes_alone(acks):
    outbox = opened()
    outbox.accept(reading(1, size=40_000), acks(1), 0.0)
    outbox.accept(reading(2), acks(2), 0.0)
    assert numbers(outbox.next_batch(max_bytes=1000)) == [1]


def test_no_more_is_in_flight_than_the_message_limit(acks):
    outbox = opened()
    for n in range(MAX_MESSAGES_IN_FLIGHT + 1):
        outbox.accept(reading(n), acks(n), 0.0)
        sent = outbox.next_batch()
    assert sent is None


def test_after_a_failure_sending_starts_over_at_the_first_unsettled_once_all_have_come_back(acks):
    outbox = opened()
    batches = []
    for n in range(4):
        outbox.accept(reading(n), acks(n), 0.0)
        batches.append(outbox.next_batch())
    outbox.settle(batches[0], 0.0)
    outbox.retry(batches[1])
    assert outbox.next_batch() is None
    outbox.retry(batches[2])
    outbox.settle(batches[3], 0.0)
    again = outbox.next_batch()
    assert numbers(again) == [1, 2]
    assert [e.reading.id for e in again.entries] == ["g/boot/1", "g/boot/2"]
    outbox.settle(again, 0.0)
    assert acks.seen == [0, 3, 1, 2]
    assert outbox.stats().waiting == 0


def test_a_hub_that_answers_with_errors_is_probed_with_one_message(acks):
    outbox = opened()
    for n in range(2):
        outbox.accept(reading(n, f"c{n}"), acks(n), 0.0)
    batch = outbox.next_batch()
    outbox.retry(batch, probing=True)
    probe = outbox.next_batch()
    assert numbers(probe) == [0]
    assert outbox.next_batch() is None
    outbox.settle(probe, 0.0)
    assert numbers(outbox.next_batch()) == [1]


def test_a_refused_batch_is_dropped_counted_and_acknowledged(acks):
    outbox = opened()
    outbox.accept(reading(0, "no"), acks(0), 0.0)
    outbox.accept(reading(1, "yes"), acks(1), 0.0)
    outbox.refuse(outbox.next_batch(), "channel_not_authorized", 0.0)
    outbox.reject("too_large")
    assert acks.seen == [0]
    assert numbers(outbox.next_batch()) == [1]
    stats = outbox.stats()
    assert stats.dropped == {"channel_not_authorized": 1, "too_large": 1}
    assert stats.received == stats.delivered + stats.waiting + sum(stats.dropped.values())


def test_what_waits_too_long_is_written_down_in_one_transaction_and_only_then_acknowledged(acks):
    outbox, disk = opened(spill_after_s=3), Disk()
    for n in range(3):
        outbox.accept(reading(n), acks(n), float(n))
    in_flight = outbox.next_batch()
    assert outbox.take_write(2.9) is None
    write = outbox.take_write(3.0)
    assert [e.reading.id for e in write.lanes[1].appends] == ["g/boot/0", "g/boot/1", "g/boot/2"]
    assert acks.seen == []
    outbox.written(write, disk.write(write), 3.1)
    assert acks.seen == [0, 1, 2]
    outbox.settle(in_flight, 4.0)
    assert acks.seen == [0, 1, 2]
    assert outbox.take_write(4.5) is None
    spill(outbox, disk, 5.1)
    assert disk.rows == {}


def test_a_reading_settled_while_it_is_written_is_deleted_afterwards(acks):
    outbox, disk = opened(spill_after_s=0), Disk()
    outbox.accept(reading(0), acks(0), 0.0)
    batch = outbox.next_batch()
    write = outbox.take_write(1.0)
    outbox.settle(batch, 1.0)
    outbox.written(write, disk.write(write), 1.0)
    assert acks.seen == [0]
    spill(outbox, disk, 3.0)
    assert disk.rows == {}


def test_a_failed_write_acknowledges_nothing_and_is_tried_again(acks):
    outbox, disk = opened(spill_after_s=0), Disk()
    outbox.accept(reading(0), acks(0), 0.0)
    outbox.write_failed(outbox.take_write(0.0))
    assert acks.seen == []
    assert numbers(outbox.next_batch()) == [0]
    spill(outbox, disk, 1.0)
    assert acks.seen == [0]


def test_full_memory_asks_for_a_pause_until_half_of_it_is_free(acks):
    outbox = opened(memory_bytes=10_000)
    n = 0
    while not outbox.is_full:
        outbox.accept(reading(n), acks(n), 0.0)
        n += 1
    assert not outbox.has_room
    assert outbox.wants_disk
    while not outbox.has_room:
        outbox.settle(outbox.next_batch(max_bytes=100), 0.0)
    assert outbox.stats().waiting > 0


def test_a_pause_never_waits_for_the_time_of_a_spill(acks):
    outbox, disk = opened(memory_bytes=20_000, spill_after_s=3600), Disk()
    n = 0
    # The broker may have sent some more before it was paused.
    for sent_ahead in (0, 5, 10):
        while not outbox.is_full:
            outbox.accept(reading(n), acks(n), 0.0)
            n += 1
        write = outbox.take_write(0.0)
        for _ in range(sent_ahead):
            outbox.accept(reading(n), acks(n), 0.0)
            n += 1
        outbox.written(write, disk.write(write), 0.0)
        assert outbox.has_room or outbox.take_write(0.0) is not None


def test_once_the_oldest_is_on_disk_two_hundred_more_are_reason_enough_for_a_commit(acks):
    outbox, disk = opened(spill_after_s=3), Disk()
    for n in range(100):
        outbox.accept(reading(n), acks(n), 0.0)
    assert not outbox.wants_disk
    assert outbox.take_write(2.9) is None
    spill(outbox, disk, 3.0)
    for n in range(100, 299):
        outbox.accept(reading(n), acks(n), 3.0)
    assert not outbox.wants_disk
    assert outbox.take_write(3.0) is None
    outbox.accept(reading(299), acks(299), 3.0)
    assert outbox.wants_disk
    spill(outbox, disk, 3.0)
    assert len(acks.seen) == 300


def test_a_store_is_spent_when_all_its_rows_are_dead(acks):
    outbox, disk = opened(spill_after_s=0), Disk()
    assert not outbox.is_store_spent
    outbox.accept(reading(0), acks(0), 0.0)
    spill(outbox, disk, 0.0)
    batch = outbox.next_batch()
    assert not outbox.is_store_spent
    outbox.settle(batch, 0.0)
    outbox.accept(reading(1), acks(1), 0.0)
    assert outbox.is_store_spent
    assert outbox.store_lost() == 0
    assert not outbox.is_store_spent
    spill(outbox, Disk(), 0.0)
    assert acks.seen == [0, 1]


def test_rows_that_cannot_be_deleted_do_not_fill_memory(acks, monkeypatch):
    monkeypatch.setattr("edged.telemetry.outbox._MAX_RUNS_KEPT", 3)
    disk = Disk()
    disk.rows = {row: reading(row, size=1000) for row in range(1, 40, 2)}
    outbox = Outbox(OutboxSettings(memory_bytes=8000))
    outbox.opened(disk.summary())
    sent = []
    while (read := outbox.take_read()) is not None:
        outbox.loaded(disk.read(read), 0.0, NO_MOMENT)
        while (batch := outbox.next_batch()) is not None:
            sent += numbers(batch)
            outbox.settle(batch, 0.0)
    assert sent == [1, 3, 5]
    spill(outbox, disk, 1.0)
    assert outbox.take_read() is not None


def test_what_is_written_leaves_memory_and_comes_back_in_order(acks):
    outbox, disk = opened(memory_bytes=20_000, spill_after_s=0), Disk()
    for n in range(200):
        outbox.accept(reading(n), acks(n), 0.0)
        if outbox.wants_disk:
            spill(outbox, disk, 0.0)
    assert outbox.stats().waiting == 200
    assert outbox.stats().waiting_on_disk > 100
    order = []
    while outbox.stats().waiting:
        read_back(outbox, disk)
        batch = outbox.next_batch()
        order += numbers(batch)
        outbox.settle(batch, 0.0)
    assert order == list(range(200))
    assert sorted(acks.seen) == list(range(200))
    spill(outbox, disk, 10.0)
    assert disk.rows == {}


def test_beyond_its_bound_the_store_drops_the_oldest_and_counts_them(acks):
    outbox, disk = opened(memory_bytes=16_000, max_bytes=65_536, spill_after_s=0), Disk()
    for n in range(1500):
        outbox.accept(reading(n), acks(n), 0.0)
        spill(outbox, disk, 0.0)
    stats = outbox.stats()
    assert stats.dropped["outbox_full"] > 500
    assert stats.received == stats.waiting + stats.dropped["outbox_full"]
    assert disk.summary().lanes[1].total_bytes <= 65_536
    left = sorted(int(r.id.rsplit("/", 1)[1]) for r in disk.rows.values())
    assert left == list(range(1500 - stats.waiting, 1500))


def test_after_a_start_the_stored_go_first(acks):
    disk = Disk()
    disk.rows = {7: reading(70), 9: reading(90)}
    outbox = Outbox(OutboxSettings(spill_after_s=0))
    outbox.accept(reading(100), acks(100), 0.0)
    assert outbox.next_batch() is None
    assert outbox.take_write(1.0) is None
    outbox.opened(disk.summary())
    assert outbox.next_batch() is None
    read_back(outbox, disk)
    assert numbers(outbox.next_batch()) == [70, 90, 100]
    spill(outbox, disk, 1.0)
    assert sorted(disk.rows) == [7, 9, 10]
    assert outbox.stats().recovered == 2


def test_a_store_that_opens_late_does_not_hold_up_what_is_in_memory(acks):
    disk = Disk()
    disk.rows = {7: reading(70)}
    outbox = Outbox(OutboxSettings(spill_after_s=0))
    outbox.accept(reading(100), acks(100), 0.0)
    outbox.store_unavailable()
    first = outbox.next_batch()
    assert numbers(first) == [100]
    outbox.accept(reading(101), acks(101), 0.0)
    assert outbox.take_write(1.0) is None
    outbox.opened(disk.summary())
    assert outbox.next_batch() is None
    outbox.settle(first, 1.0)
    read_back(outbox, disk, 1.0)
    assert numbers(outbox.next_batch()) == [70, 101]


def test_damaged_rows_are_counted_and_deleted(acks):
    outbox, disk = Outbox(OutboxSettings()), Disk()
    disk.rows = {1: reading(1), 2: reading(2)}
    outbox.opened(disk.summary())
    outbox.take_read()
    outbox.loaded(Loaded(1, (StoredReading(1, reading(1)),), {2: 104}), 0.0, NO_MOMENT)
    assert numbers(outbox.next_batch()) == [1]
    spill(outbox, disk, 5.0)
    assert sorted(disk.rows) == [1]
    assert outbox.stats().dropped == {"store_corrupt": 1}


def test_rows_that_the_store_counts_but_has_not_are_given_up(acks):
    outbox = Outbox(OutboxSettings())
    outbox.opened(StoreSummary((LaneSummary(), LaneSummary(3, 300, 3), LaneSummary())))
    outbox.accept(reading(9), acks(9), 0.0)
    outbox.loaded(Loaded(1, (), {}), 0.0, NO_MOMENT)
    assert numbers(outbox.next_batch()) == [9]
    stats = outbox.stats()
    assert stats.dropped == {"store_corrupt": 3}
    # The next start must not count them again.
    assert stats.stored == stats.disk_bytes == 0


def test_a_lost_store_costs_what_was_on_disk_only(acks):
    outbox, disk = opened(memory_bytes=20_000, spill_after_s=0), Disk()
    for n in range(100):
        outbox.accept(reading(n), acks(n), 0.0)
        if outbox.wants_disk:
            spill(outbox, disk, 0.0)
    on_disk_only = outbox.stats().waiting_on_disk
    assert outbox.store_lost() == on_disk_only > 0
    disk = Disk()
    spill(outbox, disk, 1.0, everything=True)
    assert len(disk.rows) == outbox.stats().waiting == 100 - on_disk_only
    assert outbox.stats().dropped == {"store_corrupt": on_disk_only}


def test_a_higher_lane_goes_first_and_a_lower_one_is_not_starved(acks):
    outbox = opened()
    for n in range(30):
        outbox.accept(reading(n, lane=HIGH if n else LOW), acks(n), 0.0)
    sent = [numbers(outbox.next_batch(max_readings=1, max_messages=99))[0] for _ in range(10)]
    assert sent[0] == 1
    assert 0 in sent[:8]
    assert outbox.next_batch(max_messages=99, lane=LOW + 1) is not None


def test_a_lane_can_be_kept_back(acks):
    outbox = opened()
    outbox.accept(reading(1), acks(1), 0.0)
    assert outbox.next_batch(lane=HIGH) is None
    assert outbox.next_batch(not_yet={"farm"}) is None
    assert numbers(outbox.next_batch()) == [1]


def test_for_lack_of_room_the_lowest_lane_is_dropped_first(acks):
    outbox, disk = opened(memory_bytes=30_000, max_bytes=65_536, spill_after_s=0), Disk()
    for n in range(1500):
        outbox.accept(reading(n, lane=n % 3), acks(n), 0.0)
        spill(outbox, disk, 0.0)
    lanes = outbox.stats().lanes
    assert lanes["low"].waiting == 0
    assert lanes["low"].dropped == {"outbox_full": 500}
    assert lanes["normal"].dropped["outbox_full"] > 0
    assert lanes["high"].dropped == {}
    assert lanes["high"].waiting == 500


def backlog_of(count, **settings):
    disk = Disk()
    disk.rows = {row: reading(row) for row in range(1, count + 1)}
    outbox = Outbox(OutboxSettings(**settings))
    outbox.opened(disk.summary())
    return outbox, disk


def sent_late(outbox, disk, count):
    """Send so many messages; return whether each was of the backlog."""
    late = []
    for _ in range(count):
        read_back(outbox, disk)
        batch = outbox.next_batch(max_readings=10)
        late.append(batch.is_backlog)
        outbox.settle(batch, 0.0)
    return late


def test_a_short_backlog_keeps_its_order(acks):
    outbox, disk = backlog_of(500)
    outbox.accept(reading(1000), acks(1000), 0.0)
    assert sent_late(outbox, disk, 51) == [False] * 51
    assert outbox.stats().waiting == 0


def test_beside_a_long_backlog_new_readings_get_their_share(acks):
    outbox, disk = backlog_of(500, catch_up_s=0.02)
    read_back(outbox, disk)
    first = outbox.next_batch(max_readings=10)
    assert first.is_backlog
    outbox.settle(first, 0.0)
    assert outbox.stats().is_overtaking
    for n in range(1000, 1040):
        outbox.accept(reading(n), acks(n), 0.0)
    assert sorted(sent_late(outbox, disk, 8)) == [False] * 4 + [True] * 4
    assert acks.seen == list(range(1000, 1040))
    outbox.accept(reading(1040), acks(1040), 0.0)
    outbox.link_lost()
    assert not outbox.stats().is_overtaking


def test_a_backlog_that_is_gone_ends_the_overtaking(acks):
    outbox, disk = backlog_of(60, catch_up_s=0.01)
    assert sent_late(outbox, disk, 6) == [True] * 6
    outbox.accept(reading(1000), acks(1000), 0.0)
    assert sent_late(outbox, disk, 1) == [False]
    assert not outbox.stats().is_overtaking


def test_what_waits_too_long_is_dropped_wherever_it_waits(acks):
    outbox, disk = opened(max_age_s=100, spill_after_s=0, memory_bytes=4096), Disk()
    taken = Moment("b", 0, 0, is_set=False)
    for n in range(20):
        outbox.accept(reading(n, keep_s=10 if n == 19 else 0, taken=taken), acks(n), 0.0)
    spill(outbox, disk, 0.0)
    on_disk = outbox.stats().waiting_on_disk
    assert on_disk > 0
    outbox.accept(reading(20, keep_s=10, taken=taken), acks(20), 0.0)
    assert outbox.take_sweep(50.0) is not None
    assert outbox.stats().dropped == {"expired": 1}
    assert acks.seen[-1] == 20
    while outbox.stats().waiting:
        read_back(outbox, disk, 100.0, Moment("b", 100_000, 0, is_set=False))
        assert outbox.next_batch(100.0) is None
    assert outbox.stats().dropped == {"expired": 21}
    spill(outbox, disk, 110.0)
    assert disk.stored == []


def test_a_sweep_drops_rows_that_nobody_reads(acks):
    outbox, disk = backlog_of(2500, max_age_s=100)
    disk.rows = {row: reading(row, taken=Moment("b", 1000 * row, 0, is_set=False)) for row in range(1, 2501)}
    now = Moment("b", 1_600_000, 0, is_set=False)
    for _ in range(5):
        if (sweep := outbox.take_sweep(0.0)) is not None:
            outbox.swept(disk.sweep(sweep), 0.0, now)
    assert outbox.stats().dropped == {"expired": 1500}
    spill(outbox, disk, 2.0)
    assert min(disk.rows) == 1501


def test_a_disk_without_room_for_others_gets_back_free_pages_and_nothing_that_waits_is_dropped(acks):
    outbox, disk = opened(spill_after_s=0), Disk()
    for n in range(10):
        outbox.accept(reading(n, lane=n % 2), acks(n), 0.0)
    spill(outbox, disk, 0.0)
    outbox.accept(reading(10), acks(10), 1.0)
    write = spill(outbox, disk, 1.0, short_bytes=150)
    assert write.shrinks
    assert spill(outbox, disk, 2.0, short_bytes=1 << 30) is None
    assert 10 not in acks.seen
    assert len(disk.stored) == 10
    spill(outbox, disk, 4.0)
    assert acks.seen[-1] == 10
    assert outbox.stats().dropped == {}


def test_what_cannot_be_read_is_passed_by_what_is_in_memory(acks):
    outbox, disk = backlog_of(5)
    outbox.accept(reading(9), acks(9), 0.0)
    assert outbox.next_batch() is None
    outbox.read_failed()
    assert numbers(outbox.next_batch()) == [9]
    read_back(outbox, disk)
    late = outbox.next_batch()
    assert late.is_backlog
    assert numbers(late) == [1, 2, 3, 4, 5]


def test_the_account_says_what_waits_where_and_how_long(acks):
    outbox, disk = opened(spill_after_s=0), Disk()
    outbox.accept(reading(1, lane=HIGH), acks(1), 10.0)
    outbox.accept(reading(2), acks(2), 20.0)
    spill(outbox, disk, 20.0)
    outbox.next_batch()
    stats = outbox.stats(25.0)
    assert (stats.oldest_waiting_s, stats.lanes["normal"].oldest_waiting_s) == (15.0, 5.0)
    assert (stats.in_flight, stats.waiting, stats.written_bytes, stats.disk_bytes) == (1, 2, 100, 208)
    assert outbox.in_flight_bytes == 41


def test_readings_that_went_out_are_not_kept_behind_one_that_waits_for_company(acks):
    outbox = opened(spill_after_s=3600)
    outbox.accept(reading(0, "hourly", batch_delay_s=3000.0), acks(0), 0.0)
    for n in range(1, 20_000):
        outbox.accept(reading(n, "live"), acks(n), 0.0)
        outbox.settle(outbox.next_batch(0.0, not_yet={"hourly"}), 0.0)
        outbox.wants_write(0.0)
    (_low, lane, _high) = outbox._lanes
    assert lane.oldest_unstored is lane.oldest
    assert len(lane._unstored) < 2000
