"""Which tables hold the rows of a lane, and which of these rows are done with. Pure.

To delete rows one by one costs a card as much as to write them. So they stay until their whole table can go, and a few
numbers say which of them do not count any more: all before `first_row`, and some runs behind it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from edged.telemetry.row_runs import RowRuns, Run

MAX_RUNS = 100
_ROWS = 16_384


class Segments:
    """The tables of one lane, oldest first, each known by its first row."""

    def __init__(self, lane: int, max_bytes: int) -> None:
        self.lane = lane
        self.first_row = 1
        self.starts: list[int] = []
        self._max_bytes = max_bytes
        self._bytes = max_bytes  # Of the newest; after a start nobody knows: a new one is begun.
        self._done = RowRuns()

    def restore(self, starts: Iterable[int], first_row: int, done: str) -> None:
        """Take over what the file says."""
        self.starts = sorted(starts)
        self.first_row = max(1, first_row)
        self._bytes = self._max_bytes
        self._done.clear()
        for first, last in _runs_in(done):
            self._done.add_run(Run(first, last, 0))

    @property
    def done_text(self) -> str:
        """The runs behind `first_row` that are done with."""
        return json.dumps([[run.first, run.last] for run in self._done.runs], separators=(",", ":"))

    @property
    def last_known_row(self) -> int:
        """No new row may have a number up to this one."""
        return max(self.first_row - 1, *(run.last for run in self._done.runs), 0)

    def table(self, start: int) -> str:
        """Return the name of a table."""
        return f"readings_{self.lane}_{start}"

    def for_append(self, row: int, size_bytes: int) -> tuple[int, bool]:
        """Return the table that rows from `row` on go to, and whether it is a new one."""
        is_new = not self.starts or (row > self.starts[-1] and self._is_full(row))
        if is_new:
            self.starts.append(row)
            self._bytes = 0
        self._bytes += size_bytes
        return self.starts[-1], is_new

    def _is_full(self, row: int) -> bool:
        return self._bytes >= self._max_bytes or row - self.starts[-1] >= _ROWS

    def between(self, after_row: int, until_row: int) -> Iterator[tuple[int, int, int]]:
        """Yield the tables that hold rows between two rows, with the part to look at: after one, up to another."""
        after_row = max(after_row, self.first_row - 1)
        at = max(0, bisect_right(self.starts, after_row + 1) - 1)
        for index in range(at, len(self.starts)):
            if self.starts[index] > until_row:
                return
            end = self.starts[index + 1] - 1 if index + 1 < len(self.starts) else until_row
            yield self.starts[index], after_row, min(end, until_row)

    def is_done(self, row: int) -> bool:
        """Say whether a row does not count any more."""
        return row < self.first_row or row in self._done

    def finish(self, runs: Iterable[Run], first_row: int) -> None:
        """These rows are done with, and all before `first_row`."""
        self.first_row = max(self.first_row, first_row)
        for run in runs:
            if run.last >= self.first_row:
                self._done.add_run(Run(max(run.first, self.first_row), run.last, 0))
        self._done.cut_before(self.first_row)
        while (runs_left := self._done.runs) and runs_left[0].first <= self.first_row:
            self.first_row = runs_left[0].last + 1
            self._done.cut_before(self.first_row)

    def pop_finished(self, *, all_of_them: bool = False) -> list[int]:
        """Take out the tables of which no row counts any more."""
        count = 0
        while count < len(self.starts) and (
            all_of_them or (count + 1 < len(self.starts) and self.starts[count + 1] <= self.first_row)
        ):
            count += 1
        gone, self.starts = self.starts[:count], self.starts[count:]
        return gone

    def pop_runs_to_delete(self) -> list[Run]:
        """Return the runs that have to be deleted row by row because they have become too many to keep in mind."""
        if len(self._done.runs) <= MAX_RUNS:
            return []
        runs = list(self._done.runs)
        self._done.clear()
        return runs


def start_of(table: str) -> tuple[int, int] | None:
    """Return lane and first row of a table by its name, or None if it holds no readings."""
    parts = table.split("_")
    if len(parts) != 3 or parts[0] != "readings" or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return int(parts[1]), int(parts[2])


def _runs_in(text: str) -> Iterator[tuple[int, int]]:
    try:
        found = json.loads(text)
    except ValueError:
        return
    for item in found if isinstance(found, list) else ():
        match item:
            case [int(first), int(last)] if 0 < first <= last:
                yield first, last
