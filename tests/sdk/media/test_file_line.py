"""One line of time over the runs of a loop."""

from __future__ import annotations

import pytest

from metered_realtime.media.file_line import FileLine


def test_the_first_run_keeps_the_times_of_the_file() -> None:
    line = FileLine(start_s=1.4)
    assert line.place("video", 1.4, 0.0) == 1.4
    assert line.place("audio", 1.45, 0.02) == 1.45
    assert line.offset_s == 0
    assert line.frames_in_run == 2


def test_the_next_run_begins_where_the_longest_track_ended() -> None:
    line = FileLine(start_s=1.0)
    line.place("video", 1.0, 0.0)
    line.place("video", 1.1, 0.0)  # until 1.2, if the next lasts as long
    line.place("audio", 1.0, 0.5)
    line.again()
    assert line.frames_in_run == 0
    assert line.place("video", 1.0, 0.0) == pytest.approx(1.5)
    assert line.place("audio", 1.0, 0.5) == pytest.approx(1.5)
    line.again()
    assert line.offset_s == pytest.approx(1.0)


def test_frames_without_time_follow_each_other() -> None:
    line = FileLine(start_s=0.0)
    assert line.place("video", None, 0.0) == 0
    assert line.place("video", None, 0.0) == pytest.approx(0.04)
    line.again()
    assert line.place("video", None, 0.0) == pytest.approx(0.08)
