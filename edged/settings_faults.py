"""What is wrong with a settings file: one fault, and the list that knows where each key stands."""

from __future__ import annotations

from dataclasses import dataclass

from yaml.nodes import Node

_MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a settings file. Line 0: the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.path}: {self.problem}" if self.path else f"{place}: {self.problem}"


class TooManyFaultsError(Exception):
    """The file is so wrong, or so large, that going on helps nobody."""


class FaultList:
    """The faults of one file, bounded, and the places of its keys."""

    def __init__(self, file: str) -> None:
        self.faults: list[Fault] = []
        self._file = file
        self._places: dict[str, Node] = {}
        self._faulty: set[str] = set()

    def place(self, path: str, node: Node) -> None:
        """Remember where a key path stands."""
        self._places[path] = node

    def add(self, path: str, problem: str, node: Node | None = None) -> None:
        """Add a fault at `node`, or where its path or the nearest group round it stands."""
        place = node if node is not None else self._place_of(path)
        line, column = (place.start_mark.line + 1, place.start_mark.column + 1) if place is not None else (0, 0)
        self.faults.append(Fault(self._file, line, column, path, problem))
        self._faulty.add(path)
        if len(self.faults) >= _MAX_FAULTS:
            raise TooManyFaultsError

    def mark(self, path: str) -> None:
        """Treat a path as faulty without saying so twice."""
        self._faulty.add(path)

    def has(self, path: str) -> bool:
        """Say whether this very path is faulty."""
        return path in self._faulty

    def is_near(self, path: str) -> bool:
        """Say whether this path, something inside it or something round it is faulty."""
        return any(
            one == path or one.startswith((path + ".", path + "[")) or path.startswith((one + ".", one + "["))
            for one in self._faulty
        )

    def _place_of(self, path: str) -> Node | None:
        while path and path not in self._places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._places.get(path)
