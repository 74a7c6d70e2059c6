"""Readings in the order they came, with a queue for each channel to send from. Pure.

Channels take turns. Every step costs the same however much waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from heapq import merge

from edged.telemetry.entries import MEMORY_OVERHEAD_BYTES, Entry, OnDisk, Place

_READY, _IN_FLIGHT, _SETTLED = Place.READY, Place.IN_FLIGHT, Place.SETTLED


class Stream:
    """Owns the order of its entries. `count` and `size_bytes` are of those that are ready to be sent."""

    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0
        self._order: deque[Entry] = deque()  # With those in flight, and settled ones until they come to an end.
        self._queues: dict[str, deque[Entry]] = {}  # Ready ones only, none is empty; the next one first.

    def append(self, entry: Entry) -> None:
        """Take in the newest."""
        self._order.append(entry)
        reading = entry.reading
        channel = reading.channel
        queue = self._queues.get(channel)
        if queue is None:
            queue = self._queues[channel] = deque()
        queue.append(entry)
        self.count += 1
        self.size_bytes += reading.size_bytes

    # Sending ----------------------------------------------------------------------------------------

    def next_channel(self, not_yet: Container[str]) -> str | None:
        """Return the channel whose turn it is, those left out that are not to be sent yet."""
        for channel in self._queues:
            if channel not in not_yet:
                return channel
        return None

    def take(
        self, channel: str, now_s: float, max_readings: int, max_bytes: int
    ) -> tuple[list[Entry], list[Entry], int]:
        """Take the oldest of a channel: those that go out, those that are too old for that, and the bytes."""
        queue = self._queues[channel]
        taken: list[Entry] = []
        expired: list[Entry] = []
        size_bytes = 0
        while queue and len(taken) < max_readings:
            entry = queue[0]
            if entry.expires_s <= now_s:
                expired.append(queue.popleft())
                continue
            grown_bytes = size_bytes + entry.reading.size_bytes + 1
            if grown_bytes > max_bytes and taken:
                break
            size_bytes = grown_bytes
            entry.place = _IN_FLIGHT
            taken.append(queue.popleft())
        self.count -= len(taken) + len(expired)
        self.size_bytes -= size_bytes - len(taken) + sum(entry.reading.size_bytes for entry in expired)
        del self._queues[channel]
        if queue:
            self._queues[channel] = queue
        return taken, expired, size_bytes

    def readmit(self, entries: Iterable[Entry]) -> None:
        """Take entries into the order again that are in flight and had left it, oldest first."""
        self._order = deque(merge(self._order, entries, key=_row))

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Make sent ones ready again, oldest first."""
        returned = list(entries)
        by_channel: dict[str, list[Entry]] = {}
        for entry in returned:
            entry.place = _READY
            by_channel.setdefault(entry.reading.channel, []).append(entry)
        waiting = self._queues
        first = {
            channel: deque(merge(again, waiting.get(channel, ()), key=_row)) for channel, again in by_channel.items()
        }
        self._queues = first | {channel: queue for channel, queue in waiting.items() if channel not in first}
        self.count += len(returned)
        self.size_bytes += sum(entry.reading.size_bytes for entry in returned)

    # The ends ---------------------------------------------------------------------------------------

    @property
    def oldest(self) -> Entry | None:
        """The oldest that is not settled."""
        order = self._order
        while order and order[0].place is _SETTLED:
            order.popleft()
        return order[0] if order else None

    @property
    def begins_on_disk(self) -> bool:
        """The oldest is on disk too."""
        oldest = self.oldest
        return oldest is not None and oldest.on_disk is OnDisk.YES

    @property
    def memory_bytes(self) -> int:
        """What those cost that are ready to be sent."""
        return self.size_bytes + self.count * MEMORY_OVERHEAD_BYTES

    def __iter__(self) -> Iterator[Entry]:
        """All that are not settled, oldest first."""
        return (entry for entry in self._order if entry.place is not _SETTLED)

    def absorb(self, newer: Stream) -> None:
        """Take over all of a stream whose entries are newer than ours."""
        self._order.extend(newer._order)
        for channel, queue in newer._queues.items():
            ours = self._queues.get(channel)
            if ours is None:
                self._queues[channel] = queue
            else:
                ours.extend(queue)
        self.count += newer.count
        self.size_bytes += newer.size_bytes

    def pop_oldest(self, wanted_bytes: int) -> list[Entry]:
        """Take out the oldest that are ready, for about so many bytes of rows."""
        found: list[Entry] = []
        for entry in self._order:
            if wanted_bytes <= 0:
                break
            if entry.place is _READY:
                wanted_bytes -= entry.row_bytes
                found.append(entry)
        self._remove(found)
        return found

    def pop_expired(self, now_s: float) -> list[Entry]:
        """Take out all that are ready and too old."""
        found = [entry for entry in self._order if entry.place is _READY and entry.expires_s <= now_s]
        self._remove(found)
        return found

    def pop_stored(self) -> list[Entry]:
        """Take the oldest out of the order as far as they are on disk, those in flight too."""
        order = self._order
        found: list[Entry] = []
        while order and (order[0].place is _SETTLED or order[0].on_disk is OnDisk.YES):
            entry = order.popleft()
            if entry.place is not _SETTLED:
                found.append(entry)
        self._remove(entry for entry in found if entry.place is _READY)
        return found

    def split(self, keep_bytes: int) -> tuple[list[Entry], list[Entry]]:
        """Take the newest out of the order: those on disk beyond about so many bytes, and all that are not on disk."""
        entries = list(self)
        first_unstored = next((at for at, one in enumerate(entries) if one.on_disk is not OnDisk.YES), len(entries))
        kept = 0
        while kept < first_unstored and (kept == 0 or keep_bytes > 0):
            keep_bytes -= entries[kept].memory_bytes
            kept += 1
        self._order = deque(entries[:kept])
        self._remove(entry for entry in entries[kept:] if entry.place is _READY)
        return entries[kept:first_unstored], entries[first_unstored:]

    def extend(self, entries: Iterable[Entry]) -> None:
        """Take in newer ones, some of which may be in flight."""
        for entry in entries:
            if entry.place is _READY:
                self.append(entry)
            else:
                self._order.append(entry)

    def tidy(self, live_count: int) -> None:
        """Let settled ones go that are stuck behind others."""
        self._order = tidied(self._order, live_count)

    def _remove(self, entries: Iterable[Entry]) -> None:
        """Take entries out of the queues of their channels; most often they are at an end of it."""
        by_channel: dict[str, set[int]] = {}
        for entry in entries:
            by_channel.setdefault(entry.reading.channel, set()).add(entry.row)
            self.size_bytes -= entry.reading.size_bytes
        for channel, rows in by_channel.items():
            queue = self._queues[channel]
            self.count -= len(rows)
            while queue and queue[0].row in rows:
                rows.remove(queue.popleft().row)
            while rows and queue and queue[-1].row in rows:
                rows.remove(queue.pop().row)
            if rows:
                queue = self._queues[channel] = deque(entry for entry in queue if entry.row not in rows)
            if not queue:
                del self._queues[channel]


def tidied(order: deque[Entry], live_count: int) -> deque[Entry]:
    """Return an order without its settled ones, once they are the most."""
    if len(order) <= 2 * live_count + 1000:
        return order
    return deque(entry for entry in order if entry.place is not _SETTLED)


def _row(entry: Entry) -> int:
    return entry.row
