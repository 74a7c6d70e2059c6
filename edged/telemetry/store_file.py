"""The outbox file seen from outside: its folder, its disk, and how it goes out of the way."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from edged.errors import StoreCorruptError, StoreError


def make_folder(path: Path) -> None:
    """Make the folder of the file where there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of {path} cannot be made: {error.strerror}") from error


def must_exist(path: Path) -> None:
    """Raise StoreCorruptError where the file has gone, and StoreError where nobody can say."""
    try:
        path.stat()
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is gone") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}") from error


def must_be_writable(path: Path) -> None:
    """Raise StoreError where nothing can be written beside the file. It is not touched: that would cost its locks."""
    probe = path.with_name(f"{path.name}-probe")
    try:
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file from another one of the same name, None where there is none or nobody can say."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def set_aside(path: Path, why: str) -> Path:
    """Rename the file. Of damaged ones only the newest is kept; others are kept whole, with what is in their WAL."""
    aside = path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    try:
        if why == "corrupt":
            for old in path.parent.glob(f"{path.name}.corrupt-*"):
                old.unlink()
        else:
            _move(path, aside, "-wal")
        _move(path, aside, "")
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be set aside: {error.strerror}") from error
    return aside


def _move(path: Path, aside: Path, suffix: str) -> None:
    with suppress(FileNotFoundError):
        path.with_name(path.name + suffix).rename(f"{aside}{suffix}")


def remove(path: Path) -> None:
    """Delete the file and what belongs to it."""
    try:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {error.strerror}") from error


def free_bytes(path: Path) -> int:
    """Return what the disk has left for us."""
    try:
        disk = os.statvfs(path.parent)
    except OSError as error:
        raise StoreError(f"the disk of {path} does not answer: {error.strerror}") from error
    return disk.f_bavail * disk.f_frsize


def written_bytes() -> int:
    """Return what this thread has given the kernel to write to a disk; 0 where it does not count that."""
    try:
        counters = Path("/proc/thread-self/io").read_text()
    except OSError:
        return 0
    return sum(int(line[13:]) for line in counters.splitlines() if line.startswith("write_bytes: "))
