"""The spiller with a real file: commits before it acknowledges, survives trouble with the disk, finishes on a stop."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from edged.errors import StoreError
from edged.settings import OutboxSettings
from edged.telemetry.outbox import Outbox
from edged.telemetry.reading import make_reading
from edged.telemetry.spill import Spiller
from edged.telemetry.store import Store


class Disk:
    """An outbox and its spiller; `changed` is set after every round of work."""

    def __init__(self, path, account=None, **settings):
        self.settings = OutboxSettings(**settings)
        self.outbox = Outbox(self.settings)
        self.store = Store(path)
        self.acked = []
        self.changed = asyncio.Event()
        self.spiller = Spiller(
            self.outbox,
            self.store,
            spill_after_s=self.settings.spill_after_s,
            on_change=self.changed.set,
            account=account,
            retry_after_s=0.02,
        )
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.spiller.run())

    async def stop(self):
        self.task.cancel()
        await asyncio.wait([self.task])

    def accept(self, *numbers):
        now_s = asyncio.get_running_loop().time()
        for number in numbers:
            reading = make_reading(f"g/b/{number}", "farm", "t", number, 0, retained=False)
            self.outbox.accept(reading, lambda n=number: self.acked.append(n), now_s)

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def drained(self, count):
        """Play the hub until it has taken `count` readings; return their numbers in the order it got them."""
        order = []

        def take():
            while (batch := self.outbox.next_batch()) is not None:
                order.extend(int(entry.reading.id[4:]) for entry in batch.entries)
                self.outbox.settle(batch, asyncio.get_running_loop().time())
            self.spiller.wake()
            return len(order) == count

        await self.until(take)
        return order


def full(_write, _account):
    raise StoreError("outbox.db cannot be used: database or disk is full")


@pytest.fixture
async def disk(tmp_path):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    disk.start()
    yield disk
    await disk.stop()


async def test_what_waits_is_committed_and_then_acknowledged(disk):
    disk.accept(1, 2, 3)
    await disk.until(lambda: disk.acked == [1, 2, 3])


async def test_a_stop_writes_down_what_is_left_and_the_next_start_finds_it(tmp_path):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=3600)
    disk.start()
    await disk.until(lambda: disk.outbox._opened)
    disk.accept(1, 2)
    in_flight = disk.outbox.next_batch()
    assert in_flight is not None
    await disk.stop()
    assert disk.acked == [1, 2]
    again = Disk(tmp_path / "outbox.db")
    again.start()
    await again.until(lambda: again.outbox.next_batch() is not None)
    assert again.outbox.stats().recovered == 2
    await again.stop()


class Remembered:
    """An account that knows how many should be in the file."""

    def __init__(self, stored):
        self.stored = stored
        self.found = []

    def text(self):
        return "as it was"

    def restore(self, text, stored):
        self.found.append((text, stored))
        return max(0, self.stored - stored)


async def test_the_account_is_kept_in_the_file_and_told_what_is_there(tmp_path, caplog):
    async def live(account, *numbers):
        disk = Disk(tmp_path / "outbox.db", account, spill_after_s=3600)
        disk.start()
        await disk.until(lambda: disk.outbox._opened)
        disk.accept(*numbers)
        await disk.stop()
        return account.found

    assert await live(Remembered(0), 1, 2) == [("", 0)]
    assert await live(Remembered(5)) == [("as it was", 2)]
    assert f"3 readings that were in {tmp_path / 'outbox.db'} at the last stop are gone" in caplog.text


async def test_a_stop_in_the_middle_of_a_commit_knows_that_it_was_committed(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    begun, go_on = asyncio.Event(), threading.Event()
    loop, commit = asyncio.get_running_loop(), disk.store.write

    def slow_commit(write, account):
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(5)
        return commit(write, account)

    disk.store.write = slow_commit
    disk.accept(1)
    disk.start()
    await asyncio.wait_for(begun.wait(), 5)
    disk.task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait([disk.task])
    assert disk.acked == [1]
    assert disk.outbox.stats().waiting == 1
    store = Store(tmp_path / "outbox.db")
    assert store.open().lanes[1].count == 1
    store.close()


async def test_trouble_is_told_once_and_mends_itself(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="edged.telemetry")
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    commit, failures = disk.store.write, []

    def failing_commit(write, account):
        if len(failures) < 3:
            failures.append(1)
            raise StoreError("outbox.db cannot be used: database or disk is full")
        return commit(write, account)

    disk.store.write = failing_commit
    disk.accept(1)
    disk.start()
    await disk.until(lambda: disk.acked == [1])
    await disk.stop()
    told = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert [level for level, _text in told] == ["WARNING", "INFO", "INFO"]
    assert "disk is full" in told[0][1]
    assert "can be written again" in told[1][1]


async def test_a_disk_that_takes_nothing_more_still_gives_back_what_it_has(tmp_path, monkeypatch):
    stored = Disk(tmp_path / "outbox.db", spill_after_s=0)
    stored.accept(*range(20))
    stored.start()
    await stored.until(lambda: len(stored.acked) == 20)
    await stored.stop()
    disk = Disk(tmp_path / "outbox.db")
    monkeypatch.setattr(disk.store, "write", full)
    monkeypatch.setattr("edged.telemetry.commit_times._ENOUGH_DEAD_ROWS", 1)
    disk.start()
    assert await disk.drained(20) == list(range(20))
    await disk.stop()


async def test_a_file_of_dead_rows_on_a_full_disk_is_replaced(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    disk.accept(1)
    disk.start()
    await disk.until(lambda: disk.acked == [1])
    commit, remove = disk.store.write, disk.store.remove

    def make_room():
        remove()
        assert not (tmp_path / "outbox.db").exists()
        disk.store.write = commit

    disk.store.write, disk.store.remove = full, make_room
    disk.outbox.settle(disk.outbox.next_batch(), asyncio.get_running_loop().time())
    disk.accept(2)
    await disk.until(lambda: disk.acked == [1, 2])
    await disk.stop()
    store = Store(tmp_path / "outbox.db")
    assert store.open().lanes[1].count == 1
    store.close()


async def test_a_disk_that_hangs_does_not_hang_the_stop(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("edged.telemetry.spill.FINAL_SPILL_TIMEOUT_S", 0.1)
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang(_write, _account):
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(20)

    disk.store.write = hang
    disk.accept(1)
    disk.start()
    await asyncio.wait_for(begun.wait(), 5)
    try:
        async with asyncio.timeout(2):
            await disk.stop()
    finally:
        go_on.set()
        await asyncio.to_thread(disk.spiller._thread.shutdown)
        disk.store.close()
    assert disk.acked == []
    assert "the disk does not answer" in caplog.text


async def test_a_folder_that_cannot_be_used_keeps_readings_unacknowledged_until_it_can(tmp_path):
    blocked = tmp_path / "state"
    blocked.write_text("a file where a folder should be")
    disk = Disk(blocked / "outbox.db", spill_after_s=0)
    disk.accept(1)
    disk.start()
    await asyncio.sleep(0.05)
    assert disk.acked == []
    blocked.unlink()
    await disk.until(lambda: disk.acked == [1])
    await disk.stop()


async def test_a_damaged_file_is_set_aside_with_one_warning(tmp_path, caplog):
    path = tmp_path / "outbox.db"
    path.write_bytes(b"damaged" * 1000)
    disk = Disk(path, spill_after_s=0)
    disk.accept(1)
    disk.start()
    await disk.until(lambda: disk.acked == [1])
    await disk.stop()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "set aside as outbox.db.corrupt-" in warnings[0]
    assert len(list(tmp_path.glob("outbox.db.corrupt-*"))) == 1


async def test_a_file_that_is_deleted_while_it_is_open_is_replaced(tmp_path):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0)
    disk.accept(1)
    disk.start()
    await disk.until(lambda: disk.acked == [1])
    for file in tmp_path.iterdir():
        file.unlink()
    disk.accept(2)
    await disk.until(lambda: disk.acked == [1, 2])
    await disk.stop()


async def test_a_backlog_larger_than_memory_goes_through_the_disk_in_order(tmp_path):
    disk = Disk(tmp_path / "outbox.db", spill_after_s=0, memory_bytes=50_000)
    disk.start()
    for n in range(1000):
        disk.accept(n)
        if disk.outbox.wants_disk:
            disk.spiller.wake()
            await disk.until(lambda: not disk.outbox.is_full)
    await disk.until(lambda: len(disk.acked) == 1000)
    assert disk.outbox._memory_bytes <= 50_000
    assert await disk.drained(1000) == list(range(1000))
    await disk.stop()
