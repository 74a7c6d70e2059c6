"""The queue between the broker and the hub: one road, two tiers. Pure decisions; others do the I/O.

Oldest to newest the queue is: `_head` in memory, whose stored entries come before its others; then the gap, rows
that are on disk only; then `_tail` in memory, which is empty while the gap is. Sending looks at the head only.
Whatever waits too long or too much is written down; what is written down may leave memory; the gap is read back as
the head empties. A reading is acknowledged to the broker when the hub has it or when its row is committed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container
from itertools import chain, islice

from edged.settings import OutboxSettings
from edged.telemetry.entries import (
    Batch,
    Entry,
    Evicted,
    Loaded,
    Place,
    Read,
    StoreSummary,
    TelemetryStats,
    Write,
)
from edged.telemetry.reading import Reading

MAX_BATCH_READINGS = 50
MAX_BATCH_BYTES = 32 * 1024
MAX_MESSAGES_IN_FLIGHT = 8
"""Few, so that under load readings gather into batches; a batch of 50 per message keeps a slow link full."""
_SPILL_AT = 0.75
_KEEP_IN_MEMORY = 0.5
_REFILL_BELOW = 0.25
_ENOUGH_FOR_A_COMMIT = 100
_MAX_DEAD_ROWS = 500
_MAX_DEAD_ROWS_KEPT = 100_000
_DEAD_ROWS_AFTER_S = 1.0


class Outbox:
    """All readings that the hub has not acknowledged. Time is an argument; nothing here waits or fails."""

    def __init__(self, settings: OutboxSettings) -> None:
        self._window = settings.window
        self._max_bytes = settings.max_bytes
        self._memory_limit = min(settings.memory_bytes, settings.max_bytes // 2)
        self._spill_after_s = settings.spill_after_s
        self._head: deque[Entry] = deque()
        self._tail: deque[Entry] = deque()
        self._opened = False
        self._waits_for_store = True
        self._unstored_count = 0
        self._gap_after_row = 0
        self._gap_count = 0
        self._next_row = 1
        self._store_bytes = 0
        self._dead_rows: dict[int, int] = {}
        self._dead_since_s: float | None = None
        self._memory_bytes = 0
        self._in_flight: set[Batch] = set()
        self._in_flight_readings = 0
        self._rewinding = False
        self._probing = False
        self._received = self._recovered = self._delivered = 0
        self._dropped: Counter[str] = Counter()

    # Broker side ----------------------------------------------------------------------------------

    def accept(self, reading: Reading, ack: Callable[[], None], now_s: float) -> None:
        """Take a reading in; `ack` is called once, when the broker may forget it."""
        self._received += 1
        entry = Entry(reading, ack, now_s)
        self._memory_bytes += entry.memory_bytes
        self._unstored_count += 1
        (self._tail if self._gap_count or self._waits_for_store else self._head).append(entry)

    def reject(self, reason: str) -> None:
        """Count a message that could not become a reading."""
        self._received += 1
        self._dropped[reason] += 1

    @property
    def is_full(self) -> bool:
        """Memory is full: no more may be read from the broker."""
        return self._memory_bytes >= self._memory_limit

    @property
    def wants_disk(self) -> bool:
        """Something should be written or read before the next tick."""
        return self._is_worth_a_commit or self.take_read() is not None

    @property
    def has_room(self) -> bool:
        """Memory has emptied enough to read from the broker again: nothing would be spilled for lack of it."""
        return not self._is_crowded

    # Hub side -------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Readings wait that are on disk only."""
        return self._gap_count > 0

    def next_batch(
        self,
        now_s: float = 0.0,
        *,
        max_readings: int = MAX_BATCH_READINGS,
        max_bytes: int = MAX_BATCH_BYTES,
        max_messages: int = MAX_MESSAGES_IN_FLIGHT,
        lane: int = 0,
        not_yet: Container[str] = (),
    ) -> Batch | None:
        """Return the readings to send next, which are then in flight, or None. The oldest always goes first.

        `lane` is the lowest that may go; channels in `not_yet` wait for company.
        """
        allowed = 1 if self._probing else max_messages
        if not self._in_flight:
            self._rewinding = False
        # After a failure everything in flight must have come back before the first is sent again.
        if self._rewinding or len(self._in_flight) >= allowed:
            return None
        taken: list[Entry] = []
        room = min(max_readings, self._window - self._in_flight_readings)
        for entry in islice(self._head, self._window):
            if entry.place is not Place.READY or (taken and entry.reading.channel != taken[0].reading.channel):
                continue
            if entry.reading.lane < lane or entry.reading.channel in not_yet:
                continue
            max_bytes -= entry.reading.size_bytes + 1
            if len(taken) >= room or (taken and max_bytes < 0):
                break
            taken.append(entry)
        if not taken:
            return None
        batch = Batch(taken[0].reading.channel, tuple(taken))
        for entry in taken:
            entry.place = Place.IN_FLIGHT
        self._in_flight.add(batch)
        self._in_flight_readings += len(taken)
        return batch

    def settle(self, batch: Batch, now_s: float) -> None:
        """The hub has acknowledged a batch."""
        self._probing = False
        self._delivered += len(batch.entries)
        self._leave(batch, now_s)

    def refuse(self, batch: Batch, reason: str, now_s: float) -> None:
        """The hub will never take a batch: drop it, counted."""
        self._probing = False
        self._dropped[reason] += len(batch.entries)
        self._leave(batch, now_s)

    def retry(self, batch: Batch, *, probing: bool = False) -> None:
        """A batch may not have arrived: send again from the first that is not settled, with the same ids.

        With `probing`, one message at a time until one is acknowledged: the hub answers, but with errors.
        """
        self._land(batch)
        for entry in batch.entries:
            entry.place = Place.READY
        self._rewinding = True
        self._probing = self._probing or probing

    def _land(self, batch: Batch) -> None:
        self._in_flight.remove(batch)
        self._in_flight_readings -= len(batch.entries)

    def _leave(self, batch: Batch, now_s: float) -> None:
        self._land(batch)
        for entry in batch.entries:
            self._settle_entry(entry, now_s)
        self._pop_settled()

    def _pop_settled(self) -> None:
        while self._head and self._head[0].place is Place.SETTLED:
            self._head.popleft()

    def _settle_entry(self, entry: Entry, now_s: float) -> None:
        self._unstored_count -= _is_unstored(entry)
        entry.place = Place.SETTLED
        self._memory_bytes -= entry.memory_bytes
        _acknowledge(entry)
        if entry.row is not None:
            self._bury(entry.row, entry.row_bytes, now_s)

    def _bury(self, row: int, size_bytes: int, now_s: float) -> None:
        self._dead_rows[row] = size_bytes
        if self._dead_since_s is None:
            self._dead_since_s = now_s

    # Disk side: one write or read at a time ---------------------------------------------------------

    def opened(self, summary: StoreSummary) -> None:
        """The store is open; what it holds is older than all that has been accepted so far."""
        self._opened = True
        self._waits_for_store = False
        if summary.count:
            # Where the store opened late, what is not in flight yet queues up behind its rows.
            self._tail.extendleft(entry for entry in reversed(self._head) if entry.place is Place.READY)
            self._head = deque(entry for entry in self._head if entry.place is not Place.READY)
        self._gap_after_row = 0
        self._gap_count = summary.count
        self._store_bytes = summary.total_bytes
        self._next_row = summary.last_row + 1
        self._recovered += summary.count
        self._close_gap()

    def store_unavailable(self) -> None:
        """The store cannot be opened for now: go on in memory; what it holds comes later, out of order."""
        self._waits_for_store = False
        self._close_gap()

    def take_write(self, now_s: float, *, everything: bool = False) -> Write | None:
        """Return the transaction that is due, or None. Answer with `written` or `write_failed`."""
        if not self._opened:
            return None
        due = everything or self._spill_is_due(now_s)
        if not due and not self._dead_rows_are_due(now_s):
            return None
        unstored = [entry for entry in chain(self._head, self._tail) if _is_unstored(entry)] if due else []
        evict_bytes = self._make_room(sum(entry.row_bytes for entry in unstored), now_s)
        if not unstored and not self._dead_rows:
            return None
        for entry in unstored:
            entry.writing = True
        self._unstored_count -= len(unstored)
        appends = tuple((self._next_row + index, entry) for index, entry in enumerate(unstored))
        return Write(appends, dict(self._dead_rows), evict_bytes, self._gap_after_row)

    def written(self, write: Write, evicted: Evicted, now_s: float) -> None:
        """The transaction is on disk for good."""
        for row, size_bytes in write.deletes.items():
            del self._dead_rows[row]
            self._store_bytes -= size_bytes
        self._dead_since_s = now_s if self._dead_rows else None
        if evicted.count:
            self._dropped["outbox_full"] += evicted.count
            self._gap_count -= evicted.count
            self._gap_after_row = evicted.last_row
            self._store_bytes -= evicted.total_bytes
        for row, entry in write.appends:
            entry.writing = False
            entry.row = row
            self._next_row = row + 1
            self._store_bytes += entry.row_bytes
            if entry.place is Place.SETTLED:
                self._bury(row, entry.row_bytes, now_s)
            else:
                _acknowledge(entry)
        self._trim()
        self._close_gap()

    def write_failed(self, write: Write) -> None:
        """Nothing of the transaction is on disk."""
        for _row, entry in write.appends:
            entry.writing = False
            self._unstored_count += _is_unstored(entry)

    def take_read(self) -> Read | None:
        """Return the rows to read back, or None. Answer with `loaded`."""
        refill_bytes = int(self._memory_limit * _REFILL_BELOW)
        if not self._gap_count or len(self._head) >= self._window or len(self._dead_rows) >= _MAX_DEAD_ROWS_KEPT:
            return None
        if sum(entry.memory_bytes for entry in self._head) > refill_bytes:
            return None
        return Read(self._gap_after_row, self._window, max(1, refill_bytes))

    def loaded(self, found: Loaded, now_s: float) -> None:
        """The oldest rows of the gap are back in memory."""
        for stored in found.rows:
            entry = Entry(stored.reading, None, now_s, row=stored.row)
            self._memory_bytes += entry.memory_bytes
            self._head.append(entry)
        for row, size_bytes in found.damaged.items():
            self._dropped["store_corrupt"] += 1
            self._bury(row, size_bytes, now_s)
        looked_at = len(found.rows) + len(found.damaged)
        self._gap_after_row = max(self._gap_after_row, found.last_row)
        if not looked_at:
            # The store counts more rows than it has.
            self._dropped["store_corrupt"] += self._gap_count
            looked_at = self._gap_count
        self._gap_count = max(0, self._gap_count - looked_at)
        self._close_gap()

    @property
    def is_store_spent(self) -> bool:
        """The store has rows, and all of them are dead."""
        if self._gap_count or not self._dead_rows:
            return False
        return all(entry.row is None or entry.place is Place.SETTLED for entry in chain(self._head, self._tail))

    def store_lost(self) -> int:
        """The store was set aside: what was on disk only is gone and its number returned; the rest is written anew."""
        lost = self._gap_count
        if lost:
            self._dropped["store_corrupt"] += lost
        self._gap_count = self._gap_after_row = self._store_bytes = 0
        self._next_row = 1
        self._dead_rows.clear()
        self._dead_since_s = None
        for entry in chain(self._head, self._tail):
            entry.row = None
        self._unstored_count = sum(1 for entry in chain(self._head, self._tail) if _is_unstored(entry))
        self._close_gap()
        return lost

    def stats(self) -> TelemetryStats:
        """Return the account so far."""
        in_memory = sum(1 for entry in chain(self._head, self._tail) if entry.place is not Place.SETTLED)
        waiting = in_memory + self._gap_count
        return TelemetryStats(
            self._received, self._recovered, self._delivered, waiting, self._gap_count, dict(self._dropped)
        )

    # How the tiers are kept -------------------------------------------------------------------------

    @property
    def _is_crowded(self) -> bool:
        return self._memory_bytes >= self._memory_limit * _SPILL_AT

    @property
    def _is_worth_a_commit(self) -> bool:
        """Spilling should not wait for its time.

        The broker sends a limited number ahead of our acknowledgements, so once the oldest reading is on disk, which
        is to say that the uplink is down, each further one waiting for its time would hold up those behind it.
        """
        if self._is_crowded:
            return True
        is_spilling = bool(self._gap_count or (self._head and self._head[0].row is not None))
        return is_spilling and self._unstored_count >= _ENOUGH_FOR_A_COMMIT

    def _spill_is_due(self, now_s: float) -> bool:
        if not self._unstored_count:
            return False
        if self._is_worth_a_commit:
            return True
        oldest = next(entry for entry in chain(self._head, self._tail) if _is_unstored(entry))
        return now_s - oldest.accepted_s >= self._spill_after_s

    def _dead_rows_are_due(self, now_s: float) -> bool:
        if self._dead_since_s is None:
            return False
        return len(self._dead_rows) >= _MAX_DEAD_ROWS or now_s - self._dead_since_s >= _DEAD_ROWS_AFTER_S

    def _make_room(self, new_bytes: int, now_s: float) -> int:
        """Drop the oldest stored readings of the head for new ones; return the bytes the gap has to give."""
        excess = self._store_bytes - sum(self._dead_rows.values()) + new_bytes - self._max_bytes
        for entry in self._head:
            if excess <= 0 or _is_unstored(entry):
                break
            if entry.place is Place.READY:
                excess -= entry.row_bytes
                self._dropped["outbox_full"] += 1
                self._settle_entry(entry, now_s)
        self._pop_settled()
        return max(0, excess) if self._gap_count else 0

    def _trim(self) -> None:
        """Let stored entries leave memory: all of the tail's, and the head's newest while memory is over its share."""
        if not self._gap_count and self._memory_bytes > self._memory_limit * _KEEP_IN_MEMORY:
            self._open_gap()
        while self._gap_count and self._tail and self._tail[0].row is not None:
            entry = self._tail.popleft()
            self._memory_bytes -= entry.memory_bytes
            self._gap_count += 1

    def _open_gap(self) -> None:
        unstored: deque[Entry] = deque()
        while self._head and self._head[-1].row is None and self._head[-1].place is Place.READY:
            unstored.appendleft(self._head.pop())
        keep_bytes = self._memory_limit * _KEEP_IN_MEMORY
        while self._memory_bytes > keep_bytes and len(self._head) > 1:
            entry = self._head[-1]
            if entry.row is None or entry.place is not Place.READY:
                break
            self._head.pop()
            self._memory_bytes -= entry.memory_bytes
            self._gap_count += 1
            self._gap_after_row = entry.row - 1
        (self._tail if self._gap_count else self._head).extend(unstored)

    def _close_gap(self) -> None:
        if self._tail and not self._gap_count and not self._waits_for_store:
            self._head.extend(self._tail)
            self._tail.clear()


def _is_unstored(entry: Entry) -> bool:
    return entry.row is None and not entry.writing and entry.place is not Place.SETTLED


def _acknowledge(entry: Entry) -> None:
    if entry.ack is not None:
        entry.ack()
        entry.ack = None
