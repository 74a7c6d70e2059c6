"""When something was taken in, so that its age and its time are known even where the clock was wrong. Pure.

A board without a battery clock starts with whatever time it was switched off at. Until somebody sets the clock, only
the uptime is true; once it is set, the time of what was taken in earlier since the same boot can be worked out.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOOR_MS = 1_735_689_600_000
"""The first of January 2025. A clock that shows less has not been set."""
_BATTERY_TOLERANCE_MS = 15 * 3_600_000
"""A battery clock may run in local time. One without its battery is off by years."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in time, as the machine saw it then."""

    boot: str
    """The kernel's boot id; empty: unknown."""
    uptime_ms: int
    wall_ms: int
    is_set: bool
    """Whether the wall clock could be trusted then."""

    def age_s(self, now: Moment) -> float | None:
        """Return the seconds from here to `now`, or None where nobody can know."""
        if self._is_same_boot(now):
            return max(0.0, (now.uptime_ms - self.uptime_ms) / 1000)
        if self.is_set and now.is_set:
            return max(0.0, (now.wall_ms - self.wall_ms) / 1000)
        return None

    def corrected_ms(self, now: Moment) -> int | None:
        """Return the true wall clock time of this moment as far as it is known at `now`."""
        if self.is_set:
            return self.wall_ms
        if now.is_set and self._is_same_boot(now):
            return now.wall_ms - (now.uptime_ms - self.uptime_ms)
        return None

    def _is_same_boot(self, other: Moment) -> bool:
        return bool(self.boot) and self.boot == other.boot


NO_MOMENT = Moment("", 0, 0, False)
"""Nothing is known of when."""


@dataclass(frozen=True, slots=True)
class ClockSigns:
    """What the machine shows about its wall clock."""

    is_synchronised: bool
    """A time service has set it since the boot, or somebody by hand."""
    battery_ms: int | None
    """What the battery clock shows, if there is one."""
    is_board: bool
    """A board described by a device tree: these come without a battery clock. Others get their time from the host."""


def is_trusted(wall_ms: int, signs: ClockSigns) -> bool:
    """Say whether a wall clock that shows `wall_ms` has been set."""
    if wall_ms < FLOOR_MS:
        return False
    if signs.is_synchronised:
        return True
    if signs.battery_ms is not None:
        return abs(signs.battery_ms - wall_ms) <= _BATTERY_TOLERANCE_MS
    return not signs.is_board
