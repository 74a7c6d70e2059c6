"""What a store does, in dicts of rows, for tests of those who decide what is on disk."""

from __future__ import annotations

from edged.telemetry.entries import MEMORY_OVERHEAD_BYTES, ROW_OVERHEAD_BYTES
from edged.telemetry.moments import NO_MOMENT
from edged.telemetry.reading import Reading
from edged.telemetry.transactions import (
    Committed,
    Evicted,
    LaneSummary,
    Loaded,
    StoredAge,
    StoredReading,
    StoreSummary,
    Swept,
)


def reading(number, channel="farm", size=40, **options):
    body = f'{{"n":{number}}}'.ljust(size)
    return Reading(f"g/boot/{number}", channel, body, len(body), **options)


def number_of(reading):
    return int(reading.id.rsplit("/", 1)[1])


def numbers(batch):
    return [number_of(entry.reading) for entry in batch.entries]


class Disk:
    """Rows of three lanes. What is written down stays, whatever the outbox believes."""

    def __init__(self):
        self.lanes = ({}, {}, {})

    @property
    def rows(self):
        """The rows of the lane that most tests use."""
        return self.lanes[1]

    @rows.setter
    def rows(self, rows):
        self.lanes = ({}, rows, {})

    @property
    def stored(self):
        return [reading for rows in self.lanes for reading in rows.values()]

    def summary(self):
        return StoreSummary(tuple(self._lane_summary(rows) for rows in self.lanes))

    def _lane_summary(self, rows):
        total_bytes = sum(reading.size_bytes + ROW_OVERHEAD_BYTES for reading in rows.values())
        own_keeps = any(reading.keep_s for reading in rows.values())
        return LaneSummary(len(rows), total_bytes, max(rows, default=0), own_keeps)

    def write(self, write):
        evicted = {}
        for part in write.lanes:
            rows = self.lanes[part.lane]
            for run in part.deletes:
                for row in range(run.first, run.last + 1):
                    del rows[row]
            for entry in part.appends:
                rows[entry.row] = entry.reading
            summary = self._lane_summary(rows)
            assert (summary.count, summary.total_bytes) == (part.total_count, part.total_bytes)
            evicted[part.lane] = self._evict(rows, part.eviction)
        return Committed(evicted, 100)

    def _evict(self, rows, eviction):
        count = freed_bytes = last_row = 0
        for row in sorted(rows) if eviction else ():
            if freed_bytes >= eviction.wanted_bytes:
                break
            if eviction.after_row < row <= eviction.until_row and row not in eviction.spared:
                freed_bytes += rows.pop(row).size_bytes + ROW_OVERHEAD_BYTES
                count, last_row = count + 1, row
        return Evicted(count, freed_bytes, last_row)

    def _between(self, wanted):
        rows = self.lanes[wanted.lane]
        return sorted(row for row in rows if wanted.after_row < row <= wanted.until_row)[: wanted.max_count]

    def read(self, wanted):
        found = []
        left_bytes = wanted.max_bytes
        for row in self._between(wanted):
            reading = self.lanes[wanted.lane][row]
            found.append(StoredReading(row, reading))
            left_bytes -= reading.size_bytes + MEMORY_OVERHEAD_BYTES
            if left_bytes <= 0:
                break
        return Loaded(wanted.lane, tuple(found), {})

    def sweep(self, wanted):
        rows = self.lanes[wanted.lane]
        found = ((row, rows[row]) for row in self._between(wanted))
        ages = (StoredAge(row, one.size_bytes + ROW_OVERHEAD_BYTES, one.keep_s, one.taken) for row, one in found)
        return Swept(wanted.lane, tuple(ages))


def spill(outbox, disk, now_s, **options):
    """Do the transaction that is due."""
    write = outbox.take_write(now_s, **options)
    if write is not None:
        outbox.written(write, disk.write(write), now_s)
    return write


def read_back(outbox, disk, now_s=0.0, now=NO_MOMENT):
    """Read all that may be read."""
    while (wanted := outbox.take_read()) is not None:
        outbox.loaded(disk.read(wanted), now_s, now)
