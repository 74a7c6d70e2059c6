"""What the outbox asks of its store and what it gets for an answer. Values only. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edged.telemetry.entries import Entry
from edged.telemetry.moments import Moment
from edged.telemetry.reading import Reading
from edged.telemetry.row_runs import Run


@dataclass(frozen=True, slots=True)
class LaneSummary:
    """What the store holds of one lane. `has_own_keeps`: some rows have a time to live of their own;
    rows before `late_until_row` wait while newer readings have gone."""

    count: int = 0
    total_bytes: int = 0
    last_row: int = 0
    has_own_keeps: bool = False
    late_until_row: int = 0


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """What the store held when it was opened; `account` is whatever was written with the last transaction."""

    lanes: tuple[LaneSummary, ...] = (LaneSummary(), LaneSummary(), LaneSummary())
    account: bytes = b""


@dataclass(frozen=True, slots=True)
class Eviction:
    """Rows to drop: the oldest between two others, for so many bytes, except `spared` ones."""

    after_row: int
    until_row: int
    wanted_bytes: int
    spared: frozenset[int]


@dataclass(frozen=True, slots=True)
class LaneWrite:
    """The part of a transaction for one lane: rows to take out, rows to add, and rows to drop for lack of room.

    The totals are what the lane has on disk afterwards, those dropped for lack of room not taken off: absolute, so that
    a transaction that failed but is there after all does no harm when it is written again. No row before `first_row`
    is needed any more.
    """

    lane: int
    appends: tuple[Entry, ...]
    deletes: tuple[Run, ...]
    first_row: int
    eviction: Eviction | None
    total_count: int
    total_bytes: int
    has_own_keeps: bool
    late_until_row: int = 0

    @property
    def is_empty(self) -> bool:
        """There is nothing to do."""
        return not (self.appends or self.deletes or self.eviction)


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction. `shrinks`: what it frees is given back to the disk."""

    lanes: tuple[LaneWrite, ...]
    shrinks: bool = False

    @property
    def is_empty(self) -> bool:
        """There is nothing to do."""
        return not self.shrinks and all(part.is_empty for part in self.lanes)


@dataclass(frozen=True, slots=True)
class Evicted:
    """What a write took out of one lane to make room."""

    count: int = 0
    total_bytes: int = 0
    last_row: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """Rows wanted from the store: the oldest of a lane between two rows. `max_bytes`: what they may cost in memory."""

    lane: int
    after_row: int
    until_row: int
    max_count: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A row of the store."""

    row: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a read found, oldest first; `damaged` are rows (and their sizes) that hold no reading any more."""

    lane: int
    rows: tuple[StoredReading, ...]
    damaged: Mapping[int, int]

    @property
    def last_row(self) -> int:
        """The newest row that was looked at, 0 if there was none."""
        return max((*self.damaged, *(stored.row for stored in self.rows[-1:])), default=0)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows to look at for their age: those of a lane between two rows."""

    lane: int
    after_row: int
    until_row: int
    max_count: int


@dataclass(frozen=True, slots=True)
class StoredAge:
    """How long a row is to be kept, and since when."""

    row: int
    size_bytes: int
    keep_s: float
    taken: Moment


@dataclass(frozen=True, slots=True)
class Swept:
    """The rows looked at, oldest first."""

    lane: int
    ages: tuple[StoredAge, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction did: what it took out for lack of room, by lane, and what it wrote to the disk."""

    evicted: Mapping[int, Evicted]
    written_bytes: int = 0
