"""Where the frames of a file lie on the line of time, once or over and over without a gap. Pure."""

from __future__ import annotations

_DEFAULT_STEP_S = 0.04


class FileLine:
    """Places the frames of one run through a file after those of the run before.

    All times are in seconds; the first run keeps the file's own times.
    """

    def __init__(self, *, start_s: float) -> None:
        self._start_s = start_s
        self._end_s = start_s
        self._offset_s = 0.0
        self._last_s: dict[str, float] = {}
        self.frames_in_run = 0

    @property
    def offset_s(self) -> float:
        """What is added to the file's own times in this run."""
        return self._offset_s

    def place(self, kind: str, time_s: float | None, duration_s: float) -> float:
        """Return when a frame is due; `duration_s` is 0 where it is not known, `time_s` None where there is none."""
        last_s = self._last_s.get(kind)
        step_s = duration_s or _DEFAULT_STEP_S
        if time_s is None:
            placed_s = self._start_s + self._offset_s if last_s is None else last_s + step_s
        else:
            placed_s = time_s + self._offset_s
        if not duration_s and last_s is not None and placed_s > last_s:
            step_s = placed_s - last_s
        self._last_s[kind] = placed_s
        self._end_s = max(self._end_s, placed_s + step_s)
        self.frames_in_run += 1
        return placed_s

    def again(self) -> None:
        """The next frame is the first of another run."""
        self._offset_s = self._end_s - self._start_s
        self._last_s.clear()
        self.frames_in_run = 0
