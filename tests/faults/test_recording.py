"""Files after a power cut: what was synced is there, what was not may be there in any part."""

import io
import random

from tests.faults.recording import (
    CREATE,
    DELETE,
    SECTOR_BYTES,
    SYNC,
    TRUNCATE,
    WRITE,
    Step,
    after_power_cut,
    read_steps,
    write_step,
)

A, B = b"a" * 1024, b"b" * 1024


def write(data, offset=0, file="db"):
    return Step(WRITE, file, 0.0, offset, data)


def outcomes(*steps):
    return [after_power_cut(steps, random.Random(seed)).get("db") for seed in range(200)]


def test_what_was_synced_is_always_there():
    assert set(outcomes(Step(CREATE, "db", 0.0), write(A), Step(SYNC, "db", 0.0))) == {A}


def test_what_was_not_synced_is_there_wholly_partly_or_not_at_all():
    found = {bytes(content) for content in outcomes(write(A), Step(SYNC, "db", 0.0), write(B))}
    half = SECTOR_BYTES
    assert found == {A, B, B[:half] + A[half:], A[:half] + B[half:]}


def test_a_sync_of_one_file_says_nothing_of_another():
    found = outcomes(write(A), Step(SYNC, "other", 0.0))
    assert b"" in found
    assert A in found


def test_a_truncation_counts_when_it_is_synced():
    assert set(outcomes(write(A), Step(TRUNCATE, "db", 0.0, 100), Step(SYNC, "db", 0.0))) == {A[:100]}
    assert set(outcomes(write(A), Step(SYNC, "db", 0.0), Step(TRUNCATE, "db", 0.0, 100))) == {A, A[:100]}


def test_a_deleted_file_is_gone():
    assert set(outcomes(write(A), Step(DELETE, "db", 0.0))) == {None}


def test_a_recording_reads_back_without_its_torn_end():
    steps = [Step(CREATE, "state/db", 1.5), write(A, 4096), Step(SYNC, "state/db", 2.5)]
    out = io.BytesIO()
    for step in steps:
        write_step(out, step)
    assert list(read_steps(io.BytesIO(out.getvalue()))) == steps
    assert list(read_steps(io.BytesIO(out.getvalue()[:-1]))) == steps[:-1]
