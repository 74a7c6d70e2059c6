"""The queue between the broker and the hub: one road, two tiers, three lanes. Pure decisions; others do the I/O.

Each lane is a queue in memory and on disk (see lane.py). Here is what they share: the memory, the disk, the link.
Whatever waits too long or too much is written down; what is written down may leave memory; what left is read back
before its turn comes. A reading is acknowledged to the broker when the hub has it or when its row is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container

from edged.settings import OutboxSettings
from edged.telemetry.commit_times import UNACKED_LIMIT, CommitTimes
from edged.telemetry.entries import LANE_NAMES, Batch, LaneStats, TelemetryStats
from edged.telemetry.expiry import Expiry
from edged.telemetry.lane import Lane
from edged.telemetry.moments import Moment
from edged.telemetry.reading import Reading
from edged.telemetry.schedule import LaneTurns, LinkRate, LiveShare
from edged.telemetry.transactions import Committed, Evicted, Loaded, Read, StoreSummary, Sweep, Swept, Write

MAX_BATCH_READINGS = 50
MAX_BATCH_BYTES = 32 * 1024
MAX_MESSAGES_IN_FLIGHT = 8
_SPILL_AT = 0.75
_KEEP_IN_MEMORY = 0.5
_READ_AHEAD = 0.25
_MAX_RUNS_KEPT = 20_000


class Outbox:
    """All readings that the hub has not acknowledged. Time is an argument; nothing here waits or fails."""

    def __init__(self, settings: OutboxSettings, unacked_limit: int = UNACKED_LIMIT) -> None:
        self._max_bytes = settings.max_bytes
        self._memory_limit = min(settings.memory_bytes, settings.max_bytes // 2)
        self._crowded_bytes = int(self._memory_limit * _SPILL_AT)
        self._live_share = settings.live_share
        self._catch_up_s = settings.catch_up_s
        self._lanes = tuple(Lane(number) for number in range(len(LANE_NAMES)))
        self._expiry = Expiry(self._lanes, settings.max_age_s)
        self._times = CommitTimes(self._lanes, settings.spill_after_s, unacked_limit)
        self._turns = LaneTurns(len(self._lanes))
        self._share = LiveShare(settings.live_share)
        self._rate = LinkRate()
        self._opened = False
        self._is_linked = False
        self._in_flight: set[Batch] = set()
        self._returned: list[Batch] = []
        self._probing = False
        self.in_flight_readings = 0
        self.in_flight_bytes = 0
        self._received = self._recovered = self._delivered = 0
        self._rejected: Counter[str] = Counter()
        self._has_shrunk = False
        self._written_bytes = 0

    # Broker side ----------------------------------------------------------------------------------

    def accept(self, reading: Reading, ack: Callable[[], None], now_s: float) -> None:
        """Take a reading in; `ack` is called once, when the broker may forget it."""
        self._received += 1
        self._times.accepted_s = now_s
        self._lanes[reading.lane].accept(self._expiry.entry(reading, ack, now_s))

    def reject(self, reason: str) -> None:
        """Count a message that could not become a reading."""
        self._received += 1
        self._rejected[reason] += 1

    @property
    def is_full(self) -> bool:
        """Memory is full: no more may be read from the broker."""
        return self._memory_bytes >= self._memory_limit

    @property
    def has_room(self) -> bool:
        """Memory has emptied enough to read from the broker again: nothing would be spilled for lack of it."""
        return not self._is_crowded

    @property
    def wants_disk(self) -> bool:
        """Something should be written or read before the next tick."""
        return self._is_crowded or self._times.is_enough or (self.is_behind and self._reads_from() is not None)

    # Hub side -------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Readings wait that are on disk only."""
        low, normal, high = self._lanes
        return bool(low.gap.count or normal.gap.count or high.gap.count)

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
        """Return the readings to send next, which are then in flight, or None. In each topic the oldest goes first.

        `lane` is the lowest that may go; channels in `not_yet` wait for company.
        """
        self._is_linked = True
        in_flight = len(self._in_flight)
        # After a failure everything in flight must have come back before the first is sent again.
        if in_flight and (in_flight >= max_messages or self._returned or self._probing):
            return None
        if self._returned:
            self._give_back()
        self._let_live_overtake()
        while ready := [one.number for one in self._lanes[lane:] if one.has_work(not_yet)]:
            chosen = self._lanes[self._turns.pick(ready)]
            taken, is_backlog, size_bytes = chosen.take(
                now_s, self._share.is_live_next, not_yet, max_readings, max_bytes
            )
            if taken:
                batch = Batch(taken[0].reading.channel, tuple(taken), is_backlog, chosen.number, size_bytes)
                self._in_flight.add(batch)
                self.in_flight_readings += len(taken)
                self.in_flight_bytes += size_bytes
                return batch
            # All that it had was too old.
            self._times.look_for_dead(now_s)
        return None

    def settle(self, batch: Batch, now_s: float) -> None:
        """The hub has acknowledged a batch."""
        self._probing = False
        count = len(batch.entries)
        self._delivered += count
        self._land(batch)
        lane = self._lanes[batch.lane]
        lane.settle(batch.entries)
        self._rate.settled(count, now_s, is_busy=lane.backlog_count + lane.live_count >= MAX_BATCH_READINGS)
        if lane.dead.count:
            self._times.look_for_dead(now_s)

    def refuse(self, batch: Batch, reason: str, now_s: float) -> None:
        """The hub will never take a batch: drop it, counted."""
        self._probing = False
        self._land(batch)
        self._lanes[batch.lane].drop(batch.entries, reason)
        self._times.look_for_dead(now_s)

    def retry(self, batch: Batch, *, probing: bool = False) -> None:
        """A batch may not have arrived: send again from the first that is not settled, with the same ids.

        With `probing`, one message at a time until one is acknowledged: the hub answers, but with errors.
        """
        self._land(batch)
        self._returned.append(batch)
        self._probing = self._probing or probing

    def link_lost(self) -> None:
        """There is no link: what was not sent is backlog, oldest first, when there is one again."""
        self._is_linked = False
        self._rate.interrupted()
        for lane in self._lanes:
            lane.line_up()

    def _land(self, batch: Batch) -> None:
        self._in_flight.remove(batch)
        self.in_flight_readings -= len(batch.entries)
        self.in_flight_bytes -= batch.size_bytes

    def _give_back(self) -> None:
        for lane in self._lanes:
            entries = [entry for batch in self._returned if batch.lane == lane.number for entry in batch.entries]
            lane.give_back(sorted(entries, key=lambda entry: entry.row))
        self._returned.clear()

    def _let_live_overtake(self) -> None:
        """Past `catch_up_s` of backlog new readings do not queue up behind it, nor behind too many new ones."""
        limit = self._rate.per_s * self._catch_up_s
        low, normal, high = self._lanes
        is_long = low.backlog_count + normal.backlog_count + high.backlog_count > limit and self._live_share > 0
        if not is_long and not (low.is_overtaking or normal.is_overtaking or high.is_overtaking):
            return
        for lane in self._lanes:
            if not lane.is_overtaking:
                if is_long and lane.backlog_count:
                    lane.overtake()
            elif lane.is_caught_up:
                lane.line_up()
            elif lane.live_count > limit * self._live_share:
                lane.overtake()

    # Disk side: one write, read or sweep at a time ----------------------------------------------------

    def opened(self, summary: StoreSummary) -> None:
        """The store is open; what it holds is older than all that has been accepted so far."""
        self._opened = True
        for lane, held in zip(self._lanes, summary.lanes, strict=True):
            lane.opened(held)
            self._recovered += held.count

    def store_unavailable(self) -> None:
        """The store cannot be opened for now: go on in memory; what it holds comes later, out of order."""
        for lane in self._lanes:
            lane.go_without_store()

    def wants_write(self, now_s: float) -> bool:
        """Say whether a transaction is due."""
        return self._opened and (self._spill_is_due(now_s) or self._times.dead_rows_are_due(now_s))

    def take_write(self, now_s: float, *, short_bytes: int = 0, everything: bool = False) -> Write | None:
        """Return the transaction that is due, or None. Answer with `written` or `write_failed`.

        `short_bytes` is what the disk lacks of the space that has to stay free: nothing is added to the file then,
        and it gives back free pages. What waits is kept: the broker keeps the rest.
        """
        if not self._opened or not (everything or self.wants_write(now_s)):
            return None
        is_short = short_bytes > 0
        with_appends = not is_short and (everything or self._spill_is_due(now_s))
        wanted_bytes = self._excess_bytes(with_appends)
        shrinks = is_short and (not self._has_shrunk or any(lane.dead.count for lane in self._lanes))
        self._has_shrunk = is_short
        parts = []
        for lane in self._lanes:
            gap_bytes, wanted_bytes = lane.drop_oldest(wanted_bytes)
            parts.append(lane.take_write(gap_bytes, with_appends=with_appends))
        write = Write(tuple(parts), shrinks=shrinks)
        return None if write.is_empty else write

    def written(self, write: Write, committed: Committed, now_s: float) -> None:
        """The transaction is on disk for good."""
        self._written_bytes += committed.written_bytes
        self._times.committed()
        for part in write.lanes:
            evicted = committed.evicted.get(part.lane, Evicted())
            self._lanes[part.lane].written(part, evicted)
        for lane in self._lanes:
            over_bytes = self._memory_bytes - int(self._memory_limit * _KEEP_IN_MEMORY)
            if over_bytes > 0:
                lane.shed(max(0, lane.memory_bytes - over_bytes))
        self._times.look_for_dead(now_s)

    def write_failed(self, write: Write) -> None:
        """Nothing of the transaction is on disk, as far as is known."""
        for part in write.lanes:
            self._lanes[part.lane].write_failed(part)

    def take_read(self) -> Read | None:
        """Return the rows to read back, or None. Answer with `loaded`."""
        lane = self._reads_from()
        if lane is None:
            return None
        gap = lane.gap
        return Read(lane.number, gap.after_row, gap.until_row, gap.count, max(1, self._read_ahead_bytes // 2))

    def loaded(self, found: Loaded, now_s: float, now: Moment) -> None:
        """The oldest rows of a gap are back in memory, except those that are too old by now."""
        lane = self._lanes[found.lane]
        rows, lost = lane.gap.loaded(found)
        if not found.last_row:
            lost += lane.lose_gap()
        entries = [self._expiry.stored_entry(stored, now_s, now) for stored in rows]
        lane.load(entry for entry in entries if entry.expires_s > now_s)
        for entry in entries:
            if entry.expires_s <= now_s:
                lane.dead.add(entry.row, entry.row_bytes)
                lane.lose(1, "expired")
        lane.lose(lost, "store_corrupt")
        self._times.look_for_dead(now_s)

    def read_failed(self) -> None:
        """The disk does not give back what it has, for now: what is in memory goes first."""
        for lane in self._lanes:
            lane.pass_gap()

    def take_sweep(self, now_s: float) -> Sweep | None:
        """Drop what is too old in memory; return the rows on disk to look at, or None. Answer with `swept`."""
        self._expiry.drop_from_memory(now_s)
        self._times.look_for_dead(now_s)
        return self._expiry.take_sweep(now_s)

    def swept(self, found: Swept, now_s: float, now: Moment) -> None:
        """Drop rows that are too old."""
        self._expiry.swept(found, now)
        self._times.look_for_dead(now_s)

    @property
    def is_store_spent(self) -> bool:
        """The store has rows, and all of them are dead."""
        return any(lane.disk_bytes for lane in self._lanes) and not any(lane.waiting_disk_bytes for lane in self._lanes)

    def store_lost(self) -> int:
        """The store was set aside: what was on disk only is gone and its number returned; the rest is written anew."""
        self._times.committed()
        return sum(lane.store_lost() for lane in self._lanes)

    def stats(self, now_s: float | None = None) -> TelemetryStats:
        """Return the account so far."""
        lanes = {name: _lane_stats(lane, now_s) for name, lane in zip(LANE_NAMES, self._lanes, strict=True)}
        dropped = Counter(self._rejected)
        for lane in self._lanes:
            dropped.update(lane.dropped)
        return TelemetryStats(
            received=self._received,
            recovered=self._recovered,
            delivered=self._delivered,
            waiting=sum(lane.waiting for lane in lanes.values()),
            waiting_on_disk=sum(lane.waiting_on_disk for lane in lanes.values()),
            dropped=dict(dropped),
            oldest_waiting_s=max(lane.oldest_waiting_s for lane in lanes.values()),
            memory_bytes=self._memory_bytes,
            max_bytes=self._max_bytes,
            disk_bytes=sum(lane.disk_bytes for lane in self._lanes),
            written_bytes=self._written_bytes,
            in_flight=self.in_flight_readings,
            is_overtaking=any(lane.is_overtaking for lane in self._lanes),
            lanes=lanes,
            stored=sum(lane.disk_count - lane.dead.count for lane in self._lanes),
        )

    # How the tiers are kept -------------------------------------------------------------------------

    @property
    def _memory_bytes(self) -> int:
        low, normal, high = self._lanes
        return low.memory_bytes + normal.memory_bytes + high.memory_bytes

    @property
    def _is_crowded(self) -> bool:
        low, normal, high = self._lanes
        return low.memory_bytes + normal.memory_bytes + high.memory_bytes >= self._crowded_bytes

    @property
    def is_spilling(self) -> bool:
        """The uplink is down or too slow: readings go to the disk."""
        return self._times.is_spilling

    def _spill_is_due(self, now_s: float) -> bool:
        if not any(lane.unstored_count for lane in self._lanes):
            return False
        return self._is_crowded or self._times.spill_is_due(now_s, is_linked=self._is_linked)

    def _excess_bytes(self, with_appends: bool) -> int:
        used_bytes = sum(lane.waiting_disk_bytes for lane in self._lanes)
        if with_appends:
            used_bytes += sum(lane.unstored_bytes for lane in self._lanes)
        return max(0, used_bytes - self._max_bytes)

    @property
    def _read_ahead_bytes(self) -> int:
        sharing = sum(1 for lane in self._lanes if lane.gap.count)
        return int(self._memory_limit * _READ_AHEAD) // max(1, sharing)

    def _reads_from(self) -> Lane | None:
        """Return the lane whose head runs out first, and that may be filled up."""
        for lane in reversed(self._lanes):
            if lane.gap.count and lane.head_bytes < self._read_ahead_bytes and lane.dead.run_count < _MAX_RUNS_KEPT:
                return lane
        return None


def _lane_stats(lane: Lane, now_s: float | None) -> LaneStats:
    oldest = lane.oldest
    waited_s = 0.0 if oldest is None or now_s is None else max(0.0, now_s - oldest.since_s)
    return LaneStats(lane.memory_count, lane.gap.count, waited_s, lane.disk_bytes, dict(lane.dropped))
