"""The outbox against lists of what must be true, under random operations.

Nothing vanishes that is not counted, the order holds, and the account is true after every step: with three lanes,
times to live, too little room, failing disks, lost links, lost files and crashes.
"""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.settings import OutboxSettings
from edged.telemetry.entries import OnDisk, Place
from edged.telemetry.moments import Moment
from edged.telemetry.outbox import Outbox
from tests.edged.telemetry.fake_disk import Disk, number_of, numbers, reading


class OutboxMachine(RuleBasedStateMachine):
    """Random accepts, sends, answers, writes, failures and crashes."""

    @initialize(
        memory=st.sampled_from([4096, 20_000, 100_000]),
        room=st.sampled_from([12_000, 1 << 30]),
        spill=st.sampled_from([0, 5]),
        age=st.sampled_from([0.0, 30.0]),
        keep=st.sampled_from([0.0, 8.0]),
        catch_up=st.sampled_from([0.0, 0.003, 1000.0]),
    )
    def start(self, memory, room, spill, age, keep, catch_up):
        self.settings = OutboxSettings(
            memory_bytes=memory, max_bytes=room, spill_after_s=spill, max_age_s=age, catch_up_s=catch_up
        )
        self.keep_s = keep
        self.may_drop = room < 1 << 30 or age or keep
        self.disk = Disk()
        self.now_s = 0.0
        self.next = 0
        self.broker = []  # numbers the broker still has, oldest first
        self.at_hub = set()
        self.acked_unsafe = 0
        self.dropped_before = 0
        self.boots = 0
        self.brought_again = set()
        self.forgiven = set()  # only in memory when the process died, because the file had been lost before
        self.has_lost_file = False
        self.outbox = None
        self.boot()

    def boot(self):
        if self.outbox is not None:
            self.dropped_before += self.dropped_now
            if self.has_lost_file:
                self.forgiven |= self.lost
        self.has_lost_file = False
        self.boots += 1
        self.outbox = Outbox(self.settings)
        self.flying = []
        self.write = None
        self.sent_now = {}  # what was sent since the last failure, in order
        self.outbox.opened(self.disk.summary())
        # The broker brings again what it got no acknowledgement for, even where its row was committed.
        for number in list(self.broker):
            self.brought_again.add(number)
            self.take(number)

    @property
    def moment(self):
        return Moment(f"boot-{self.boots}", int(self.now_s * 1000), int(self.now_s * 1000), is_set=True)

    @property
    def dropped_now(self):
        return sum(self.outbox.stats().dropped.values())

    @property
    def lost(self):
        return set(range(self.next)) - set(self.broker) - self.stored - self.at_hub

    @property
    def in_memory(self):
        entries = [entry for lane in self.outbox._lanes for stream in lane._streams for entry in stream]
        return {number_of(entry.reading) for entry in entries if entry.on_disk is not OnDisk.YES}

    @property
    def stored(self):
        return {number_of(one) for one in self.disk.stored}

    def take(self, number):
        def ack():
            assert number in self.broker, "acknowledged twice"
            if number not in self.at_hub and number not in self.stored:
                self.acked_unsafe += 1
            self.broker.remove(number)

        keep_s = self.keep_s if number % 7 == 0 else 0.0
        one = reading(number, "ab"[number % 2], 40 + number % 60, lane=number % 3, keep_s=keep_s, taken=self.moment)
        self.outbox.accept(one, ack, self.now_s)

    @rule(count=st.integers(1, 30))
    def accept(self, count):
        for _ in range(count):
            if not self.outbox.is_full:
                self.broker.append(self.next)
                self.take(self.next)
                self.next += 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 20.0]))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(max_readings=st.sampled_from([1, 5, 50]), lane=st.sampled_from([0, 0, 2]))
    def send(self, max_readings, lane):
        batch = self.outbox.next_batch(self.now_s, max_readings=max_readings, lane=lane)
        if batch is None:
            return
        self.flying.append(batch)
        same = self.sent_now.setdefault((batch.lane, batch.channel, batch.is_backlog), [])
        for number in numbers(batch):
            assert number % 3 == batch.lane >= lane
            repeat = number in same or number in self.at_hub or number in self.brought_again
            assert repeat or not same or max(same) < number, "a later reading of the topic overtook"
            same.append(number)

    @precondition(lambda self: self.flying)
    @rule()
    def acknowledge(self):
        batch = self.flying.pop(0)
        self.at_hub |= set(numbers(batch))
        self.outbox.settle(batch, self.now_s)

    @precondition(lambda self: self.flying)
    @rule(arrived=st.booleans(), probing=st.booleans(), is_down=st.booleans())
    def fail(self, arrived, probing, is_down):
        if is_down:
            self.outbox.link_lost()
        for batch in self.flying:
            if arrived:
                self.at_hub |= set(numbers(batch))
            self.outbox.retry(batch, probing=probing)
        self.flying = []
        self.sent_now = {}

    @precondition(lambda self: self.write is None)
    @rule(everything=st.booleans(), short_bytes=st.sampled_from([0, 0, 0, 600]))
    def begin_write(self, everything, short_bytes):
        self.write = self.outbox.take_write(self.now_s, everything=everything, short_bytes=short_bytes)

    @precondition(lambda self: self.write is not None)
    @rule(works=st.booleans())
    def end_write(self, works):
        if works:
            self.outbox.written(self.write, self.disk.write(self.write), self.now_s)
        else:
            self.outbox.write_failed(self.write)
        self.write = None

    @precondition(lambda self: self.write is None)
    @rule()
    def read(self):
        wanted = self.outbox.take_read()
        if wanted is not None:
            self.outbox.loaded(self.disk.read(wanted), self.now_s, self.moment)

    @precondition(lambda self: self.write is None)
    @rule()
    def sweep(self):
        wanted = self.outbox.take_sweep(self.now_s)
        if wanted is not None:
            self.outbox.swept(self.disk.sweep(wanted), self.now_s, self.moment)

    @precondition(lambda self: self.write is None)
    @rule()
    def cannot_read(self):
        self.outbox.read_failed()
        self.sent_now = {}

    @precondition(lambda self: self.write is None)
    @rule()
    def lose_the_file(self):
        self.may_drop = self.has_lost_file = True
        self.disk = Disk()
        self.outbox.store_lost()
        self.outbox.opened(self.disk.summary())

    @rule(committed=st.booleans())
    def crash(self, committed):
        if committed and self.write is not None:
            # The account of all lives finds that these are missing.
            evicted = self.disk.write(self.write).evicted.values()
            self.dropped_before += sum(lane.count for lane in evicted)
        self.boot()

    @invariant()
    def what_vanished_is_counted(self):
        dropped = self.dropped_before + self.dropped_now
        assert len(self.lost - self.forgiven - self.in_memory) <= dropped
        assert self.acked_unsafe <= dropped
        assert self.may_drop or not dropped

    @invariant()
    def sums_are_right(self):
        for lane in self.outbox._lanes:
            entries = {entry.row: entry for stream in lane._streams for entry in stream} | lane.gap.flying
            unstored = [entry for entry in entries.values() if entry.on_disk is OnDisk.NO]
            assert lane.unstored_count == len(unstored)
            assert lane.unstored_bytes == sum(entry.row_bytes for entry in unstored)
            assert lane.memory_count == len(entries)
            stored = [entry for entry in entries.values() if entry.on_disk is OnDisk.YES]
            assert lane.disk_count - lane.dead.count == len(stored) + lane.gap.count
            assert lane.memory_bytes == sum(entry.memory_bytes for entry in entries.values())
            for stream in lane._streams:
                ready = [entry for entry in stream if entry.place is Place.READY]
                assert stream.count == len(ready) == sum(map(len, stream._queues.values()))
                assert stream.size_bytes == sum(entry.reading.size_bytes for entry in ready)
                rows = [entry.row for entry in stream]
                assert rows == sorted(rows)

    @invariant()
    def the_account_is_true(self):
        stats = self.outbox.stats(self.now_s)
        assert stats.received + stats.recovered == stats.delivered + stats.waiting + sum(stats.dropped.values())
        assert stats.in_flight == sum(len(batch.entries) for batch in self.flying)
        assert self.outbox.in_flight_bytes == sum(batch.size_bytes for batch in self.flying)

    def teardown(self):
        if getattr(self, "outbox", None) is None:
            return
        self.crash(committed=True)
        self.has_lost_file = False
        seen = []
        repeats = self.at_hub | self.brought_again
        for _ in range(10_000):
            if not self.outbox.stats().waiting:
                break
            self.read()
            batch = self.outbox.next_batch(self.now_s)
            if batch is not None:
                seen += [(number, batch.is_backlog) for number in numbers(batch)]
                self.at_hub |= set(numbers(batch))
                self.outbox.settle(batch, self.now_s)
        for kind in range(6):
            for late in (False, True):
                same = [number for number, is_late in seen if number % 6 == kind and is_late == late]
                first_seen = list(dict.fromkeys(number for number in same if number not in repeats))
                assert first_seen == sorted(first_seen), "order was lost"
        assert self.outbox.stats().waiting == 0
        assert self.broker == []
        self.what_vanished_is_counted()


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = hypothesis_settings(max_examples=200, stateful_step_count=40, deadline=None)
