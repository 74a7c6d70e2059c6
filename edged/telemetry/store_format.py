"""What the tables of the outbox file look like, how rows become readings, and how older files are brought up. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from edged.telemetry.entries import ROW_OVERHEAD_BYTES
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.reading import Reading
from edged.telemetry.transactions import StoredAge

FORMAT = 2
APPLICATION_ID = 0x65644762
LANES = range(3)
PAGE_BYTES = 1024
"""Small pages make small commits: each writes the page it begins on and a few for the books once more."""
_CHECKPOINT_PAGES = 900
"""Less than a megabyte, so that the WAL soon stays as long as it is: a file that grows costs the disk's own journal."""
_WAL_LIMIT_BYTES = 1024 * 1024
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = OFF",  # Debian builds SQLite so that it overwrites what is deleted: as many writes again.
    f"journal_size_limit = {_WAL_LIMIT_BYTES}",
    f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
)
_COLUMNS = "keep_s NUMERIC", "boot INTEGER", "uptime_ms INTEGER", "wall_ms INTEGER", "is_set INTEGER", "crc INTEGER"
_BOOTS = "CREATE TABLE boots (boot INTEGER PRIMARY KEY, id TEXT NOT NULL)"
_ID_START = '{"id":"'
# One row, on one page, changed in every transaction: counting would read the whole file at start.
_FIELDS_OF_LANE = "count_LANE", "bytes_LANE", "own_keeps_LANE", "late_until_LANE", "first_row_LANE", "done_LANE"
# `file_id` is random at first and one more with each transaction: it tells the file from any other, and a transaction
# that failed from one that only seemed to.
FIELDS_PER_LANE = len(_FIELDS_OF_LANE)
_STATE_FIELDS = tuple(name.replace("LANE", str(lane)) for lane in LANES for name in _FIELDS_OF_LANE)
READ_STATE = f"SELECT {', '.join(_STATE_FIELDS)}, account, file_id FROM state"  # noqa: S608 - names of our own
WRITE_STATE = (
    f"UPDATE state SET {', '.join(f'{name} = ?' for name in _STATE_FIELDS)}, account = ?, file_id = file_id + 1"  # noqa: S608
)
_STATE_COLUMNS = (*(f"{name} NOT NULL DEFAULT 0" for name in _STATE_FIELDS), "account BLOB", "file_id INTEGER")
_STATE = f"CREATE TABLE state ({', '.join(_STATE_COLUMNS)})"
_READ = (
    "SELECT row, id, channel, body, keep_s, boot, uptime_ms, wall_ms, is_set, crc FROM TABLE"
    " WHERE row > ? AND row <= ? ORDER BY row"
)
_READ_AGES = (
    "SELECT row, length(CAST(body AS BLOB)), keep_s, boot, uptime_ms, wall_ms, is_set FROM TABLE"
    " WHERE row > ? AND row <= ? ORDER BY row"
)
_LAST_ROW = "SELECT coalesce(max(row), 0) FROM TABLE"
_INSERT = "INSERT OR REPLACE INTO TABLE VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # A commit may only seem to have failed.
_DELETE = "DELETE FROM TABLE WHERE row BETWEEN ? AND ?"
_CREATE = (
    "CREATE TABLE IF NOT EXISTS TABLE (row INTEGER PRIMARY KEY, id TEXT NOT NULL, channel TEXT NOT NULL,"
    f" body TEXT NOT NULL, {', '.join(_COLUMNS)})"
)


def read(table: str) -> str:
    """Return the statement that reads the readings between two rows."""
    return _READ.replace("TABLE", table)


def read_ages(table: str) -> str:
    """Return the statement that reads when the rows between two rows were taken in, and their sizes."""
    return _READ_AGES.replace("TABLE", table)


def last_row(table: str) -> str:
    """Return the statement that finds the newest row."""
    return _LAST_ROW.replace("TABLE", table)


def insert(table: str) -> str:
    """Return the statement that adds a row."""
    return _INSERT.replace("TABLE", table)


def delete(table: str) -> str:
    """Return the statement that deletes the rows from one to another."""
    return _DELETE.replace("TABLE", table)


