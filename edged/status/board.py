"""The status board: which part is in which state since when, what it counts, a line for people. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Report = Callable[[str, str], None]
"""What a part calls with (state, detail); states are connecting, live, idle, lost and failed."""

Figure = int | float | str | None | Mapping[str, "Figure"]
"""A number, a word, None for not known, or named figures of the same kind (a mapping by reason, by camera)."""

ReadFigures = Callable[[], Mapping[str, Figure]]
"""Gives a part's figures as they are now: fast, without waiting, and never raising."""

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
    """Holds the last word of every part."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._watchers: list[Callable[[], None]] = []
        self._parts: dict[str, PartStatus] = {}
        self._figures: dict[str, ReadFigures] = {}
        self._figures_of_several: list[ReadFigures] = []

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
        new = self._parts[name] = PartStatus(name, state, detail, since_s)
        if new != old:
            for changed in self._watchers:
                changed()

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever a part says something new."""
        self._watchers.append(changed)

    def add_figures(self, name: str, read: ReadFigures) -> None:
        """Add what a part counts; it is read when somebody asks. A name that is there already is replaced."""
        self._figures[name] = read

    def add_figures_of_several(self, read: ReadFigures) -> None:
        """Add the figures of several parts that one callable knows, each a mapping by the name of its part."""
        self._figures_of_several.append(read)

    def figures(self) -> dict[str, dict[str, Figure]]:
        """Read the figures of every part now, in the order they were added."""
        found = {name: dict(read()) for name, read in self._figures.items()}
        for read in self._figures_of_several:
            found |= {name: dict(figures) for name, figures in read().items() if isinstance(figures, Mapping)}
        return found

    def parts(self) -> tuple[PartStatus, ...]:
        """Every part, in the order they were added."""
        return tuple(self._parts.values())

    def line(self, notes: Mapping[str, str] | None = None) -> str:
        """One line: parts in trouble with their reason first, then the others; a live part with its note, if any."""
        if not self._parts:
            return "nothing to do: no cameras and no telemetry.routes"
        ordered = sorted(self._parts.values(), key=lambda part: _rank(part.state))
        return "; ".join(_phrase(part, (notes or {}).get(part.name, "")) for part in ordered)


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else 0


def _phrase(part: PartStatus, note: str) -> str:
    words = note if note and part.state == "live" else part.detail
    detail = f" ({words})" if words else ""
    return f"{part.name} {part.state}{detail}"
