"""The readings of one priority: a head in memory, a gap on disk only, a tail in memory. Pure decisions, no I/O.

Oldest to newest a lane is: the head; the gap, rows that are on disk only; the tail, which is empty while the gap is.
Sending looks at the head. Where the backlog would take too long, what comes from now on is live: a stream of its own
that is sent beside the head, until the link goes and it becomes the newest of the backlog.
Rows in memory that have one are older than those that have none. What is in flight stays in the order of its stream;
if that part of the order leaves memory meanwhile, the entry is in flight only, and else in the gap.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain

from edged.telemetry.entries import MEMORY_OVERHEAD_BYTES, ROW_OVERHEAD_BYTES, Entry, OnDisk, Place
from edged.telemetry.gap import Gap
from edged.telemetry.row_runs import RowRuns
from edged.telemetry.stream import Stream, tidied
from edged.telemetry.transactions import Evicted, LaneSummary, LaneWrite

_SETTLED = Place.SETTLED


class Lane:
    """Owns its entries from the broker to the hub. Whether it may send, write or drop is decided by the outbox."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.memory_bytes = 0
        self.memory_count = 0
        self.unstored_count = 0
        self.unstored_bytes = 0
        self.disk_bytes = 0
        self.dead = RowRuns()
        self.gap = Gap(self.dead)
        self.dropped: Counter[str] = Counter()
        self.has_own_keeps = False
        self.disk_count = 0
        self._next_row = 1
        self._live_from_row = 0
        self._late_until_row = 0  # Newer ones have gone: what is older and waits still is late, whatever becomes of it.
        self._waits_for_store = True
        self._head = Stream()
        self._tail = Stream()
        self._live: Stream | None = None
        self._newest = self._tail
        self._unstored: deque[Entry] = deque()

    # Broker side ------------------------------------------------------------------------------------

    def accept(self, entry: Entry) -> None:
        """Take in the newest reading, and give it its place."""
        size_bytes = entry.reading.size_bytes
        entry.row = self._next_row
        self._next_row += 1
        self.memory_bytes += size_bytes + MEMORY_OVERHEAD_BYTES
        self.memory_count += 1
        self.unstored_count += 1
        self.unstored_bytes += size_bytes + ROW_OVERHEAD_BYTES
        self._unstored.append(entry)
        self._newest.append(entry)

    # Hub side ---------------------------------------------------------------------------------------

    @property
    def backlog_count(self) -> int:
        """What waits and is not live."""
        return self._head.count + self._tail.count + self.gap.count

    @property
    def live_count(self) -> int:
        """What waits and may go beside the backlog."""
        return self._live.count if self._live is not None else 0

    @property
    def is_overtaking(self) -> bool:
        """New readings do not wait for the backlog."""
        return self._live is not None

    @property
    def head_bytes(self) -> int:
        """What is ready in memory to be sent before the gap."""
        return self._head.memory_bytes

    def has_work(self, not_yet: Container[str]) -> bool:
        """Say whether there is a message to send, channels left out that are not to be sent yet."""
        live = self._live
        return self._head.next_channel(not_yet) is not None or (
            live is not None and live.next_channel(not_yet) is not None
        )

    def take(
        self, now_s: float, is_live_next: Callable[[], bool], not_yet: Container[str], max_readings: int, max_bytes: int
    ) -> tuple[list[Entry], bool, int]:
        """Take the readings of the next message, where it `has_work`; say whether they are late; and their bytes."""
        stream = self._head
        channel = stream.next_channel(not_yet)
        if self._live is not None:
            live_channel = self._live.next_channel(not_yet)
            if live_channel is not None and (channel is None or is_live_next()):
                stream, channel = self._live, live_channel
        if channel is None:
            return [], False, 0
        taken, expired, size_bytes = stream.take(channel, now_s, max_readings, max_bytes)
        self.drop(expired, "expired")
        if stream is not self._live:
            is_late = self._live is not None or (bool(taken) and taken[0].row < self._late_until_row)
            return taken, is_late, size_bytes
        if taken and not self.is_caught_up:
            self._late_until_row = taken[-1].row
        return taken, False, size_bytes

    def overtake(self) -> None:
        """From now on what comes is live, and all that waits is backlog."""
        if not self._waits_for_store:
            self.line_up()
            self._live = self._newest = Stream()
            self._live_from_row = self._next_row

    def pass_gap(self) -> None:
        """The gap cannot be read: what is behind it in memory is live."""
        if self.gap.count and not self._head.count and self._tail.count:
            self.line_up()
            self._live = self._newest = self._tail
            self._tail = Stream()
            self._live_from_row = self.gap.until_row + 1

    def line_up(self) -> None:
        """What was live is the newest of the backlog from now on."""
        if self._live is not None:
            self._newest = self._tail if self.gap.count else self._head
            self._newest.absorb(self._live)
            self._live = None

    @property
    def is_caught_up(self) -> bool:
        """Nothing of the backlog is left to send."""
        return not self.gap.count and not self._head.count

    def settle(self, entries: Iterable[Entry]) -> None:
        """They need no more care: the hub has them, or nobody ever will."""
        for entry in entries:
            entry.place = _SETTLED
            size_bytes = entry.reading.size_bytes
            self.memory_bytes -= size_bytes + MEMORY_OVERHEAD_BYTES
            self.memory_count -= 1
            if entry.on_disk is OnDisk.NO:
                self.unstored_count -= 1
                self.unstored_bytes -= size_bytes + ROW_OVERHEAD_BYTES
            elif entry.on_disk is OnDisk.YES:
                self.dead.add(entry.row, size_bytes + ROW_OVERHEAD_BYTES)
            if entry.is_in_gap:
                self.gap.land(entry)
            if entry.ack is not None:
                ack, entry.ack = entry.ack, None
                ack()
        for stream in self._streams:
            stream.tidy(self.memory_count)
        self._unstored = tidied(self._unstored, self.unstored_count)

    def drop(self, entries: Iterable[Entry], reason: str) -> None:
        """Settle and count what the hub will not get."""
        dropped = list(entries)
        if dropped:
            self.dropped[reason] += len(dropped)
            self.settle(dropped)

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Make ready what was in flight, oldest first. All that was in flight has come back by now."""
        returned: dict[Stream, list[Entry]] = {}
        outsiders: dict[Stream, list[Entry]] = {}
        for entry in entries:
            stream = self._stream_of(entry.row)
            if entry.is_in_gap:
                self.gap.land(entry)
                if self.gap.holds(entry.row):
                    self._leave_memory(entry)
                    self.gap.rejoin(entry)
                    continue
                outsiders.setdefault(stream, []).append(entry)
            returned.setdefault(stream, []).append(entry)
        for stream, some in outsiders.items():
            stream.readmit(some)
        for stream, some in returned.items():
            stream.put_back(some)

    def _stream_of(self, row: int) -> Stream:
        if self._live is not None and row >= self._live_from_row:
            return self._live
        if self._waits_for_store or (self.gap.count and row > self.gap.after_row):
            return self._tail
        return self._head

    @property
    def _streams(self) -> Iterator[Stream]:
        yield self._head
        yield self._tail
        if self._live is not None:
            yield self._live

    def _leave_memory(self, entry: Entry) -> None:
        self.memory_bytes -= entry.memory_bytes
        self.memory_count -= 1

    # Disk side --------------------------------------------------------------------------------------

    def opened(self, summary: LaneSummary) -> None:
        """The store is open; what it holds is older than all that has been accepted so far."""
        # Some that are newer have gone: what is in the store comes late.
        is_late = self.memory_count < self._next_row - 1
        for entry in chain.from_iterable(self._streams):
            entry.row += summary.last_row
        self._next_row += summary.last_row
        self._live_from_row += summary.last_row
        self._late_until_row = max(
            self._late_until_row and self._late_until_row + summary.last_row, summary.late_until_row
        )
        self.disk_count = summary.count
        self.disk_bytes = summary.total_bytes
        self.has_own_keeps = summary.has_own_keeps
        if summary.count:
            self.line_up()
            self._head.absorb(self._tail)
            self._head, self._tail = Stream(), self._head
            self._newest = self._tail
            self.gap.opened(summary)
            if is_late:
                self._live, self._tail = self._tail, Stream()
                self._live_from_row = summary.last_row + 1
        self.go_without_store()

    def go_without_store(self) -> None:
        """Do not wait for the store; what it holds comes later, out of order."""
        self._waits_for_store = False
        self._close_gap()

    @property
    def oldest(self) -> Entry | None:
        """The oldest in memory."""
        return next((entry for stream in self._streams if (entry := stream.oldest) is not None), None)

    @property
    def oldest_unstored(self) -> Entry | None:
        """The oldest that no transaction has yet."""
        unstored = self._unstored
        while unstored and unstored[0].place is _SETTLED:
            unstored.popleft()
        return unstored[0] if unstored else None

    @property
    def is_spilling(self) -> bool:
        """The oldest is on disk: the uplink is down, or too slow."""
        return self.gap.count > 0 or self._head.begins_on_disk

    @property
    def waiting_disk_bytes(self) -> int:
        """Bytes of rows that are not done with."""
        return self.disk_bytes - self.dead.total_bytes

    def drop_oldest(self, wanted_bytes: int) -> tuple[int, int]:
        """Drop the oldest for about so many bytes of rows; return what the gap has to give, and what is left to get."""
        gap_bytes = 0
        for stream in self._streams:
            found = stream.pop_oldest(wanted_bytes)
            self.drop(found, "outbox_full")
            wanted_bytes = max(0, wanted_bytes - sum(entry.row_bytes for entry in found))
            if stream is self._head:
                gap_bytes = min(wanted_bytes, self.gap.total_bytes)
                wanted_bytes -= gap_bytes
        return gap_bytes, wanted_bytes

    def drop_expired(self, now_s: float) -> None:
        """Drop what is in memory, waits, and is too old."""
        for stream in self._streams:
            self.drop(stream.pop_expired(now_s), "expired")

    @property
    def soonest_expiry_s(self) -> float:
        """When the next one in memory is too old."""
        return min((entry.expires_s for entry in chain.from_iterable(self._streams)), default=math.inf)

    def take_write(self, evict_bytes: int, *, with_appends: bool) -> LaneWrite:
        """Return what a transaction is to do for this lane. Answer with `written` or `write_failed`."""
        appends: list[Entry] = []
        added_bytes = 0
        if with_appends:
            appends = [entry for entry in self._unstored if entry.place is not _SETTLED]
            added_bytes = self.unstored_bytes
            self._unstored.clear()
            self.unstored_count = self.unstored_bytes = 0
        for entry in appends:
            entry.on_disk = OnDisk.WRITING
        count = self.disk_count + len(appends) - self.dead.count
        total_bytes = self.disk_bytes + added_bytes - self.dead.total_bytes
        self.has_own_keeps = count > 0 and (self.has_own_keeps or any(entry.reading.keep_s for entry in appends))
        eviction = self.gap.eviction(evict_bytes)
        deletes = self.dead.take()
        needed = [oldest.row for stream in self._streams if (oldest := stream.oldest) is not None]
        needed += [self.gap.after_row + 1] if self.gap.count else []
        first_row = min(*needed, *self.gap.flying, self._next_row, self._next_row)
        own_keeps, late_row = self.has_own_keeps, self._late_until_row
        return LaneWrite(
            self.number, tuple(appends), deletes, first_row, eviction, count, total_bytes, own_keeps, late_row
        )

    def written(self, part: LaneWrite, evicted: Evicted) -> None:
        """The transaction is on disk for good."""
        self.dead.gone()
        self.disk_count = part.total_count - evicted.count
        self.disk_bytes = part.total_bytes - evicted.total_bytes
        for entry in part.appends:
            entry.on_disk = OnDisk.YES
            if entry.place is _SETTLED:
                self.dead.add(entry.row, entry.row_bytes)
            elif entry.ack is not None:
                ack, entry.ack = entry.ack, None
                ack()
        self.lose(self.gap.evicted(evicted), "outbox_full")
        if self.gap.count:
            self._into_gap(self._tail.pop_stored())

    def write_failed(self, part: LaneWrite) -> None:
        """Nothing of the transaction is on disk, as far as is known."""
        self.dead.stay()
        again = [entry for entry in part.appends if entry.place is not _SETTLED]
        for entry in part.appends:
            entry.on_disk = OnDisk.NO
        self._unstored.extendleft(reversed(again))
        self.unstored_count += len(again)
        self.unstored_bytes += sum(entry.row_bytes for entry in again)

    def load(self, entries: Iterable[Entry]) -> None:
        """The oldest rows of the gap are back in memory."""
        for entry in entries:
            entry.on_disk = OnDisk.YES
            self.memory_bytes += entry.memory_bytes
            self.memory_count += 1
            self._head.append(entry)
        self._close_gap()

    def lose_gap(self) -> int:
        """The gap should have rows, and there are none; return how many."""
        self.disk_count -= self.gap.count
        self.disk_bytes -= self.gap.total_bytes
        return self.gap.lose()

    def lose(self, count: int, reason: str) -> None:
        """Count what was on disk only and is gone."""
        if count:
            self.dropped[reason] += count
        self._close_gap()

    def shed(self, keep_bytes: int) -> None:
        """Let what is on disk leave memory: the newest of the backlog, down to about so many bytes of it."""
        live = self._live
        if live is not None and live.begins_on_disk and 2 * live.memory_bytes > keep_bytes:
            # Fewer stay live: as backlog they would wait behind all of it.
            self.overtake()
        if self.gap.count:
            self._into_gap(self._tail.pop_stored())
            return
        on_disk, unstored = self._head.split(keep_bytes)
        has_gap = self._into_gap(on_disk)
        (self._tail if has_gap else self._head).extend(unstored)
        if has_gap and self._live is None:
            self._newest = self._tail

    def store_lost(self) -> int:
        """The store was set aside: what was on disk only is gone and its number returned; the rest is written anew."""
        lost = self.gap.lose()
        self._head.readmit(self.gap.clear_flying())
        self.dead.clear()
        self.disk_bytes = self.disk_count = 0
        self._unstored = deque(chain.from_iterable(self._streams))
        for entry in self._unstored:
            entry.on_disk = OnDisk.NO
        self.unstored_count = len(self._unstored)
        self.unstored_bytes = sum(entry.row_bytes for entry in self._unstored)
        self.lose(lost, "store_corrupt")
        return lost

    def _into_gap(self, entries: Iterable[Entry]) -> bool:
        for entry in entries:
            if entry.place is Place.READY:
                self._leave_memory(entry)
                self.gap.enter(entry)
            else:
                self.gap.fly(entry)
        return self.gap.count > 0

    def _close_gap(self) -> None:
        if self.gap.count or self._waits_for_store:
            return
        if self._tail.oldest is not None:
            self._head.absorb(self._tail)
            self._tail = Stream()
        if self._live is None:
            self._newest = self._head
