from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metered_realtime.media.recorder_names import FileNames

NOON = datetime(2026, 5, 4, 12, 30, 7, tzinfo=UTC)


def names(pattern: str, count: int, *taken: str) -> list[str]:
    exists = {Path(name) for name in taken}
    file_names = FileNames(pattern)
    given = []
    for _ in range(count):
        path = file_names.next(NOON, exists.__contains__)
        exists.add(path)
        given.append(str(path))
    return given


@pytest.mark.parametrize(
    ("pattern", "taken", "given"),
    [
        ("out.mp4", (), ["out.mp4", "out-2.mp4", "out-3.mp4"]),
        ("out.mp4", ("out.mp4", "out-2.mp4"), ["out.mp4", "out-3.mp4", "out-4.mp4"]),
        ("a-{n}.mkv", (), ["a-1.mkv", "a-2.mkv", "a-3.mkv"]),
        ("a-{n:04}.mkv", ("a-0001.mkv", "a-0002.mkv"), ["a-0003.mkv", "a-0004.mkv", "a-0005.mkv"]),
        ("%Y/%m/%d/%H%M%S.mp4", (), ["2026/05/04/123007.mp4", "2026/05/04/123007-2.mp4", "2026/05/04/123007-3.mp4"]),
        ("%H-{n}.mp4", ("12-1.mp4",), ["12-2.mp4", "12-3.mp4", "12-4.mp4"]),
    ],
)
def test_no_name_is_given_twice_and_nothing_but_a_fixed_name_is_written_over(
    pattern: str, taken: tuple[str, ...], given: list[str]
) -> None:
    assert names(pattern, 3, *taken) == given


def test_a_time_that_moves_on_needs_no_number() -> None:
    file_names = FileNames("%S.mp4")
    paths = [file_names.next(NOON.replace(second=second), lambda _: False) for second in (1, 1, 2)]
    assert [str(path) for path in paths] == ["01.mp4", "01-2.mp4", "02.mp4"]


def test_where_no_name_is_free_it_says_so() -> None:
    with pytest.raises(ValueError, match="no free file name"):
        FileNames("{n}.mp4").next(NOON, lambda _: True)
