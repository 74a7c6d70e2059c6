"""The status board: which part is in which state since when, and one line for people. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[str, str], None]
"""What a part calls with (state, detail); states are connecting, live, idle, lost and failed."""

# Trouble is shown first.
_ORDER = ("failed", "lost", "connecting", "idle", "live")


@dataclass(frozen=True, slots=True)
class PartStatus:
    """What one part last said of itself."""

    name: str
    state: str
    detail: str
    since_s: float


class Board:
    """Holds the last word of every part; calls `on_change` with the new line when it differs from the last."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._parts: dict[str, PartStatus] = {}
        self._line = ""

    def reporter(self, name: str) -> Report:
        """Add a part, and return the callable it reports with."""
        self.set(name, "connecting", "")

        def report(state: str, detail: str) -> None:
            self.set(name, state, detail)

        return report

    def set(self, name: str, state: str, detail: str) -> None:
        """Take a part's word; the time changes only with the state."""
        old = self._parts.get(name)
        since_s = old.since_s if old is not None and old.state == state else self._clock()
        self._parts[name] = PartStatus(name, state, detail, since_s)
        line = self.line()
        if line != self._line:
            self._line = line
            if self._on_change is not None:
                self._on_change(line)

    def parts(self) -> tuple[PartStatus, ...]:
        """Every part, in the order they were added."""
        return tuple(self._parts.values())

    def line(self) -> str:
        """One line: parts in trouble with their reason first, then the others."""
        if not self._parts:
            return "nothing to do: no cameras and no telemetry.routes"
        ordered = sorted(self._parts.values(), key=lambda part: _rank(part.state))
        return "; ".join(_phrase(part) for part in ordered)


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else 0


def _phrase(part: PartStatus) -> str:
    detail = f" ({part.detail})" if part.detail else ""
    return f"{part.name} {part.state}{detail}"