def create(table: str) -> str:
    """Return the statement for a new table."""
    return _CREATE.replace("TABLE IF NOT EXISTS TABLE", f"TABLE IF NOT EXISTS {table}")


def new_file() -> list[str]:
    """Return the statements for an empty file."""
    return [_BOOTS, _STATE, "INSERT INTO state (file_id) VALUES (random())", *_marks()]


def migration(version: int) -> list[str] | None:
    """Return the statements that bring a file of a format up, or None where nobody knows how."""
    if version != 1:
        return None
    return [
        "ALTER TABLE readings RENAME TO readings_1_1",
        *(f"ALTER TABLE readings_1_1 ADD COLUMN {column}" for column in _COLUMNS),
        _BOOTS,
        _STATE,
        "INSERT INTO state (count_1, bytes_1, file_id) SELECT count, bytes, random() FROM totals",
        "DROP TABLE totals",
        *_marks(),
    ]


def row_values(row: int, reading: Reading, boot: int | None) -> tuple[Any, ...]:
    """Return the row of a reading. Its id is left out where it stands at the beginning of the body."""
    taken = reading.taken
    known_id = reading.body.startswith(f'{_ID_START}{reading.id}"')
    return (
        row,
        "" if known_id else reading.id,
        reading.channel,
        reading.body,
        reading.keep_s,
        boot,
        taken.uptime_ms,
        taken.wall_ms,
        int(taken.is_set),
        _checksum(reading.channel.encode(), reading.body.encode()),
    )


def reading_of(
    lane: int, found: tuple[Any, ...], boots: Mapping[int, str], moments: dict[tuple[Any, ...], Moment]
) -> Reading | None:
    """Return the reading of a row as `READ` finds it, texts as bytes; None if it is damaged.

    `moments` spares memory: readings that were taken in at the same time share theirs.
    """
    _row, raw_id, raw_channel, raw_body, keep_s, boot, uptime_ms, wall_ms, is_set, crc = found
    if not (isinstance(raw_id, bytes) and isinstance(raw_channel, bytes) and isinstance(raw_body, bytes)):
        return None
    if crc is not None and crc != _checksum(raw_channel, raw_body):
        return None
    try:
        body, channel, reading_id = raw_body.decode(), raw_channel.decode(), raw_id.decode()
        if crc is None and not isinstance(json.loads(body), dict):
            return None
    except (ValueError, RecursionError):
        return None
    if not reading_id:
        reading_id = body[len(_ID_START) : body.find('"', len(_ID_START))]
    key = boot, uptime_ms, wall_ms, is_set
    taken = moments.get(key)
    if taken is None:
        taken = moments[key] = moment_of(boot, uptime_ms, wall_ms, is_set, boots)
    return Reading(reading_id, channel, body, len(raw_body), lane, _number(keep_s), taken)


def moment_of(boot: Any, uptime_ms: Any, wall_ms: Any, is_set: Any, boots: Mapping[int, str]) -> Moment:
    """Return when a row was taken in; format 1 did not know."""
    if not isinstance(uptime_ms, int) or not isinstance(wall_ms, int):
        return NO_MOMENT
    return Moment(boots.get(boot, ""), uptime_ms, wall_ms, bool(is_set))


def age_of(found: tuple[Any, ...], boots: Mapping[int, str]) -> StoredAge:
    """Return how long a row is to be kept, and since when, as `READ_AGES` finds it; 0: no time of its own."""
    row, size_bytes, keep_s, boot, uptime_ms, wall_ms, is_set = found
    taken = moment_of(boot, uptime_ms, wall_ms, is_set, boots)
    return StoredAge(row, (size_bytes or 0) + ROW_OVERHEAD_BYTES, _number(keep_s), taken)


def text_of(raw: Any) -> str:
    """Return a text of the file, which comes as bytes so that damaged ones do not raise."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def size_of(value: Any) -> int:
    """Return the size of a text of the file, 0 where it is none."""
    return len(value) if isinstance(value, bytes) else 0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _checksum(channel: bytes, body: bytes) -> int:
    return crc32(body, crc32(channel))


def _marks() -> list[str]:
    return [f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {FORMAT}"]
