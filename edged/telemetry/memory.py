"""What telemetry remembers beyond its own life: the ids of messages that may come again, and the account."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edged.telemetry import account, ids
from edged.telemetry.budget import Budget
from edged.telemetry.entries import TelemetryStats
from edged.telemetry.runtime_file import open_runtime_file


class Numbered(Protocol):
    """What tells a message of the broker from another one."""

    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def packet_id(self) -> int: ...

    @property
    def repeated(self) -> bool: ...

    @property
    def ack(self) -> Callable[[], None]: ...


class Memory:
    """One mapped file for both; `directory` is None where nothing may be left for the next process."""

    def __init__(self, gateway: str, directory: Path | None) -> None:
        self._file = open_runtime_file(directory, ids.area_bytes(), account.AREA_BYTES)
        self._ids = ids.ReadingIds(gateway, self._file.life, self._file.area(ids.area_bytes()))
        self.account = account.Account(self._file.area(account.AREA_BYTES))
        self.connecting = self._ids.connecting
        self.session_lost = self._ids.session_lost

    def note(self, stats: TelemetryStats) -> None:
        """Take the counts of this life over into the account."""
        self.account.note(stats.delivered, stats.dropped, unexplained=stats.unexplained, stored=stats.stored)

    def remember(self, budget: Budget) -> None:
        """Keep what the budget has counted; what an earlier life counted is known once the outbox file is open."""
        budget.restore(self.account.stored_memo)
        self.account.remember(budget.state())

    def totals(self, stats: TelemetryStats) -> dict[str, Any]:
        """Return the account of all lives, and of this one."""
        self.note(stats)
        return self.account.figures(stats.waiting) | {"this_life": stats.account_figures()}

    def close(self, stats: TelemetryStats) -> None:
        """Leave the last counts, and the file to the next process."""
        self.note(stats)
        self._file.close()

    def is_owed(self, message: Numbered) -> bool:
        """Say whether a message became a reading in an earlier life that did not get to acknowledge it.

        To be asked before the message has its id.
        """
        return message.repeated and self._ids.is_owed(message.topic, message.payload, message.packet_id)

    def reading_id(self, message: Numbered) -> str:
        """Return the id for a message. To be asked for every one, whether it becomes a reading or not."""
        return self._ids.take(
            message.topic,
            message.payload,
            message.packet_id,
            time.monotonic(),
            repeated=message.repeated,
        )

    def acknowledgement(self, message: Numbered) -> Callable[[], None]:
        """Return what the outbox is to call, once, when the broker may forget a message."""
        if message.packet_id:
            return partial(self.acknowledge, message)
        release = self.account.hold()

        def settled() -> None:
            release()
            message.ack()

        return settled

    def acknowledge(self, message: Numbered) -> None:
        """The broker may forget a message, whether it became a reading or not."""
        if message.packet_id:
            self._ids.acknowledged(message.packet_id, time.monotonic())
        message.ack()
