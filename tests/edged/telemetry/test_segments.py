from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.row_runs import Run
from edged.telemetry.segments import MAX_RUNS, Segments, start_of


def segments_at(*starts, first_row=1, done="[]"):
    segments = Segments(1, 1000)
    segments.restore(starts, first_row, done)
    return segments


def test_a_table_is_begun_after_a_start_and_when_the_last_is_full():
    segments = segments_at(1)
    assert segments.for_append(50, 600) == (50, True)
    assert segments.for_append(51, 600) == (50, False)
    assert segments.for_append(52, 10) == (52, True)
    assert segments.for_append(52 + 20_000, 10) == (52 + 20_000, True)


def test_rows_are_looked_for_in_the_tables_that_can_hold_them():
    segments = segments_at(1, 10, 20, first_row=5)
    assert list(segments.between(0, 100)) == [(1, 4, 9), (10, 4, 19), (20, 4, 100)]
    assert list(segments.between(9, 15)) == [(10, 9, 15)]
    assert list(segments.between(30, 40)) == [(20, 30, 40)]
    assert list(segments_at().between(0, 9)) == []


def test_a_table_goes_when_none_of_its_rows_counts_any_more():
    segments = segments_at(1, 10, 20)
    segments.finish([Run(10, 19, 0), Run(25, 26, 0)], 1)
    assert segments.pop_finished() == []
    segments.finish([Run(1, 9, 0)], 1)
    assert (segments.first_row, segments.pop_finished(), segments.starts) == (20, [1, 10], [20])
    assert segments.is_done(19)
    assert not segments.is_done(20)
    assert segments.is_done(25)
    assert segments.pop_finished(all_of_them=True) == [20]


def test_what_is_done_is_known_after_a_start():
    segments = segments_at(1)
    segments.finish([Run(5, 6, 0), Run(9, 9, 0)], 3)
    again = segments_at(1, first_row=segments.first_row, done=segments.done_text)
    assert [row for row in range(1, 12) if again.is_done(row)] == [1, 2, 5, 6, 9]
    assert again.last_known_row == 9


@pytest.mark.parametrize("done", ["", "0", "[1]", '[["a", 2]]', "[[3, 2], [0, 1], [null]]", "{"])
def test_damaged_runs_are_no_runs(done):
    assert segments_at(1, done=done).done_text == "[]"


def test_too_many_runs_are_deleted_one_by_one_after_all():
    segments = segments_at(1)
    segments.finish([Run(row, row, 0) for row in range(3, 3 + 2 * MAX_RUNS, 2)], 1)
    assert segments.pop_runs_to_delete() == []
    segments.finish([Run(1001, 1001, 0)], 1)
    assert len(segments.pop_runs_to_delete()) == MAX_RUNS + 1
    assert segments.done_text == "[]"


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9), st.integers(1, 40))))
def test_a_row_is_done_that_was_said_to_be(steps):
    segments = segments_at(1, 30)
    done = set()
    low = 1
    for first, more, first_row in steps:
        segments.finish([Run(first, first + more, 0)], first_row)
        done |= set(range(first, first + more + 1))
        low = max(low, first_row)
        assert [row for row in range(1, 80) if segments.is_done(row)] == [
            row for row in range(1, 80) if row < low or row in done
        ]


def test_the_name_of_a_table_says_what_it_holds():
    assert start_of(Segments(2, 1).table(17)) == (2, 17)
    assert start_of("readings") is None
    assert start_of("readings_1_x") is None
    assert start_of("state") is None
