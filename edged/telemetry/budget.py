"""How many messages may be sent in a month, spread so that they last. Pure; the moment is an argument.

What may have been used by now is a straight line through the month, with a day's worth ahead of it: who uses less
notices nothing, who uses more is slowed to the line, so that batches grow. A tenth is kept for urgent readings, which
may go ahead of the line. Nothing is ever dropped here: what may not be sent waits in the outbox.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from edged.settings import BudgetSettings
from edged.telemetry.moments import Moment

_RESERVE = 0.1
_AHEAD_S = 86_400.0
_MEMORY_S = 6 * 3600.0
_SEASONED_S = 3600.0
_UNKNOWN_MONTH_S = 31 * 86_400.0
_LOOK_AGAIN_S = 3600.0
_FORMAT = "1"


class Budget:
    """Counts messages. `state()` is all that has to be kept between lives; it may be damaged, and is then forgotten."""

    def __init__(self, settings: BudgetSettings, *, state: str = "") -> None:
        self._limit = settings.messages_per_month
        self._reset_day = settings.reset_day
        self._month, self.used, self._per_s = _parsed(state)
        self._was_restored = bool(state)
        self._is_seasoned = self._per_s > 0
        self._counting_since_s: float | None = None
        self._counted_at_s = 0.0
        self._unset_since: tuple[float, int] | None = None
        self._is_slowed = False
        self._warned: set[str] = set()

    def state(self) -> str:
        """Return what the next life needs; empty as long as nothing was counted."""
        if not self._month and not self.used:
            return ""
        return f"{_FORMAT} {self._month or '-'} {self.used} {self._per_s:.6g}"

    def restore(self, state: str) -> None:
        """Take over what an earlier life left, where that became known late; of no effect where it was known."""
        if self._was_restored:
            return
        month, used, per_s = _parsed(state)
        self._was_restored = bool(state)
        if not self._month or not month or month == self._month:
            self._month = self._month or month
            self.used += used
        self._per_s = max(self._per_s, per_s)
        self._is_seasoned = self._per_s > 0 if per_s else self._is_seasoned

    def take(self, now: Moment, *, urgent: bool = False) -> float:
        """Count a message and return 0, or return the seconds to wait."""
        self._follow(now)
        wait_s = self._wait_s(now, urgent=urgent) if self._limit else 0.0
        if not urgent:
            self._is_slowed = wait_s > 0
        if wait_s <= 0:
            self._count(now, 1)
        return wait_s

    def give_back(self, now: Moment) -> None:
        """A message that was counted has not been sent, or not been taken."""
        self._count(now, -1)

    def warning(self, now: Moment) -> str:
        """Return what the operator should hear now, each sentence once a month, or ""."""
        if not self._limit:
            return ""
        self._follow(now)
        ordinary = self._limit * (1 - _RESERVE)
        if self.used >= ordinary:
            return self._once(
                "used up",
                f"{self.used} of telemetry.budget.messages_per_month ({self._limit}) are used; readings wait until "
                f"day {self._reset_day} of the next month, urgent ones go while the rest lasts",
            )
        if self._is_slowed or (self._forecast(now) or 0) > self._limit:
            return self._once(
                "forecast",
                f"at this rate more messages would be sent than telemetry.budget.messages_per_month allows "
                f"({self._limit}, {self.used} are used); they become fewer and larger",
            )
        return ""

    def figures(self, now: Moment) -> Mapping[str, int | float | str]:
        """Return what the status shows."""
        self._follow(now)
        forecast = self._forecast(now)
        figures: dict[str, int | float | str] = {"used": self.used, "limit": self._limit, "state": self._state_word()}
        if forecast is not None:
            figures["forecast"] = forecast
        if now.is_set:
            figures["days_left"] = round(self._remaining_s(now) / 86_400, 1)
        return figures

    def _state_word(self) -> str:
        if not self._limit:
            return "ok"
        if self.used >= self._limit * (1 - _RESERVE):
            return "used up"
        return "slowed" if self._is_slowed else "ok"

    def _once(self, what: str, sentence: str) -> str:
        if what in self._warned:
            return ""
        self._warned.add(what)
        return sentence

    # Months ---------------------------------------------------------------------------------------

    def _follow(self, now: Moment) -> None:
        """A month that begins begins with nothing used. One that is taken back was a wrong clock's: the count stays."""
        if not now.is_set:
            if self._unset_since is None:
                self._unset_since = now.uptime_ms / 1000, self.used
            return
        self._unset_since = None
        month = _month_start(now.wall_ms, self._reset_day).date().isoformat()
        if month == self._month:
            return
        if self._month and month > self._month:
            self.used = 0
            self._warned.clear()
        self._month = month

    def _remaining_s(self, now: Moment) -> float:
        return _month_end(now.wall_ms, self._reset_day).timestamp() - now.wall_ms / 1000

    def _wait_s(self, now: Moment, *, urgent: bool) -> float:
        allowed = self._limit * (1 if urgent else 1 - _RESERVE)
        if now.is_set:
            remaining_s = self._remaining_s(now)
            start_s = _month_start(now.wall_ms, self._reset_day).timestamp()
            length_s = now.wall_ms / 1000 + remaining_s - start_s
            elapsed_s, used = length_s - remaining_s, self.used
        else:
            # Which day it is nobody knows: at the even rate from here, within what is left for certain.
            assert self._unset_since is not None
            since_s, used_then = self._unset_since
            length_s = remaining_s = _UNKNOWN_MONTH_S
            elapsed_s, used = now.uptime_ms / 1000 - since_s, self.used - used_then
        if self.used >= allowed:
            return min(remaining_s, _LOOK_AGAIN_S)
        if urgent:
            return 0.0
        due_s = (used + 1) * length_s / allowed - _AHEAD_S
        return min(max(0.0, due_s - elapsed_s), _LOOK_AGAIN_S)

    # Forecast -------------------------------------------------------------------------------------

    def _count(self, now: Moment, messages: int) -> None:
        now_s = now.uptime_ms / 1000
        if self._counting_since_s is None:
            self._counting_since_s = self._counted_at_s = now_s
        self.used = max(0, self.used + messages)
        faded = math.exp((self._counted_at_s - now_s) / _MEMORY_S)
        self._per_s = max(0.0, self._per_s * faded + messages / _MEMORY_S)
        self._counted_at_s = now_s

    def _forecast(self, now: Moment) -> int | None:
        """Return how many will have been used at the month's end if it goes on as in the last hours."""
        if not now.is_set or self._counting_since_s is None:
            return None
        now_s = now.uptime_ms / 1000
        counted_s = now_s - self._counting_since_s
        if not self._is_seasoned and counted_s < _SEASONED_S:
            return None
        per_s = self._per_s * math.exp((self._counted_at_s - now_s) / _MEMORY_S)
        if not self._is_seasoned:
            per_s /= 1 - math.exp(-counted_s / _MEMORY_S)
        return round(self.used + per_s * self._remaining_s(now))


def _month_start(wall_ms: int, reset_day: int) -> datetime:
    today = datetime.fromtimestamp(wall_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today.replace(day=reset_day)
    return start if start <= today else (today.replace(day=1) - timedelta(days=1)).replace(day=reset_day)


def _month_end(wall_ms: int, reset_day: int) -> datetime:
    following = _month_start(wall_ms, reset_day).replace(day=1) + timedelta(days=32)
    return following.replace(day=reset_day)


def _parsed(state: str) -> tuple[str, int, float]:
    """Read a state back: month, used, messages per second."""
    try:
        form, month, used, per_s = state.split(" ")
        month = "" if month == "-" else datetime.fromisoformat(month).date().isoformat()
        rate = float(per_s)
        if form == _FORMAT and used.isascii() and used.isdigit() and len(used) <= 15 and 0 <= rate < 1e6:
            return month, int(used), rate
    except ValueError:
        pass
    return "", 0, 0.0
