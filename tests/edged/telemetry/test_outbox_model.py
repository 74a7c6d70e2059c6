"""The outbox against a list model under random operations: nothing is lost, the order holds, the account is true."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.settings import OutboxSettings
from edged.telemetry.entries import Place
from edged.telemetry.outbox import Outbox
from tests.edged.telemetry.test_outbox import Disk, numbers, reading


class OutboxMachine(RuleBasedStateMachine):
    """Random accepts, sends, answers, writes, failures and crashes, against lists of what must be true."""

    @initialize(
        memory=st.sampled_from([4096, 9000, 100_000]),
        window=st.sampled_from([1, 3, 256]),
        spill=st.sampled_from([0, 5]),
    )
    def start(self, memory, window, spill):
        self.settings = OutboxSettings(memory_bytes=memory, window=window, spill_after_s=spill, max_bytes=1 << 30)
        self.disk = Disk()
        self.now_s = 0.0
        self.next = 0
        self.broker = []  # numbers the broker still has, oldest first
        self.at_hub = []
        self.boot()

    def boot(self):
        self.outbox = Outbox(self.settings)
        self.flying = []
        self.write = None
        self.sent_now = []  # numbers sent since the last failure, in order
        self.outbox.opened(self.disk.summary())
        # The broker brings again what it got no acknowledgement for, even where its row was committed.
        for number in list(self.broker):
            self.take(number)

    def take(self, number):
        def ack():
            assert number in self.broker, "acknowledged twice"
            assert number in self.at_hub or any(r.id.endswith(f"/{number}") for r in self.disk.rows.values()), (
                "acknowledged while it is nowhere safe"
            )
            self.broker.remove(number)

        self.outbox.accept(reading(number, "ab"[number % 2], 40 + number % 60), ack, self.now_s)

    @rule(count=st.integers(1, 30))
    def accept(self, count):
        for _ in range(count):
            if not self.outbox.is_full:
                self.broker.append(self.next)
                self.take(self.next)
                self.next += 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def wait(self, seconds):
        self.now_s += seconds

    @rule()
    def send(self):
        batch = self.outbox.next_batch()
        if batch is not None:
            self.flying.append(batch)
            for number in numbers(batch):
                same = [n for n in self.sent_now if n % 2 == number % 2]
                repeat = number in same or number in self.at_hub
                assert repeat or not same or max(same) < number, "a later reading of the channel overtook"
                self.sent_now.append(number)

    @precondition(lambda self: self.flying)
    @rule()
    def acknowledge(self):
        batch = self.flying.pop(0)
        self.at_hub += numbers(batch)
        self.outbox.settle(batch, self.now_s)

    @precondition(lambda self: self.flying)
    @rule(arrived=st.booleans(), probing=st.booleans())
    def lose_link(self, arrived, probing):
        for batch in self.flying:
            if arrived:
                self.at_hub += numbers(batch)
            self.outbox.retry(batch, probing=probing)
        self.flying = []
        self.sent_now = []

    @precondition(lambda self: self.write is None)
    @rule(everything=st.booleans())
    def begin_write(self, everything):
        self.write = self.outbox.take_write(self.now_s, everything=everything)

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
            self.outbox.loaded(self.disk.read(wanted), self.now_s)

    @rule(committed=st.booleans())
    def crash(self, committed):
        if committed and self.write is not None:
            self.disk.write(self.write)
        self.boot()

    @invariant()
    def nothing_is_lost(self):
        stored = {int(r.id.rsplit("/", 1)[1]) for r in self.disk.rows.values()}
        safe = set(self.broker) | stored | set(self.at_hub)
        assert safe == set(range(self.next))

    @invariant()
    def what_is_to_be_stored_is_counted(self):
        entries = [*self.outbox._head, *self.outbox._tail]
        unstored = [e for e in entries if e.row is None and not e.writing and e.place is not Place.SETTLED]
        assert self.outbox._unstored_count == len(unstored)

    @invariant()
    def the_account_is_true(self):
        stats = self.outbox.stats()
        assert stats.received + stats.recovered == stats.delivered + stats.waiting + sum(stats.dropped.values())
        assert stats.dropped == {}

    def teardown(self):
        if not hasattr(self, "outbox"):
            return
        self.crash(committed=True)
        seen = []
        repeats = set(self.at_hub)
        for _ in range(10_000):
            if not self.outbox.stats().waiting:
                break
            self.read()
            batch = self.outbox.next_batch()
            if batch is not None:
                seen += numbers(batch)
                self.at_hub += numbers(batch)
                self.outbox.settle(batch, self.now_s)
        for channel in range(2):
            first_seen = list(dict.fromkeys(n for n in seen if n % 2 == channel and n not in repeats))
            assert first_seen == sorted(first_seen), "order was lost"
        assert set(self.at_hub) == set(range(self.next))
        assert self.broker == []


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
