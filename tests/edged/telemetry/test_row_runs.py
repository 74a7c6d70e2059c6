"""Runs of rows against a set of rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.row_runs import RowRuns, Run, runs_without

ROWS = st.lists(st.integers(1, 40), unique=True)


def rows_of(runs):
    return {row for run in runs for row in range(run.first, run.last + 1)}


@given(ROWS)
def test_rows_are_kept_as_few_runs_whatever_order_they_come_in(rows):
    runs = RowRuns()
    for row in rows:
        runs.add(row, 10 * row)
    assert {row for row in range(50) if row in runs} == set(rows)
    assert (runs.count, runs.total_bytes) == (len(rows), 10 * sum(rows))
    assert runs.run_count == sum(1 for row in rows if row - 1 not in rows)
    assert runs.is_waiting == bool(rows)
    taken = runs.take()
    assert rows_of(taken) == set(rows)
    assert sum(run.total_bytes for run in taken) == runs.total_bytes
    assert sum(run.count for run in taken) == len(rows)


@given(ROWS, ROWS, st.booleans())
def test_what_a_transaction_took_is_gone_or_stays(before, meanwhile, works):
    meanwhile = [row for row in meanwhile if row not in before]
    runs = RowRuns()
    for row in before:
        runs.add(row, 1)
    runs.take()
    for row in meanwhile:
        runs.add(row, 1)
    assert {row for row in range(50) if row in runs} == {*before, *meanwhile}
    if works:
        runs.gone()
    else:
        runs.stay()
    left = set(meanwhile) if works else {*before, *meanwhile}
    assert {row for row in range(50) if row in runs} == left
    assert runs.count == runs.total_bytes == len(left)
    assert rows_of(runs.take()) == left


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 8))), st.integers(1, 40))
def test_runs_that_overlap_become_one_and_are_cut_before_a_row(spans, cut):
    runs = RowRuns()
    for first, more in spans:
        runs.add_run(Run(first, first + more, 0))
    rows = {row for first, more in spans for row in range(first, first + more + 1)}
    assert rows_of(runs.runs) == rows
    assert all(one.last + 1 < two.first for one, two in zip(runs.runs, runs.runs[1:], strict=False))
    runs.cut_before(cut)
    assert rows_of(runs.runs) == {row for row in rows if row >= cut}
    runs.clear()
    assert not runs.runs
    assert runs.count == 0


@given(st.sets(st.integers(1, 30)), st.integers(1, 20), st.integers(0, 30))
def test_runs_without_some_rows_hold_all_the_others(spared, first, last):
    rows = [row for run in runs_without(spared, first, last) for row in range(run.first, run.last + 1)]
    assert rows == [row for row in range(first, last + 1) if row not in spared]
