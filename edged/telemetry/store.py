"""The outbox file: a small SQLite shell that knows rows and transactions, and nothing of links or brokers.

All calls block; they belong into one thread. WAL keeps a commit to one sequential write, which spares SD cards;
synchronous=FULL makes it durable, because the broker forgets a reading as soon as its commit returns.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry.entries import Evicted, Loaded, Read, StoredReading, StoreSummary, Write, row_bytes
from edged.telemetry.reading import Reading

FORMAT = 1
_APPLICATION_ID = 0x65644762
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})
_WAL_LIMIT_BYTES = 1024 * 1024
_LOCK_TIMEOUT_S = 0.5
# Totals are kept in a row of their own, changed in the same transaction: counting would read the whole file at start.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE readings (row INTEGER PRIMARY KEY, id TEXT NOT NULL, channel TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE totals (count INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
COMMIT;
"""


class Store:
    """One open outbox file. Raises StoreError (try again) or StoreCorruptError (set the file aside)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None

    def open(self) -> StoreSummary:
        """Open or create the file and return what it holds."""
        self.close()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of {self.path} cannot be made: {error.strerror}") from error
        try:
            with _typed_errors(self.path):
                return self._open()
        except StoreError:
            self.close()
            raise

    def _open(self) -> StoreSummary:
        db = self._db = sqlite3.connect(
            self.path, isolation_level=None, timeout=_LOCK_TIMEOUT_S, check_same_thread=False
        )
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        # Held for life: a second daemon on the same file is told that it is locked instead of mixing its rows in.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != _APPLICATION_ID and tables:
            raise StoreError(f"{self.path} belongs to another program; set telemetry.outbox.path to another file")
        if tables and version != FORMAT:
            raise StoreCorruptError(f"{self.path} has format {version}, this version of edged writes {FORMAT}")
        if not tables:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.executescript(_SCHEMA)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        count, total_bytes = db.execute("SELECT count, bytes FROM totals UNION ALL SELECT 0, 0").fetchone()
        (last_row,) = db.execute("SELECT coalesce(max(row), 0) FROM readings").fetchone()
        return StoreSummary(count, total_bytes, last_row)

    def close(self) -> None:
        """Close the file; what was committed stays."""
        if self._db is not None:
            db, self._db = self._db, None
            with _typed_errors(self.path):
                db.close()

    def set_aside(self) -> Path:
        """Rename the damaged file, so that a new one can be started; only the newest such file is kept."""
        aside = self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        try:
            for old in self.path.parent.glob(f"{self.path.name}.corrupt-*"):
                old.unlink()
            if self.path.exists():
                self.path.rename(aside)
        except OSError as error:
            # It stays open, and shows again that it is damaged until it can be renamed.
            raise StoreError(f"{self.path} is damaged and cannot be set aside: {error.strerror}") from error
        self.remove()
        return aside

    def remove(self) -> None:
        """Delete the file. That works on a disk so full that not even rows can be deleted."""
        try:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be removed: {error.strerror}") from error
        with suppress(StoreError):  # A damaged file may not even close.
            self.close()

    def write(self, write: Write) -> Evicted:
        """Commit one transaction."""
        with _typed_errors(self.path), _transaction(self._open_db()) as db:
            evicted = self._evict(db, write.evict_after_row, write.evict_bytes)
            db.executemany(
                "INSERT INTO readings VALUES (?, ?, ?, ?)",
                ((row, entry.reading.id, entry.reading.channel, entry.reading.body) for row, entry in write.appends),
            )
            gone = db.executemany("DELETE FROM readings WHERE row = ?", ((row,) for row in write.deletes)).rowcount
            count = len(write.appends) - max(0, gone) - evicted.count
            added = sum(entry.row_bytes for _row, entry in write.appends)
            freed = sum(write.deletes.values()) + evicted.total_bytes
            db.execute("UPDATE totals SET count = max(0, count + ?), bytes = max(0, bytes + ?)", (count, added - freed))
        if write.deletes or evicted.count:
            with _typed_errors(self.path):
                # Each step frees one page, and `execute` takes one step only.
                self._open_db().executescript("PRAGMA incremental_vacuum")
        return evicted

    def read(self, wanted: Read) -> Loaded:
        """Return the oldest rows after a row, up to a count and about a size."""
        rows: list[StoredReading] = []
        damaged: dict[int, int] = {}
        left_bytes = wanted.max_bytes
        with _typed_errors(self.path):
            found = self._open_db().execute(
                "SELECT row, id, channel, body FROM readings WHERE row > ? ORDER BY row LIMIT ?",
                (wanted.after_row, wanted.max_count),
            )
            for row, reading_id, channel, body in found:
                reading = Reading(reading_id, channel, body, len(str(body).encode("utf-8", "replace")))
                if _is_whole(reading):
                    rows.append(StoredReading(row, reading))
                else:
                    damaged[row] = row_bytes(reading)
                left_bytes -= reading.size_bytes
                if left_bytes <= 0:
                    break
        return Loaded(tuple(rows), damaged)

    def _evict(self, db: sqlite3.Connection, after_row: int, wanted_bytes: int) -> Evicted:
        if wanted_bytes <= 0:
            return Evicted()
        count = total_bytes = last_row = 0
        rows = db.execute(
            "SELECT row, id, channel, length(CAST(body AS BLOB)) FROM readings WHERE row > ? ORDER BY row", (after_row,)
        )
        for row, reading_id, channel, size_bytes in rows:
            count += 1
            total_bytes += row_bytes(Reading(reading_id, channel, "", size_bytes))
            last_row = row
            if total_bytes >= wanted_bytes:
                break
        rows.close()
        db.execute("DELETE FROM readings WHERE row > ? AND row <= ?", (after_row, last_row))
        return Evicted(count, total_bytes, last_row)

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"{self.path} is not open")
        return self._db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def _typed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in _CORRUPT_CODES or code == sqlite3.SQLITE_READONLY_DBMOVED:
            raise StoreCorruptError(f"{path} is damaged ({error})") from error
        raise StoreError(f"{path} cannot be used: {error}") from error


def _is_whole(reading: Reading) -> bool:
    texts: Iterable[object] = (reading.id, reading.channel, reading.body)
    if not all(isinstance(text, str) for text in texts):
        return False
    try:
        return isinstance(json.loads(reading.body), dict)
    except (ValueError, RecursionError):
        return False
