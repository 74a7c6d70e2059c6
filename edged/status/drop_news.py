"""When the log should be told that messages are being dropped: at once, then once an hour while it goes on. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edged.status.document import Account

_EVERY_S = 3600.0


class DropNews:
    """Compares what this life has dropped with what has been told: of an earlier one it may be known late."""

    def __init__(self) -> None:
        self._told: Mapping[str, int] = {}
        self._told_at_s: float | None = None

    def line(self, account: Account | None, now_s: float) -> str | None:
        """Return the line that is due, or None."""
        if account is None:
            return None
        dropped = account.dropped_in_this_life
        new = {reason: count - self._told.get(reason, 0) for reason, count in dropped.items()}
        new = {reason: count for reason, count in new.items() if count > 0}
        if not new or (self._told_at_s is not None and now_s - self._told_at_s < _EVERY_S):
            return None
        self._told, self._told_at_s = dict(dropped), now_s
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in new.items())
        return (
            f"dropped since the last such line: {reasons}; in all received {account.received:,} = delivered "
            f"{account.delivered:,} + waiting {account.waiting:,} + dropped {account.dropped_count:,}"
        )
