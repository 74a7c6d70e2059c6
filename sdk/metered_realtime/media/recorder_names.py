"""The names of the files of one recording: from a pattern of time and number, never twice the same. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

_NUMBER = re.compile(r"\{n(?::0?(\d{1,2}))?\}")
_MAX_TRIES = 10_000


class FileNames:
    """Gives the next file's path for a pattern with strftime codes and `{n}` or `{n:04}`, a number that counts up.

    A pattern with neither is the first file's name as it is. Any other name that exists already, or was given
    before, gets the next free number, at its `{n}` or before its suffix.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._has_number = _NUMBER.search(pattern) is not None
        self._is_fixed = not self._has_number and "%" not in pattern
        self._number = 1
        self._given: Path | None = None

    def next(self, now: datetime, exists: Callable[[Path], bool]) -> Path:
        """Return the path of a file begun at `now`. Raises ValueError where no name is free."""
        for _ in range(_MAX_TRIES):
            path = self._path(now)
            first_and_fixed = self._is_fixed and self._given is None
            if first_and_fixed or (path != self._given and not exists(path)):
                self._given = path
                self._number = self._number + 1 if self._has_number or self._is_fixed else 1
                return path
            self._number += 1
        raise ValueError(f"no free file name for {self._pattern!r}")

    def _path(self, now: datetime) -> Path:
        # The number first: what strftime fills in is never taken for a code.
        numbered = _NUMBER.sub(lambda found: str(self._number).zfill(int(found[1] or 1)), self._pattern)
        path = Path(now.strftime(numbered))
        if self._has_number or self._number == 1:
            return path
        return path.with_name(f"{path.stem}-{self._number}{path.suffix}")
