"""What a program did to the files of its database, in order, and the files rebuilt as a power cut leaves them. Pure.

A file's durable part is what was done before its last completed sync. Of what was done later a disk may have any part:
each write whole, torn at a sector, or not at all, in any combination.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

SECTOR_BYTES = 512
WRITE, TRUNCATE, SYNC, CREATE, DELETE = range(5)
_HEAD = struct.Struct("<BHdQI")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to one file: `at_s` of the monotonic clock, `offset` is the size for TRUNCATE."""

    kind: int
    file: str
    at_s: float
    offset: int = 0
    data: bytes = b""


def write_step(out: BinaryIO, step: Step) -> None:
    """Append a step to a recording."""
    name = step.file.encode()
    out.write(_HEAD.pack(step.kind, len(name), step.at_s, step.offset, len(step.data)) + name + step.data)
    out.flush()


def read_steps(source: BinaryIO) -> Iterator[Step]:
    """Read a recording; a last step that is not whole is left out."""
    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        kind, name_bytes, at_s, offset, data_bytes = _HEAD.unpack(head)
        rest = source.read(name_bytes + data_bytes)
        if len(rest) < name_bytes + data_bytes:
            return
        yield Step(kind, rest[:name_bytes].decode(), at_s, offset, rest[name_bytes:])


def after_power_cut(steps: Iterable[Step], dice: random.Random | None) -> dict[str, bytes]:
    """Return the files by name as they may be after a power cut behind the last of these steps.

    Without dice nothing is lost: it is a kill, not a power cut.
    """
    done = list(steps)
    last_sync: dict[str, int] = {}
    for index, step in enumerate(done):
        if step.kind == SYNC:
            last_sync[step.file] = index
    files: dict[str, bytearray] = {}
    # Some cuts keep nearly all that was not synced, some nearly nothing.
    kept = dice.choice((0.0, 0.1, 0.5, 0.9, 1.0)) if dice is not None else 1.0
    for index, step in enumerate(done):
        is_durable = index <= last_sync.get(step.file, -1)
        _apply(files, step, None if is_durable else dice, kept)
    return {name: bytes(content) for name, content in files.items()}


def _apply(files: dict[str, bytearray], step: Step, dice: random.Random | None, kept: float) -> None:
    """Do one step, wholly without `dice`. Names come and go in order: the journal of a file system does that much."""
    if step.kind == DELETE:
        files.pop(step.file, None)
        return
    content = files.setdefault(step.file, bytearray())
    if step.kind == TRUNCATE and (dice is None or dice.random() < kept):
        del content[step.offset :]
        content.extend(bytes(max(0, step.offset - len(content))))
    if step.kind == WRITE:
        for at in range(0, len(step.data), SECTOR_BYTES):
            if dice is None or dice.random() < kept:
                _put(content, step.offset + at, step.data[at : at + SECTOR_BYTES])


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
