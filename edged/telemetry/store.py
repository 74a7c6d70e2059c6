"""The outbox file: a small SQLite shell that knows rows and transactions, and nothing of links or brokers.

All calls block; they belong into one thread. WAL keeps a commit to one sequential write, which spares SD cards;
synchronous=FULL makes it durable, because the broker forgets a reading as soon as its commit returns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry import store_file, store_format
from edged.telemetry.entries import MEMORY_OVERHEAD_BYTES, ROW_OVERHEAD_BYTES, Entry
from edged.telemetry.moments import Moment
from edged.telemetry.row_runs import Run, runs_without
from edged.telemetry.segments import Segments, start_of
from edged.telemetry.store_format import APPLICATION_ID, FIELDS_PER_LANE, FORMAT, LANES, read_ages
from edged.telemetry.transactions import (
    Committed,
    Evicted,
    Eviction,
    LaneSummary,
    LaneWrite,
    Loaded,
    Read,
    StoredReading,
    StoreSummary,
    Sweep,
    Swept,
    Write,
)

_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})
_WORTH_SHRINKING_BYTES = 1024 * 1024
_SHRINK_PAGES = 512
_LOCK_TIMEOUT_S = 0.5
_MIN_SEGMENT_BYTES = 64 * 1024
_MAX_SEGMENT_BYTES = 4 * 1024 * 1024


class Store:
    """One open outbox file. Raises StoreError (try again) or StoreCorruptError (set the file aside)."""

    def __init__(self, path: Path, *, max_bytes: int = 256 * 1024 * 1024) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._is_suspect = False
        self._file_id = 0
        self._doubtful: tuple[int, Committed] | None = None
        self._identity: tuple[int, int] | None = None
        self._doubted: set[str] = set()
        self._aside = "corrupt"
        self._boots: dict[str, int] = {}
        self._account = b""
        segment_bytes = min(max(max_bytes // 32, _MIN_SEGMENT_BYTES), _MAX_SEGMENT_BYTES)
        self._segments = tuple(Segments(lane, segment_bytes) for lane in LANES)

    def open(self) -> StoreSummary:
        """Open or create the file and return what it holds."""
        self._aside = "corrupt"
        with suppress(StoreError):
            self.close()
        self._is_suspect = False
        self._doubtful = None
        store_file.make_folder(self.path)
        try:
            with self._typed_errors():
                return self._summary(self._connect())
        except StoreError:
            with suppress(StoreError):
                self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        db = self._db = sqlite3.connect(
            self.path, isolation_level=None, timeout=_LOCK_TIMEOUT_S, check_same_thread=False
        )
        db.text_factory = bytes
        # Held for life: a second daemon on the same file is told that it is locked instead of mixing its rows in.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != APPLICATION_ID and tables:
            raise StoreError(f"{self.path} belongs to another program; set telemetry.outbox.path to another file")
        statements = self._statements(version) if tables else store_format.new_file()
        if not tables:
            db.execute(f"PRAGMA page_size = {store_format.PAGE_BYTES}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in store_format.PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        if statements:
            _run(db, statements)
        self._identity = store_file.identity(self.path)
        return db

    def _statements(self, version: int) -> list[str]:
        if version == FORMAT:
            return []
        statements = store_format.migration(version)
        if statements is None:
            self._aside = f"format-{version}"
            raise StoreCorruptError(f"{self.path} has format {version}, this version of edged writes {FORMAT}")
        return statements

    def _summary(self, db: sqlite3.Connection) -> StoreSummary:
        """Read what is to be known of the file; what was known of it is forgotten."""
        self._boots = {store_format.text_of(name): boot for boot, name in db.execute("SELECT boot, id FROM boots")}
        names = (
            store_format.text_of(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        )
        tables = [found for name in names if (found := start_of(name)) is not None]
        *fields, account, self._file_id = db.execute(store_format.READ_STATE).fetchone()
        lanes = []
        for segments in self._segments:
            at = segments.lane * FIELDS_PER_LANE
            count, total_bytes, own_keeps, late_row, first_row, done = fields[at : at + FIELDS_PER_LANE]
            segments.restore(
                [start for lane, start in tables if lane == segments.lane], first_row, store_format.text_of(done)
            )
            last_row = segments.last_known_row
            for start in segments.starts[-1:]:
                last_row = max(last_row, start, *db.execute(store_format.last_row(segments.table(start))).fetchone())
            lanes.append(LaneSummary(count, total_bytes, last_row, bool(own_keeps), late_row))
        self._account = account if isinstance(account, bytes) else b""
        return StoreSummary(tuple(lanes), self._account)

    def close(self, account: bytes | None = None) -> None:
        """Close the file; what was committed stays. The account is written down if it has changed."""
        if self._db is None:
            return
        with self._typed_errors():
            try:
                if account is not None and account != self._account and not self._is_suspect:
                    self._db.execute("UPDATE state SET account = ?", (account,))
            finally:
                db, self._db = self._db, None
                db.close()

    def set_aside(self) -> Path:
        """Rename the file, so that a new one can be started. Of damaged ones only the newest is kept."""
        # It stays open where that fails, and shows again that it is damaged until it can be renamed.
        aside = store_file.set_aside(self.path, self._aside)
        self.remove()
        return aside

    def remove(self) -> None:
        """Delete the file. That works on a disk so full that not even rows can be deleted."""
        store_file.remove(self.path)
        with suppress(StoreError):  # A damaged file may not even close.
            self.close()

    def free_bytes(self) -> int:
        """Return what the disk has left for us."""
        return store_file.free_bytes(self.path)

    def write(self, write: Write, account: bytes = b"") -> Committed:
        """Commit one transaction, and the account with it."""
        before_bytes = store_file.written_bytes()
        with self._typed_errors("writing"):
            db = self._open_db()
            try:
                self._doubtful = None
                with _transaction(db):
                    evicted = {part.lane: self._write_lane(db, part) for part in write.lanes}
                    self._write_state(db, write.lanes, evicted, account)
                    self._doubtful = self._file_id + 1, Committed(evicted)
            except sqlite3.Error:
                if not db.in_transaction:
                    self._summary(db)
                raise
            self._doubtful = None
            self._account = account
            self._file_id += 1
            if not any(part.total_count - evicted[part.lane].count for part in write.lanes):
                self._start_over(db, account)
            elif write.shrinks:
                self._shrink(db)
        return Committed(evicted, store_file.written_bytes() - before_bytes)

    def outcome(self) -> Committed | None:
        """Return what the last transaction did that failed, None if it did nothing. Raises while nobody can know."""
        if self._doubtful is None:
            return None
        file_id, committed = self._doubtful
        with self._typed_errors("asking"):
            db = self._open_db()
            if self._file_id == file_id:
                # What a sync has failed for may be in the page cache only: it is written once more, to another place.
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._doubtful = None
        return committed if self._file_id == file_id else None

    def _shrink(self, db: sqlite3.Connection) -> None:
        """Give free pages back to the disk, a few at a time: all that moves goes through the WAL first."""
        try:
            (free_pages,) = db.execute("PRAGMA freelist_count").fetchone()
            for _ in range(0, free_pages, _SHRINK_PAGES):
                # Each step frees one page, and `execute` takes one step only.
                db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES}); PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # What was written is committed all the same.
            self._is_suspect = True

    def _start_over(self, db: sqlite3.Connection, account: bytes) -> None:
        """Replace a large file with nothing in it: to shrink it would cost as much as to fill it again."""
        try:
            # Part of it may be in the WAL only.
            (size_bytes,) = db.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
            if size_bytes >= _WORTH_SHRINKING_BYTES:
                self.remove()
                db = self._connect()
                self._summary(db)
                db.execute("UPDATE state SET account = ?", (account,))
        except (StoreError, sqlite3.Error):
            # What was written is committed. The next call finds that there is no file.
            self._is_suspect = True

    def _write_lane(self, db: sqlite3.Connection, part: LaneWrite) -> Evicted:
        segments = self._segments[part.lane]
        evicted = Evicted()
        runs = list(part.deletes)
        if part.eviction is not None:
            evicted, evicted_runs = self._evict(db, segments, part.eviction)
            runs += evicted_runs
        segments.finish(runs, part.first_row)
        is_empty = part.total_count - evicted.count <= len(part.appends)
        for start in segments.pop_finished(all_of_them=is_empty):
            db.execute(f"DROP TABLE {segments.table(start)}")
        for run in segments.pop_runs_to_delete():
            for start, after_row, until_row in segments.between(run.first - 1, run.last):
                db.execute(store_format.delete(segments.table(start)), (after_row + 1, until_row))
        if part.appends:
            size_bytes = sum(entry.row_bytes for entry in part.appends)
            start, is_new = segments.for_append(part.appends[0].row, size_bytes)
            if is_new:
                db.execute(store_format.create(segments.table(start)))
            db.executemany(store_format.insert(segments.table(start)), self._values(db, part.appends))
        return evicted

    def _evict(self, db: sqlite3.Connection, segments: Segments, eviction: Eviction) -> tuple[Evicted, list[Run]]:
        """Return what goes for lack of room, and which rows these are."""
        count = total_bytes = last_row = 0
        with closing(self._rows(db, segments, eviction.after_row, eviction.until_row, read_ages)) as rows:
            for row, size_bytes, *_age in rows:
                if row in eviction.spared:
                    continue
                count += 1
                total_bytes += size_bytes + ROW_OVERHEAD_BYTES
                last_row = row
                if total_bytes >= eviction.wanted_bytes:
                    break
        return Evicted(count, total_bytes, last_row), runs_without(eviction.spared, eviction.after_row + 1, last_row)

    def _rows(
        self,
        db: sqlite3.Connection,
        segments: Segments,
        after_row: int,
        until_row: int,
        statement: Callable[[str], str],
    ) -> Generator[tuple[Any, ...], None, None]:
        for start, after, until in segments.between(after_row, until_row):
            with closing(db.execute(statement(segments.table(start)), (after, until))) as found:
                for values in found:
                    if not segments.is_done(values[0]):
                        yield values

    def _values(self, db: sqlite3.Connection, entries: Sequence[Entry]) -> Iterator[tuple[Any, ...]]:
        for entry in entries:
            name = entry.reading.taken.boot
            boot = self._boots.get(name) if name else None
            if name and boot is None:
                boot = self._boots[name] = max(self._boots.values(), default=0) + 1
                db.execute("INSERT OR REPLACE INTO boots VALUES (?, ?)", (boot, name))
            yield store_format.row_values(entry.row, entry.reading, boot)

    def _write_state(
        self, db: sqlite3.Connection, parts: Sequence[LaneWrite], evicted: dict[int, Evicted], account: bytes
    ) -> None:
        fields: list[Any] = []
        for part, segments in zip(parts, self._segments, strict=True):
            gone = evicted[part.lane]
            fields += (
                part.total_count - gone.count,
                part.total_bytes - gone.total_bytes,
                part.has_own_keeps,
                part.late_until_row,
            )
            fields += segments.first_row, segments.done_text
        db.execute(store_format.WRITE_STATE, (*fields, account))

    def read(self, wanted: Read) -> Loaded:
        """Return the oldest rows between two others, up to a count and about so much memory."""
        rows: list[StoredReading] = []
        damaged: dict[int, int] = {}
        moments: dict[tuple[Any, ...], Moment] = {}
        left_bytes = wanted.max_bytes
        with self._typed_errors("reading"):
            db = self._open_db(to_read=True)
            boots = {boot: name for name, boot in self._boots.items()}
            segments = self._segments[wanted.lane]
            with closing(self._rows(db, segments, wanted.after_row, wanted.until_row, store_format.read)) as found:
                for values in islice(found, wanted.max_count):
                    reading = store_format.reading_of(wanted.lane, values, boots, moments)
                    size_bytes = reading.size_bytes if reading is not None else store_format.size_of(values[3])
                    if reading is not None:
                        rows.append(StoredReading(values[0], reading))
                    else:
                        damaged[values[0]] = size_bytes + ROW_OVERHEAD_BYTES
                    left_bytes -= size_bytes + MEMORY_OVERHEAD_BYTES
                    if left_bytes <= 0:
                        break
        return Loaded(wanted.lane, tuple(rows), damaged)

    def sweep(self, wanted: Sweep) -> Swept:
        """Return how old rows are."""
        with self._typed_errors("reading"):
            db = self._open_db(to_read=True)
            boots = {boot: name for name, boot in self._boots.items()}
            segments = self._segments[wanted.lane]
            with closing(self._rows(db, segments, wanted.after_row, wanted.until_row, read_ages)) as rows:
                found = list(islice(rows, wanted.max_count))
        return Swept(wanted.lane, tuple(store_format.age_of(values, boots) for values in found))

    def _open_db(self, *, to_read: bool = False) -> sqlite3.Connection:
        """Return a connection that can be trusted; one that has failed to write can still read, as it was before."""
        db = self._db
        # SQLite would go on with a file that has no name any more.
        if db is not None and store_file.identity(self.path) == self._identity:
            if to_read or not self._is_suspect:
                return db
            # On a read-only disk it could not be opened again.
            store_file.must_be_writable(self.path)
        elif db is None and not self._is_suspect:
            raise StoreError(f"{self.path} is not open")
        if to_read and self._doubtful is not None:
            raise StoreError(f"nobody knows yet what is in {self.path}")
        return self._reopen()

    def _give_up(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _reopen(self) -> sqlite3.Connection:
        """Begin again with the same file, if it is the same."""
        self._give_up()
        store_file.must_exist(self.path)
        known_ids = {self._file_id, self._doubtful[0] if self._doubtful is not None else self._file_id}
        db = self._connect()
        self._summary(db)
        if self._file_id not in known_ids:
            raise StoreCorruptError(f"{self.path} was replaced by another file")
        self._is_suspect = False
        return db

    @contextmanager
    def _typed_errors(self, doing: str = "") -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # A dying disk makes a file look damaged that is not: with a new connection it has to look so once more.
            if code & 0xFF in _CORRUPT_CODES and (not doing or doing in self._doubted):
                raise StoreCorruptError(f"{self.path} is damaged ({error})") from error
            if code & 0xFF in _CORRUPT_CODES:
                self._doubted.add(doing)
            # After trouble with the disk a connection may never work again, or only for reading.
            self._is_suspect = self._is_suspect or (self._db is not None and code & 0xFF != sqlite3.SQLITE_FULL)
            if doing in {"reading", "asking"}:
                self._give_up()
            raise StoreError(f"{self.path} cannot be used: {error}") from error
        self._doubted.discard(doing)


def _run(db: sqlite3.Connection, statements: Sequence[str]) -> None:
    with _transaction(db):
        for statement in statements:
            db.execute(statement)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
