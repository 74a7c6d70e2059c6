"""The values that pass between the outbox and those who do its I/O. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from edged.telemetry.reading import Reading

MEMORY_OVERHEAD_BYTES = 600
"""What an entry costs beside its text: objects, a slot in the queue, the closure of its acknowledgement."""
ROW_OVERHEAD_BYTES = 64


class Place(IntEnum):
    """Where an entry is on its way to the hub."""

    READY = 0
    IN_FLIGHT = 1
    SETTLED = 2


@dataclass(slots=True, eq=False)
class Entry:
    """One reading in the outbox. `ack` is None once the broker has been told; `row` is None until it is on disk."""

    reading: Reading
    ack: Callable[[], None] | None
    accepted_s: float
    row: int | None = None
    place: Place = Place.READY
    writing: bool = False

    @property
    def memory_bytes(self) -> int:
        """What it costs in memory, nearly."""
        return self.reading.size_bytes + MEMORY_OVERHEAD_BYTES

    @property
    def row_bytes(self) -> int:
        """What it costs on disk, nearly."""
        return row_bytes(self.reading)


def row_bytes(reading: Reading) -> int:
    """Return what a reading costs on disk, nearly."""
    return reading.size_bytes + ROW_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Readings of one channel that go out as one message, oldest first."""

    channel: str
    entries: tuple[Entry, ...]
    is_backlog: bool = False
    """Readings that are younger have gone before them."""


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A row of the store."""

    row: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """What the store held when it was opened."""

    count: int
    total_bytes: int
    last_row: int


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction: rows to add, rows to take out, and bytes to make room for among the oldest after a row."""

    appends: tuple[tuple[int, Entry], ...]
    deletes: Mapping[int, int]
    evict_bytes: int
    evict_after_row: int


@dataclass(frozen=True, slots=True)
class Evicted:
    """What a write took out to make room."""

    count: int = 0
    total_bytes: int = 0
    last_row: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """Rows wanted from the store: the oldest after a row."""

    after_row: int
    max_count: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a read found, oldest first; `damaged` are rows (and their sizes) that hold no reading any more."""

    rows: tuple[StoredReading, ...]
    damaged: Mapping[int, int]

    @property
    def last_row(self) -> int:
        """The newest row that was looked at, 0 if there was none."""
        return max((*self.damaged, *(stored.row for stored in self.rows[-1:])), default=0)


@dataclass(frozen=True, slots=True)
class TelemetryStats:
    """received + recovered = delivered + waiting + sum of dropped."""

    received: int
    recovered: int
    delivered: int
    waiting: int
    waiting_on_disk: int
    dropped: Mapping[str, int]
