"""The outbox file when a transaction fails, and nobody can say at once whether it is on disk after all."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import contextmanager

import pytest

from edged.errors import StoreError
from edged.telemetry import store as store_module
from edged.telemetry.store import Store
from edged.telemetry.transactions import Evicted, Eviction
from tests.edged.telemetry.test_store import ROOT, SIZE, Rows, rows
from tests.edged.telemetry.test_store_model import GOOD, LIES, StoreMachine


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "outbox.db")
    yield store
    store.close()


def refuse(*_args, **_options):
    raise sqlite3.OperationalError("unable to open database file")


def failing_commit(*, lands):
    """Return what fails instead of a transaction: before its commit, or only seemingly, because it is on disk."""
    transaction = store_module._transaction

    @contextmanager
    def failing(db):
        with transaction(db):
            yield
            if not lands:
                db.execute("ROLLBACK")
                db.execute("BEGIN")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    return failing


@pytest.mark.parametrize("lands", [True, False])
def test_what_became_of_a_transaction_that_failed_can_be_asked(store, monkeypatch, lands):
    store.open()
    lane = Rows()
    lane.write(store, range(1, 6))
    assert store.outcome() is None
    with monkeypatch.context() as patched:
        patched.setattr(store_module, "_transaction", failing_commit(lands=lands))
        with pytest.raises(StoreError, match="disk I/O error"):
            lane.write(store, [6], eviction=Eviction(0, 5, SIZE, frozenset()))
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", refuse)
        for _ in range(2):
            with pytest.raises(StoreError, match="unable to open"):
                store.outcome()
    outcome = store.outcome()
    if lands:
        assert outcome.evicted[1] == Evicted(1, SIZE, 1)
        assert rows(store) == [2, 3, 4, 5, 6]
    else:
        assert outcome is None
        assert rows(store) == [1, 2, 3, 4, 5]
    assert store.outcome() is None
    lane.write(store, [7])
    assert rows(store)[-1] == 7


def test_a_disk_too_full_to_be_given_space_back_does_not_undo_what_was_committed(store):
    store.open()
    lane = Rows()
    lane.write(store, range(1, 50))
    store._db.set_authorizer(
        lambda action, name, *_: (
            sqlite3.SQLITE_DENY
            if action == sqlite3.SQLITE_PRAGMA and name in {"incremental_vacuum", "freelist_count"}
            else sqlite3.SQLITE_OK
        )
    )
    lane.write(store, [50], [1], first_row=2, shrinks=True)
    assert rows(store) == list(range(2, 51))


def test_a_large_file_starts_over_though_all_of_it_is_in_the_wal(store):
    store.open()
    store._db.execute("PRAGMA wal_autocheckpoint = 0")
    lane = Rows()
    lane.write(store, range(1, 25_000))
    assert store.path.stat().st_size < 100_000
    lane.write(store, [], range(1, 25_000), first_row=25_000)
    store.close()
    assert store.path.stat().st_size < 100_000


@pytest.fixture
def site():
    site = StoreMachine()
    site.start(memory=100_000, room=1 << 30, catch_up=0.003, segment=1 << 20)
    yield site
    site.teardown()


@pytest.mark.parametrize("is_killed", [False, True])
def test_live_readings_of_a_commit_that_only_seemed_to_fail_do_not_count_as_backlog(site, is_killed):
    for _ in range(20):
        site.accept(30)
        site.work()
    site.send(5)
    site.acknowledge(1)
    site.accept(15)
    site.store.disk = LIES
    site.work()
    for _ in range(30):
        site.send(5)
        site.acknowledge(1)
    site.store.disk = GOOD
    site.wait(2)
    for _ in range(8):
        site.accept(15)
        site.work()
    # The link goes: what was live becomes backlog, on disk only, with the doubtful rows in the middle of it.
    site.outbox.link_lost()
    site.sent_now = {}
    site.accept(30)
    site.work()
    if is_killed:
        site.kill()
    site.drain()
    assert site.at_hub == set(range(site.next))
    assert not site.outbox.stats().dropped


def test_what_a_commit_dropped_for_lack_of_room_is_counted_as_that_though_it_seemed_to_fail(site):
    for _ in range(20):
        site.accept(30)
        site.work()
    low = site.outbox._lanes[0]
    site.outbox._max_bytes = 50_000
    site.accept(3)
    site.store.disk = LIES
    site.work()
    site.store.disk = GOOD
    site.wait(2)
    site.work()
    assert low.gap.count == low.disk_count - low.dead.count - low.memory_count
    site.drain()
    stats = site.outbox.stats()
    assert set(stats.dropped) == {"outbox_full"}
    assert stats.delivered + stats.dropped["outbox_full"] == site.next


def test_on_a_disk_that_became_read_only_what_was_there_can_be_read_and_nothing_is_opened_again(store, monkeypatch):
    def is_read_only(_path):
        raise StoreError("outbox.db cannot be written: Read-only file system")

    store.open()
    lane = Rows()
    lane.write(store, [1, 2])
    with monkeypatch.context() as patched:
        patched.setattr("edged.telemetry.store_file.must_be_writable", is_read_only)
        with monkeypatch.context() as once:
            once.setattr(store_module, "_transaction", failing_commit(lands=False))
            with pytest.raises(StoreError, match="disk I/O error"):
                lane.write(store, [3])
        assert rows(store) == [1, 2]
        with pytest.raises(StoreError, match="Read-only"):
            store.outcome()
        assert rows(store) == [1, 2]
    assert store.outcome() is None
    lane.write(store, [3])
    assert rows(store) == [1, 2, 3]


def test_nothing_is_read_by_a_new_connection_before_the_outcome_is_known(store, monkeypatch):
    store.open()
    lane = Rows()
    lane.write(store, [1, 2])
    with monkeypatch.context() as once:
        once.setattr(store_module, "_transaction", failing_commit(lands=True))
        with pytest.raises(StoreError):
            lane.write(store, [3])
    with monkeypatch.context() as patched:
        patched.setattr("edged.telemetry.store_format.read", lambda _table: "SELECT no FROM where")
        with pytest.raises(StoreError, match="syntax error"):
            rows(store)
    with pytest.raises(StoreError, match="nobody knows yet"):
        rows(store)
    assert store.outcome() is not None
    assert rows(store) == [1, 2, 3]


ON_A_DISK_WHOSE_SYNCS_FAIL = """
import os, pathlib, sys
from edged.errors import StoreError
from edged.telemetry.transactions import Eviction
from tests.edged.telemetry.test_store import SIZE, Rows, Store, rows
from tests.faults.faulty_disk import Disk, FaultyFiles
folder = pathlib.Path(sys.argv[1])
FaultyFiles(Disk(folder)).install()
store, lane = Store(folder / "state" / "outbox.db"), Rows()
store.open()
lane.write(store, [1, 2])
def attempt(call):
    try:
        print(call(), flush=True)
    except StoreError:
        print("fails", flush=True)
(folder / "disk").write_text("broken-sync")
attempt(lambda: lane.write(store, [3], eviction=Eviction(0, 2, SIZE, frozenset())))
attempt(lambda: rows(store))
attempt(store.outcome)
attempt(lambda: rows(store))
(folder / "disk").write_text("good")
attempt(lambda: store.outcome().evicted[1].count)
attempt(lambda: rows(store))
os._exit(0)
"""


def test_a_commit_whose_sync_failed_is_on_disk_after_all_and_that_is_found(tmp_path):
    (tmp_path / "disk").write_text("good")
    done = subprocess.run(
        [sys.executable, "-c", ON_A_DISK_WHOSE_SYNCS_FAIL, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:-1] == ["fails", "[1, 2]", "fails", "fails", "1", "[2, 3]"]
