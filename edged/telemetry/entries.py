"""What waits for the hub, how it goes there, and the account of it all. Values only. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from edged.telemetry.reading import Reading

MEMORY_OVERHEAD_BYTES = 800
"""What an entry costs beside its text: objects, slots in the queues, the closure of its acknowledgement."""
ROW_OVERHEAD_BYTES = 64
LANE_NAMES = ("low", "normal", "high")


class Place(IntEnum):
    """Where an entry is on its way to the hub."""

    READY = 0
    IN_FLIGHT = 1
    SETTLED = 2


class OnDisk(IntEnum):
    """Whether an entry has a row in the store."""

    NO = 0
    WRITING = 1
    YES = 2


@dataclass(slots=True, eq=False)
class Entry:
    """One reading in the outbox.

    `row` is its place in the order of its lane, and the number of its row where it has one. `ack` is None once the
    broker has been told. `since_s` is when it was taken in. One `is_in_gap` is in flight, and else on disk only.
    """

    reading: Reading
    ack: Callable[[], None] | None
    since_s: float
    row: int
    expires_s: float = math.inf
    place: Place = Place.READY
    on_disk: OnDisk = OnDisk.NO
    is_in_gap: bool = False

    @property
    def memory_bytes(self) -> int:
        """What it costs in memory, nearly."""
        return self.reading.size_bytes + MEMORY_OVERHEAD_BYTES

    @property
    def row_bytes(self) -> int:
        """What it costs on disk, nearly."""
        return self.reading.size_bytes + ROW_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Readings of one lane and channel that go out as one message, oldest first.

    `is_backlog`: newer ones go out beside it, because the backlog will take a while.
    """

    channel: str
    entries: tuple[Entry, ...]
    is_backlog: bool = False
    lane: int = 1
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LaneStats:
    """What waits in one lane."""

    waiting_in_memory: int
    waiting_on_disk: int
    oldest_waiting_s: float
    disk_bytes: int
    dropped: Mapping[str, int]

    @property
    def waiting(self) -> int:
        """All that waits."""
        return self.waiting_in_memory + self.waiting_on_disk


@dataclass(frozen=True, slots=True)
class TelemetryStats:
    """received + recovered = delivered + waiting + sum of dropped."""

    received: int
    recovered: int
    delivered: int
    waiting: int
    waiting_on_disk: int
    dropped: Mapping[str, int]
    oldest_waiting_s: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    max_bytes: int = 0
    written_bytes: int = 0
    in_flight: int = 0
    is_overtaking: bool = False
    """New readings go out beside a backlog, not behind it."""
    lanes: Mapping[str, LaneStats] = field(default_factory=dict)
    stored: int = 0
    """Those that wait and have a row, in memory or not."""

    @property
    def unexplained(self) -> int:
        """What came in and is nowhere; anything but 0 is a fault of ours."""
        return self.received + self.recovered - self.delivered - self.waiting - sum(self.dropped.values())

    def account_figures(self) -> Mapping[str, Any]:
        """Return the account of this life."""
        return {
            "received": self.received,
            "recovered": self.recovered,
            "delivered": self.delivered,
            "waiting": self.waiting,
            "dropped": dict(self.dropped),
        }

    def outbox_figures(self) -> Mapping[str, Any]:
        """Return what the status shows of the outbox."""
        return {
            "waiting": self.waiting,
            "on_disk": self.waiting_on_disk,
            "oldest_age_s": round(self.oldest_waiting_s, 1),
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "max_bytes": self.max_bytes,
            "written_bytes": self.written_bytes,
            "overtaking": int(self.is_overtaking),
            "lanes": {
                name: {
                    "waiting": lane.waiting,
                    "oldest_age_s": round(lane.oldest_waiting_s, 1),
                    "dropped": lane.dropped,
                }
                for name, lane in self.lanes.items()
            },
        }
