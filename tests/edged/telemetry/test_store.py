"""The outbox file on a real disk: transactions, damage, strangers, locks, kill -9."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry import store_format
from edged.telemetry.entries import Entry
from edged.telemetry.moments import Moment
from edged.telemetry.reading import Reading
from edged.telemetry.row_runs import Run
from edged.telemetry.store import Store
from edged.telemetry.transactions import Evicted, Eviction, LaneSummary, LaneWrite, Read, StoreSummary, Write

ROOT = Path(__file__).parents[3]


BOOT = Moment("boot-1", 1_000, 1_700_000_000_000, is_set=True)


def reading(number, channel="farm", **options):
    body = f'{{"id":"g/b/{number}","value":"ä"}}'
    return Reading(f"g/b/{number}", channel, body, len(body.encode()), taken=BOOT, **options)


class Rows:
    """What the outbox knows of one lane, so that the totals it writes are right."""

    def __init__(self, lane=1):
        self.lane = lane
        self.sizes = {}

    def write(self, store, appends=(), deletes=(), eviction=None, first_row=1, account=b"", shrinks=False, **options):
        entries = tuple(Entry(reading(row, **options), None, 0.0, row) for row in appends)
        self.sizes.update({entry.row: entry.row_bytes for entry in entries})
        for row in deletes:
            del self.sizes[row]
        runs = tuple(Run(row, row, SIZE) for row in deletes)
        lanes = [LaneWrite(lane, (), (), 1, None, 0, 0, False) for lane in range(3)]
        lanes[self.lane] = LaneWrite(
            self.lane, entries, runs, first_row, eviction, len(self.sizes), sum(self.sizes.values()), False
        )
        committed = store.write(Write(tuple(lanes), shrinks=shrinks), account)
        return committed.evicted[self.lane]


SIZE = Entry(reading(1), None, 0.0, 1).row_bytes


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "state" / "outbox.db")
    yield store
    store.close()


def rows(store, after=0, count=100, size=1 << 20):
    return [stored.row for stored in store.read(Read(1, after, 1 << 40, count, size)).rows]


def summary(count=0, total_bytes=0, last_row=0, account=b""):
    return StoreSummary((LaneSummary(), LaneSummary(count, total_bytes, last_row), LaneSummary()), account)


def test_a_new_file_is_empty_and_durable(store):
    assert store.open() == summary()
    db = store._db
    assert db.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_was_written_is_there_after_opening_again(store):
    store.open()
    lane = Rows()
    lane.write(store, [1, 2, 3])
    lane.write(store, [4], [2])
    store.close()
    assert store.open() == summary(3, 3 * SIZE, 4)
    found = store.read(Read(1, 0, 4, 10, 1 << 20))
    assert [(s.row, s.reading) for s in found.rows] == [(n, reading(n)) for n in (1, 3, 4)]


def test_what_had_been_overtaken_is_known_after_opening_again(store):
    store.open()
    parts = (LaneWrite(lane, (), (), 1, None, 0, 0, has_own_keeps=False, late_until_row=lane * 5) for lane in range(3))
    store.write(Write(tuple(parts)), b"")
    store.close()
    assert [lane.late_until_row for lane in store.open().lanes] == [0, 5, 10]


def test_reading_is_bounded_by_count_and_size(store):
    store.open()
    Rows().write(store, range(1, 50))
    assert rows(store, after=10, count=3) == [11, 12, 13]
    assert rows(store, count=100, size=1) == [1]


def test_room_is_made_from_the_oldest_between_two_rows(store):
    store.open()
    lane = Rows()
    lane.write(store, range(1, 10))
    evicted = lane.write(store, [10], eviction=Eviction(2, 8, SIZE + 1, frozenset({4})))
    assert evicted == Evicted(2, 2 * SIZE, 5)
    assert rows(store) == [1, 2, 4, 6, 7, 8, 9, 10]
    store.close()
    assert store.open() == summary(8, 8 * SIZE + 1, 10)
    assert rows(store) == [1, 2, 4, 6, 7, 8, 9, 10]


def test_the_file_starts_over_when_a_large_backlog_has_gone(store):
    store.open()
    lane = Rows()
    for first in range(1, 30_000, 1000):
        lane.write(store, range(first, first + 1000))
    assert store.path.stat().st_size > 1_000_000
    lane.write(store, [], range(1, 30_001), first_row=30_001, account=b"the account")
    assert store.path.stat().st_size < 50_000
    lane.write(store, [30_001])
    store.close()
    assert store.open() == summary(1, lane.sizes[30_001], 30_001, b"")


def test_a_transaction_that_fails_leaves_nothing(store, monkeypatch):
    store.open()
    lane = Rows()
    lane.write(store, [1])
    with monkeypatch.context() as patched:
        patched.setattr("edged.telemetry.store_format.WRITE_STATE", "UPDATE nothing SET x = ?")
        with pytest.raises(StoreError):
            lane.write(store, [2])
    assert rows(store) == [1]
    lane.write(store, [2])
    assert rows(store) == [1, 2]


def test_a_transaction_that_only_seemed_to_fail_may_be_written_again(store):
    store.open()
    lane = Rows()
    lane.write(store, [1, 2])
    lane.write(store, [1, 2, 3])
    assert rows(store) == [1, 2, 3]
    assert store.open() == summary(3, 3 * SIZE, 3)


def test_damaged_file_is_a_corrupt_error_and_can_be_set_aside(store):
    store.path.parent.mkdir()
    store.path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreCorruptError, match="damaged"):
        store.open()
    aside = store.set_aside()
    assert aside.read_bytes().startswith(b"this is no database")
    assert store.open() == summary()


def test_a_damaged_file_that_cannot_be_renamed_stays_open_so_that_it_is_tried_again(store, monkeypatch):
    def refuse(_path, _target):
        raise OSError(30, "Read-only file system")

    store.open()
    Rows().write(store, [1])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(StoreError, match="cannot be set aside: Read-only"):
            store.set_aside()
    assert rows(store) == [1]
    assert store.set_aside().exists()
    assert store.open() == summary()


def test_a_file_that_is_removed_starts_empty(store):
    store.open()
    Rows().write(store, [1])
    store.remove()
    assert list(store.path.parent.iterdir()) == []
    assert store.open() == summary()


def test_only_the_newest_damaged_file_is_kept(store):
    store.path.parent.mkdir()
    (store.path.parent / "outbox.db.corrupt-20200101T000000").write_text("old")
    store.path.write_text("new")
    store.set_aside()
    assert [p.read_text() for p in store.path.parent.iterdir()] == ["new"]


def test_damage_inside_is_noticed_when_it_is_met(store):
    store.open()
    Rows().write(store, range(1, 2000))
    store.close()
    data = bytearray(store.path.read_bytes())
    data[8192:-4096] = b"\xa5" * (len(data) - 8192 - 4096)
    store.path.write_bytes(data)

    last_row = store.open().lanes[1].last_row

    def read_all():
        for first in range(last_row):
            store.read(Read(1, first, 2000, 500, 1 << 20))

    with pytest.raises(StoreError) as caught:
        read_all()
    # Once may be the disk, which lies when it dies; with a new connection it is the file.
    assert not isinstance(caught.value, StoreCorruptError)
    with pytest.raises(StoreCorruptError):
        read_all()


def test_a_row_that_holds_no_reading_is_reported_as_damaged(store):
    store.open()
    Rows().write(store, [1, 2, 3])
    store._db.execute("UPDATE readings_1_1 SET body = '{\"id\":' WHERE row = 2")
    store._db.execute("UPDATE readings_1_1 SET body = X'00' WHERE row = 3")
    found = store.read(Read(1, 0, 10, 10, 1 << 20))
    assert [s.row for s in found.rows] == [1]
    assert set(found.damaged) == {2, 3}


def test_a_format_of_the_future_is_set_aside_whole_and_never_deleted(store):
    store.open()
    Rows().write(store, [1, 2])
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreCorruptError, match="format 99"):
        store.open()
    aside = store.set_aside()
    assert ".format-99-" in aside.name
    assert store.open() == summary()
    store.close()
    store.path.write_bytes(b"damaged" * 1000)
    with pytest.raises(StoreCorruptError):
        store.open()
    store.set_aside()
    other = sqlite3.connect(aside)
    assert other.execute("SELECT count(*) FROM readings_1_1").fetchone() == (2,)
    other.close()


FORMAT_1 = """
PRAGMA application_id = 0x65644762;
PRAGMA user_version = 1;
CREATE TABLE readings (row INTEGER PRIMARY KEY, id TEXT NOT NULL, channel TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE totals (count INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (2, 300);
INSERT INTO readings VALUES (5, 'g/b/5', 'farm', '{"id":"g/b/5","value":1}'), (6, 'g/b/6', 'yard', '{"id":');
"""


def old_file(store):
    store.path.parent.mkdir(exist_ok=True)
    old = sqlite3.connect(store.path)
    old.executescript(FORMAT_1)
    old.close()


def test_a_file_of_format_1_is_brought_up_and_gives_back_what_it_has(store):
    old_file(store)
    assert store.open() == summary(2, 300, 6)
    found = store.read(Read(1, 0, 6, 10, 1 << 20))
    (stored,) = found.rows
    assert stored.reading == Reading("g/b/5", "farm", '{"id":"g/b/5","value":1}', 24)
    assert set(found.damaged) == {6}
    lane = Rows()
    lane.sizes = {5: 100, 6: 200}
    lane.write(store, [7])
    assert rows(store) == [5, 7]
    assert store.open() == summary(3, 300 + SIZE, 7)


def test_a_crash_in_the_middle_of_a_migration_leaves_a_file_that_can_be_migrated(store, monkeypatch):
    old_file(store)
    whole = store_format.migration(1)
    for cut in range(len(whole)):
        with monkeypatch.context() as patched:
            patched.setattr(store_format, "migration", lambda _version, cut=cut: [*whole[:cut], "SELECT no FROM where"])
            with pytest.raises(StoreError):
                store.open()
    assert store.open() == summary(2, 300, 6)


def test_a_file_that_another_one_took_the_place_of_is_not_gone_on_with(store):
    store.open()
    lane = Rows()
    lane.write(store, [1])
    other = Store(store.path.with_name("other.db"))
    other.open()
    other.close()
    store.path.with_name("outbox.db-wal").unlink()
    other.path.rename(store.path)
    with pytest.raises(StoreCorruptError, match="replaced"):
        lane.write(store, [2])


def test_after_trouble_with_the_disk_the_file_is_opened_again_until_that_works(store, monkeypatch):
    def refuse(*_args, **_options):
        raise sqlite3.OperationalError("unable to open database file")

    store.open()
    lane = Rows()
    lane.write(store, [1])
    with monkeypatch.context() as patched:
        patched.setattr("edged.telemetry.store_format.WRITE_STATE", "UPDATE nothing SET x = ?")
        with pytest.raises(StoreError):
            lane.write(store, [2])
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", refuse)
        for _ in range(2):
            with pytest.raises(StoreError, match="unable to open"):
                lane.write(store, [2])
    lane.write(store, [2])
    assert rows(store) == [1, 2]


def test_a_file_that_is_gone_is_an_error_of_its_own(store):
    store.open()
    lane = Rows()
    lane.write(store, [1])
    for file in store.path.parent.iterdir():
        file.unlink()
    with pytest.raises(StoreCorruptError, match="is gone"):
        lane.write(store, [2])


def test_the_disk_says_what_is_free_and_what_was_written(store):
    store.open()
    assert store.free_bytes() > 0
    committed = store.write(Write(tuple(LaneWrite(lane, (), (), 1, None, 0, 0, False) for lane in range(3))), b"")
    assert committed.written_bytes >= 0
    missing = Store(store.path.parent / "no" / "folder.db")
    with pytest.raises(StoreError, match="does not answer"):
        missing.free_bytes()


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
    Rows().write(store, [1])


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "outbox.db").open()
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "outbox.db").open()


def test_using_a_closed_store_is_a_store_error(store):
    with pytest.raises(StoreError, match="not open"):
        store.read(Read(1, 0, 1, 1, 1))


CHILD = """
import sys
from pathlib import Path
from tests.edged.telemetry.test_store import Rows, Store
store = Store(Path(sys.argv[1]))
store.open()
lane = Rows()
row = 1
while True:
    lane.write(store, range(row, row + 7), [row - 1] if row > 1 else [])
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
    summary = store.open().lanes[1]
    assert summary.last_row >= told[-1]
    found = rows(store, count=100_000)
    assert len(found) == summary.count
    assert set(found) >= {n for n in range(1, told[-1] + 1) if n % 7}
    store.close()
