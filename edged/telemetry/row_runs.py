"""Rows of the store that are done with, as runs of neighbours: a million settled readings are a few numbers. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Run:
    """Rows without a hole between them."""

    first: int
    last: int
    total_bytes: int

    @property
    def count(self) -> int:
        """How many rows they are."""
        return self.last - self.first + 1


class RowRuns:
    """Rows to be deleted. They leave in two steps, as a transaction does: `take`, and `gone` or `stay`."""

    def __init__(self) -> None:
        self.total_bytes = 0
        self.count = 0
        self._runs: list[Run] = []
        self._leaving: tuple[Run, ...] = ()

    def __contains__(self, row: int) -> bool:
        at = bisect_right(self._runs, row, key=_first) - 1
        if at >= 0 and row <= self._runs[at].last:
            return True
        return any(run.first <= row <= run.last for run in self._leaving)

    @property
    def is_waiting(self) -> bool:
        """There are rows that no transaction has taken yet."""
        return bool(self._runs)

    @property
    def run_count(self) -> int:
        """How much memory they take: one piece for each run."""
        return len(self._runs) + len(self._leaving)

    def add(self, row: int, size_bytes: int) -> None:
        """Take in one row, once."""
        self.total_bytes += size_bytes
        self.count += 1
        self._merge(Run(row, row, size_bytes))

    def add_run(self, run: Run) -> None:
        """Take in rows of which some may be in already."""
        runs = self._runs
        at = bisect_right(runs, run.first, key=_first)
        if at and runs[at - 1].last >= run.first - 1:
            at -= 1
        while at < len(runs) and runs[at].first <= run.last + 1:
            other = runs.pop(at)
            run = Run(min(run.first, other.first), max(run.last, other.last), run.total_bytes + other.total_bytes)
        runs.insert(at, run)

    def cut_before(self, row: int) -> None:
        """Forget the rows before a row."""
        while self._runs and self._runs[0].first < row:
            run = self._runs.pop(0)
            if run.last >= row:
                self._runs.insert(0, Run(row, run.last, run.total_bytes))
                return

    @property
    def runs(self) -> Sequence[Run]:
        """The rows no transaction has taken yet, oldest first."""
        return self._runs

    def take(self) -> tuple[Run, ...]:
        """Return the rows for a transaction. Answer with `gone` or `stay`."""
        self._leaving, self._runs = tuple(self._runs), []
        return self._leaving

    def gone(self) -> None:
        """What was taken is deleted."""
        for run in self._leaving:
            self.total_bytes -= run.total_bytes
            self.count -= run.count
        self._leaving = ()

    def stay(self) -> None:
        """What was taken could not be deleted."""
        leaving, self._leaving = self._leaving, ()
        for run in leaving:
            self._merge(run)

    def clear(self) -> None:
        """Forget all."""
        self._runs, self._leaving = [], ()
        self.total_bytes = self.count = 0

    def _merge(self, run: Run) -> None:
        runs = self._runs
        at = bisect_right(runs, run.first, key=_first)
        before = runs[at - 1] if at else None
        after = runs[at] if at < len(runs) else None
        if before is not None and before.last + 1 == run.first:
            before.last = run.last
            before.total_bytes += run.total_bytes
            run = before
            at -= 1
        else:
            runs.insert(at, run)
        if after is not None and run.last + 1 == after.first:
            run.last = after.last
            run.total_bytes += after.total_bytes
            del runs[at + 1]


def runs_without(spared: Collection[int], first: int, last: int) -> list[Run]:
    """Return the rows from one to another without some, as runs of unknown size."""
    runs = []
    for row in (*sorted(row for row in spared if first <= row <= last), last + 1):
        if first < row:
            runs.append(Run(first, row - 1, 0))
        first = row + 1
    return runs


def _first(run: Run) -> int:
    return run.first
