"""The file of refused messages: bounded, its owner's alone, and no trouble when it cannot be written."""

from __future__ import annotations

import asyncio
import json
import logging
import stat

import pytest

from edged.telemetry.moments import Moment
from edged.telemetry.quarantine import Quarantine
from edged.telemetry.quarantine_file import MAX_BYTES, NAME, QuarantineFile


class Writing:
    def __init__(self, state_dir):
        self.quarantine = Quarantine()
        self.file = QuarantineFile(self.quarantine, state_dir, gather_s=0)
        self.path = state_dir / NAME
        self.minutes = 0

    def refuse(self, payload=b"x"):
        self.minutes += 1
        assert self.quarantine.add("t", "not_json", payload, Moment("", self.minutes * 60_000, 0, True))
        self.file.wake()

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def written(self):
        await self.until(lambda: not self.quarantine._for_disk)


@pytest.fixture
async def writing(tmp_path):
    made = Writing(tmp_path)
    task = asyncio.create_task(made.file.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_what_was_refused_is_written_for_its_owner_only(writing):
    writing.refuse(b"first")
    await writing.until(lambda: len(records(writing.path)) == 1)
    writing.refuse(b"second")
    await writing.until(lambda: len(records(writing.path)) == 2)
    assert [record["head"] for record in records(writing.path)] == ["first", "second"]
    assert stat.S_IMODE(writing.path.stat().st_mode) == 0o600


async def test_the_two_files_together_stay_within_their_bound(writing, tmp_path):
    for number in range(300):
        writing.refuse(bytes([number % 32]) * 2000)
        await writing.written()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert MAX_BYTES / 4 < sum(sizes) <= MAX_BYTES
    await writing.until(lambda: records(writing.path)[-1:] == [writing.quarantine.kept[-1].as_json()])


async def test_a_disk_that_refuses_is_told_once_and_used_again_later(writing, tmp_path, caplog):
    writing.path.mkdir()
    for _ in range(3):
        writing.refuse()
        await writing.written()
    await writing.until(lambda: writing.file._in_trouble)
    writing.path.rmdir()
    writing.refuse(b"again")
    await writing.until(lambda: records(writing.path))
    assert records(writing.path)[-1]["head"] == "again"
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


async def test_a_link_to_another_file_is_not_followed(writing, tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    writing.path.symlink_to(target)
    writing.refuse()
    await writing.until(lambda: writing.file._in_trouble)
    assert target.read_text() == "precious"
