"""Whether readings that could be sent should wait for company: a message costs the same with one or with many. Pure.

A reading may wish to wait for others of its channel (its route's batching). And while readings keep coming, rounds of
sending follow each other at a distance: the first reading goes at once, those behind it together with what arrives
until then.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from edged.telemetry.reading import Reading

_NEVER = float("inf")


@dataclass(slots=True)
class _Company:
    """Readings of one channel that wait for others."""

    due_s: float
    count: int = 0
    size_bytes: int = 0


class Gather:
    """What has come in lately, and when it should go. Time is an argument."""

    def __init__(self, distance_s: float, *, max_readings: int, max_bytes: int) -> None:
        self._distance_s = distance_s
        self._max_readings = max_readings
        self._max_bytes = max_bytes
        self._next_round_s = 0.0
        self._is_sending = False
        self._count = 0
        self._bytes = 0
        self._companies: dict[str, _Company] = {}
        self._first_due_s = _NEVER

    @property
    def first_due_s(self) -> float:
        """When the first channel has waited long enough."""
        return self._first_due_s

    @property
    def is_full(self) -> bool:
        """Enough has come in for a whole message."""
        return self._count >= self._max_readings or self._bytes >= self._max_bytes

    def add(self, reading: Reading, now_s: float) -> bool:
        """A reading has come in; returns whether it may go by now."""
        company = self._companies.get(reading.channel)
        if company is None and not reading.batch_delay_s:
            self._add_to_round(1, reading.size_bytes)
            return True
        if company is None:
            company = self._companies[reading.channel] = _Company(_NEVER)
        company.count += 1
        company.size_bytes += reading.size_bytes
        company.due_s = min(company.due_s, now_s + reading.batch_delay_s)
        if company.count >= (reading.batch_readings or self._max_readings) or company.size_bytes >= (
            reading.batch_bytes or self._max_bytes
        ):
            company.due_s = now_s
        self._first_due_s = min(self._first_due_s, company.due_s)
        return company.due_s <= now_s

    def wait_s(self, now_s: float) -> float:
        """Return how long the next round should wait for more."""
        if self._is_sending or self.is_full:
            return 0.0
        return max(0.0, self._next_round_s - now_s)

    def not_yet(self, now_s: float) -> Container[str]:
        """Return the channels whose readings still wait for company."""
        if now_s >= self._first_due_s:
            for channel in [channel for channel, company in self._companies.items() if company.due_s <= now_s]:
                company = self._companies.pop(channel)
                self._add_to_round(company.count, company.size_bytes)
            self._first_due_s = min((company.due_s for company in self._companies.values()), default=_NEVER)
        return self._companies

    def flush(self) -> None:
        """Nobody waits for company any more: there has been a failure, or there is a backlog."""
        self._companies.clear()
        self._first_due_s = _NEVER

    def sent(self, now_s: float) -> None:
        """A message has left; its round lasts until nothing is left that may go."""
        self._is_sending = True
        self._next_round_s = now_s + self._distance_s

    def emptied(self) -> None:
        """Nothing is left that may go."""
        self._is_sending = False
        self._count = self._bytes = 0

    def _add_to_round(self, count: int, size_bytes: int) -> None:
        self._count += count
        self._bytes += size_bytes
