"""The outbox file on a real disk: transactions, damage, strangers, locks, kill -9."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry.entries import Entry, Evicted, Read, StoreSummary, Write
from edged.telemetry.reading import Reading
from edged.telemetry.store import Store

ROOT = Path(__file__).parents[3]


def reading(number, channel="farm"):
    body = f'{{"id":"{number}","value":"ä"}}'
    return Reading(f"g/b/{number}", channel, body, len(body.encode()))


def write(appends=(), deletes=None, evict_bytes=0, evict_after_row=0):
    entries = tuple((row, Entry(reading(row), None, 0.0)) for row in appends)
    return Write(entries, deletes or {}, evict_bytes, evict_after_row)


SIZE = Entry(reading(1), None, 0.0).row_bytes


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "state" / "outbox.db")
    yield store
    store.close()


def rows(store, after=0, count=100, size=1 << 20):
    return [stored.row for stored in store.read(Read(after, count, size)).rows]


def test_a_new_file_is_empty_and_durable(store):
    assert store.open() == StoreSummary(0, 0, 0)
    db = store._db
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_was_written_is_there_after_opening_again(store):
    store.open()
    store.write(write(appends=[1, 2, 3]))
    store.write(write(appends=[4], deletes={2: SIZE}))
    store.close()
    assert store.open() == StoreSummary(3, 3 * SIZE, 4)
    found = store.read(Read(0, 10, 1 << 20))
    assert [(s.row, s.reading) for s in found.rows] == [(n, reading(n)) for n in (1, 3, 4)]


def test_reading_is_bounded_by_count_and_size(store):
    store.open()
    store.write(write(appends=range(1, 50)))
    assert rows(store, after=10, count=3) == [11, 12, 13]
    assert rows(store, count=100, size=1) == [1]


def test_room_is_made_from_the_oldest_after_a_row(store):
    store.open()
    store.write(write(appends=range(1, 9)))
    evicted = store.write(write(appends=[9], evict_bytes=SIZE + 1, evict_after_row=2))
    assert evicted == Evicted(2, 2 * SIZE, 4)
    assert rows(store) == [1, 2, 5, 6, 7, 8, 9]
    store.close()
    assert store.open() == StoreSummary(7, 7 * SIZE, 9)


def test_the_file_shrinks_when_the_backlog_has_gone(store):
    store.open()
    store.write(write(appends=range(1, 5000)))
    store.write(write(deletes=dict.fromkeys(range(1, 5000), SIZE)))
    store.close()
    assert store.path.stat().st_size < 50_000


def test_a_transaction_that_fails_leaves_nothing(store):
    store.open()
    store.write(write(appends=[1]))
    with pytest.raises(StoreError):
        store.write(write(appends=[2, 1]))
    assert rows(store) == [1]
    store.write(write(appends=[2]))
    assert rows(store) == [1, 2]


def test_damaged_file_is_a_corrupt_error_and_can_be_set_aside(store):
    store.path.parent.mkdir()
    store.path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreCorruptError, match="damaged"):
        store.open()
    aside = store.set_aside()
    assert aside.read_bytes().startswith(b"this is no database")
    assert store.open() == StoreSummary(0, 0, 0)


def test_a_damaged_file_that_cannot_be_renamed_stays_open_so_that_it_is_tried_again(store, monkeypatch):
    def refuse(_path, _target):
        raise OSError(30, "Read-only file system")

    store.open()
    store.write(write(appends=[1]))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(StoreError, match="cannot be set aside: Read-only"):
            store.set_aside()
    assert rows(store) == [1]
    assert store.set_aside().exists()
    assert store.open() == StoreSummary(0, 0, 0)


def test_a_file_that_is_removed_starts_empty(store):
    store.open()
    store.write(write(appends=[1]))
    store.remove()
    assert list(store.path.parent.iterdir()) == []
    assert store.open() == StoreSummary(0, 0, 0)


def test_only_the_newest_damaged_file_is_kept(store):
    store.path.parent.mkdir()
    (store.path.parent / "outbox.db.corrupt-20200101T000000").write_text("old")
    store.path.write_text("new")
    store.set_aside()
    assert [p.read_text() for p in store.path.parent.iterdir()] == ["new"]


def test_damage_inside_is_noticed_when_it_is_met(store):
    store.open()
    store.write(write(appends=range(1, 2000)))
    store.close()
    data = bytearray(store.path.read_bytes())
    data[8192:-4096] = b"\xa5" * (len(data) - 8192 - 4096)
    store.path.write_bytes(data)

    def read_all():
        for first in range(store.open().last_row):
            store.read(Read(first, 500, 1 << 20))

    with pytest.raises(StoreCorruptError):
        read_all()


def test_a_row_that_holds_no_reading_is_reported_as_damaged(store):
    store.open()
    store.write(write(appends=[1, 2, 3]))
    store._db.execute("UPDATE readings SET body = '{\"id\":' WHERE row = 2")
    store._db.execute("UPDATE readings SET body = X'00' WHERE row = 3")
    found = store.read(Read(0, 10, 1 << 20))
    assert [s.row for s in found.rows] == [1]
    assert set(found.damaged) == {2, 3}


def test_a_format_of_the_future_is_set_aside(store):
    store.open()
    store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreCorruptError, match="format 99"):
        store.open()


def test_another_programs_database_is_left_alone(store):
    store.path.parent.mkdir()
    other = sqlite3.connect(store.path)
    other.execute("CREATE TABLE precious (x)")
    other.close()
    with pytest.raises(StoreError, match=r"telemetry\.outbox\.path") as caught:
        store.open()
    assert not isinstance(caught.value, StoreCorruptError)


def test_a_second_daemon_on_the_same_file_is_told_that_it_is_locked(store):
    store.open()
    second = Store(store.path)
    with pytest.raises(StoreError, match="locked") as caught:
        second.open()
    assert not isinstance(caught.value, StoreCorruptError)
    store.write(write(appends=[1]))


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "outbox.db").open()
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "outbox.db").open()


def test_using_a_closed_store_is_a_store_error(store):
    with pytest.raises(StoreError, match="not open"):
        store.read(Read(0, 1, 1))


CHILD = """
import sys
from pathlib import Path
from tests.edged.telemetry.test_store import Store, write
store = Store(Path(sys.argv[1]))
store.open()
row = 1
while True:
    store.write(write(appends=range(row, row + 7), deletes={row - 1: 97} if row > 1 else {}))
    row += 7
    print(row - 1, flush=True)
"""


def test_every_commit_that_returned_survives_kill_9(tmp_path):
    path = tmp_path / "outbox.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, path],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    told = [int(child.stdout.readline()) for _ in range(25)]
    child.send_signal(signal.SIGKILL)
    told += [int(line) for line in child.stdout.read().split()]
    child.wait()
    child.stdout.close()
    store = Store(path)
    summary = store.open()
    assert summary.last_row >= told[-1]
    found = rows(store, count=100_000)
    assert len(found) == summary.count
    assert set(found) >= {n for n in range(1, told[-1] + 1) if n % 7}
    store.close()
