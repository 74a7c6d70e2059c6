"""The outbox, its spiller and a real SQLite file, under random operations, a disk that lies, and kills.

A commit may fail and be on disk after all, or nobody can say for a while. Whatever happens: nothing is lost that is not
counted, nothing is sent twice without a reason, the order holds in each lane, and the counts are true.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.errors import StoreError
from edged.settings import OutboxSettings
from edged.telemetry import store as store_module
from edged.telemetry.entries import OnDisk
from edged.telemetry.moments import Moment
from edged.telemetry.outbox import Outbox
from edged.telemetry.spill import Spiller
from edged.telemetry.store import Store
from tests.edged.telemetry.fake_disk import number_of, numbers, reading

GOOD, REFUSES, LIES = "good", "refuses", "lies"
TRANSACTION = store_module._transaction


class DiskStore(Store):
    """A file on a disk that fails on command."""

    disk = GOOD
    is_readable = True

    def write(self, write, account=b""):
        @contextmanager
        def failing(db):
            if self.disk == REFUSES:
                with TRANSACTION(db):
                    yield
                    raise io_error()
            with TRANSACTION(db):
                yield
            if self.disk == LIES:
                raise io_error()

        store_module._transaction = failing
        try:
            return super().write(write, account)
        finally:
            store_module._transaction = TRANSACTION

    def _connect(self):
        db = super()._connect()
        db.execute("PRAGMA synchronous = OFF")  # A kill leaves what the kernel has.
        return db

    def _open_db(self, **options):
        if not self.is_readable:
            self._is_suspect = True
            raise StoreError("the disk does not answer")
        return super()._open_db(**options)


def io_error():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


class StoreMachine(RuleBasedStateMachine):
    """Random accepts, sends, answers, rounds of the spiller, faults of the disk, stops and kills."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="edged-outbox-model-"))
        self.runner = asyncio.Runner()
        self.outbox = None

    @initialize(
        memory=st.sampled_from([4096, 20_000, 100_000]),
        room=st.sampled_from([12_000, 1 << 30]),
        catch_up=st.sampled_from([0.0, 0.003, 1000.0]),
        segment=st.sampled_from([300, 3000, 1 << 20]),
    )
    def start(self, memory, room, catch_up, segment):
        self.settings = OutboxSettings(
            memory_bytes=memory, max_bytes=room, spill_after_s=0, max_age_s=0, catch_up_s=catch_up
        )
        self.segment_bytes = segment
        self.now_s = 0.0
        self.next = 0
        self.lives = 0
        self.broker = {}  # numbers that were not acknowledged, in order
        self.at_hub = set()
        self.may_repeat = set()
        self.dropped_before = 0
        self.boot()

    def boot(self):
        self.lives += 1
        self.outbox = Outbox(self.settings)
        self.store = DiskStore(self.folder / str(self.lives) / "outbox.db")
        for segments in self.store._segments:
            segments._max_bytes = self.segment_bytes
        self.spiller = Spiller(
            self.outbox,
            self.store,
            spill_after_s=0,
            on_change=lambda: None,
            retry_after_s=0,
            now=lambda: Moment("boot", 1000, 1000, is_set=True),
            clock=lambda: self.now_s,
        )
        self.flying = []
        self.sent_now = {}
        self.work()
        # The broker brings again what it got no acknowledgement for, even where its row was committed.
        self.may_repeat |= set(self.broker)
        for number in list(self.broker):
            self.take(number)

    def end(self):
        self.dropped_before += sum(self.outbox.stats().dropped.values())
        self.spiller._thread.shutdown()
        self.store.close()

    def take(self, number):
        def ack():
            del self.broker[number]
            if number not in self.at_hub:
                self.acked_from_disk.add(number)

        one = reading(number, "ab"[number % 2], 40 + number % 60, lane=number % 3)
        self.outbox.accept(one, ack, self.now_s)

    @rule(count=st.integers(1, 30))
    def accept(self, count):
        for _ in range(count):
            if not self.outbox.is_full:
                self.broker[self.next] = None
                self.take(self.next)
                self.next += 1

    @rule(rounds=st.integers(1, 12))
    def outage(self, rounds):
        for _ in range(rounds):
            self.accept(10)
            self.work()

    @rule(max_readings=st.sampled_from([1, 5, 50]))
    def send(self, max_readings):
        batch = self.outbox.next_batch(self.now_s, max_readings=max_readings)
        if batch is None:
            return
        self.flying.append(batch)
        same = self.sent_now.setdefault((batch.lane, batch.channel, batch.is_backlog), [])
        for number in numbers(batch):
            assert number not in same or number in self.may_repeat, "sent twice"
            assert number not in self.at_hub or number in self.may_repeat, "sent again"
            assert number in self.may_repeat or not same or max(same) < number, "a later one overtook"
            same.append(number)

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 8))
    def acknowledge(self, count):
        for batch in self.flying[:count]:
            self.at_hub |= set(numbers(batch))
            self.outbox.settle(batch, self.now_s)
        del self.flying[:count]

    @precondition(lambda self: self.flying)
    @rule(arrived=st.booleans(), is_down=st.booleans())
    def fail(self, arrived, is_down):
        if is_down:
            self.outbox.link_lost()
        for batch in self.flying:
            self.may_repeat |= set(numbers(batch))
            if arrived:
                self.at_hub |= set(numbers(batch))
            self.outbox.retry(batch)
        self.flying = []
        self.sent_now = {}

    @rule(seconds=st.sampled_from([0.1, 2.0]))
    def wait(self, seconds):
        self.now_s += seconds

    @rule()
    def work(self):
        self.acked_from_disk = set()
        if not self.runner.run(self.spiller._work(everything=False)):
            self.sent_now = {}  # the gap could not be read: what is behind it may go first
        if self.acked_from_disk:
            dropped = sum(self.outbox.stats().dropped.values())
            assert len(self.acked_from_disk - self.stored) <= dropped, "acknowledged, but not on disk"

    @property
    def stored(self):
        """What another process would find in the file now, and what was delivered while it was written."""
        copy = self.copied()
        found = set()
        for lane, summary in enumerate(copy.open().lanes):
            read = store_module.Read(lane, 0, summary.last_row, 1 << 30, 1 << 40)
            loaded = copy.read(read)
            assert len(loaded.rows) == summary.count, "the file counts rows that it has not got"
            found |= {number_of(row.reading) for row in loaded.rows}
        copy.close()
        return found

    def copied(self):
        folder = self.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.store.path.parent, folder)
        return DiskStore(folder / "outbox.db")

    @rule(disk=st.sampled_from([GOOD, REFUSES, LIES]), is_readable=st.booleans())
    def disk_changes(self, disk, is_readable):
        self.store.disk = disk
        self.store.is_readable = is_readable or disk == GOOD

    @rule()
    def stop_and_start(self):
        self.store.disk, self.store.is_readable = GOOD, True
        self.runner.run(self.spiller._write_the_rest())
        assert not self.broker, "a stop writes down all that waits"
        self.again()

    @rule()
    def kill(self):
        self.again()

    def again(self):
        """Start the next life with what the file is at this moment."""
        before = self.folder / str(self.lives)
        shutil.copytree(before, self.folder / str(self.lives + 1))
        gone_before = self.outbox.stats().waiting
        stored = self.stored
        self.end()
        shutil.rmtree(before)
        self.boot()
        assert self.outbox.stats().waiting <= gone_before + len(stored) + len(self.broker)
        # What a transaction dropped of which this process never heard is missing: the account of all lives counts it.
        self.unheard |= self.vanished if self.settings.max_bytes < 1 << 30 else set()
        self.may_repeat |= stored

    unheard: set = set()  # noqa: RUF012 - replaced, never changed

    @property
    def vanished(self):
        lanes = self.outbox._lanes
        entries = [entry for lane in lanes for stream in lane._streams for entry in stream]
        entries += [entry for lane in lanes for entry in lane.gap.flying.values()]
        in_memory = {number_of(entry.reading) for entry in entries}
        return set(range(self.next)) - self.at_hub - set(self.broker) - in_memory - self.stored

    @invariant()
    def nothing_vanishes_uncounted(self):
        if self.outbox is None:
            return
        dropped = self.dropped_before + sum(self.outbox.stats().dropped.values())
        assert set(self.outbox.stats().dropped) <= {"outbox_full"}
        assert len(self.vanished - self.unheard) <= dropped

    @invariant()
    def the_counts_are_true(self):
        if self.outbox is None:
            return
        stats = self.outbox.stats(self.now_s)
        assert stats.unexplained == 0
        if self.spiller._doubtful is None:
            for lane in self.outbox._lanes:
                entries = [entry for stream in lane._streams for entry in stream] + list(lane.gap.flying.values())
                on_disk = {entry.row for entry in entries if entry.on_disk is OnDisk.YES}
                assert lane.disk_count - lane.dead.count == len(on_disk) + lane.gap.count

    def teardown(self):
        if self.outbox is not None:
            self.drain()
            self.end()
        self.runner.close()
        shutil.rmtree(self.folder)

    def drain(self):
        self.store.disk, self.store.is_readable = GOOD, True
        if self.flying:
            self.fail(arrived=False, is_down=False)
        for _ in range(5000):
            if not self.outbox.stats().waiting:
                break
            self.work()
            self.send(50)
            while self.flying:
                self.acknowledge(1)
        assert self.outbox.stats().waiting == 0
        assert not self.broker
        self.now_s += 10
        self.work()
        assert self.stored == set(), "rows that are done with are still there"
        self.nothing_vanishes_uncounted()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = hypothesis_settings(max_examples=25, stateful_step_count=30, deadline=None)
