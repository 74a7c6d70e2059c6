"""Memory that outlives the process but not the machine's boot: a small file on tmpfs, mapped.

A store to it costs nothing, reaches no card, and is there after `kill -9`. What is wrong with the file, or with the
place for it, never stops the gateway: then it is memory of this process only, and a restart counts as a boot.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

_log = logging.getLogger(__name__)

FILE_NAME = "telemetry.state"
WITHOUT = "after a crash, readings that come again will have new ids"
_MAGIC = b"edged-rt"
_VERSION = 1
# magic, version, size, id of this file's life, id of the kernel's life, checksum of all that
_HEADER = struct.Struct("=8sII16s36s")
_CHECKSUM = struct.Struct("=I")
HEADER_BYTES = 128
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")


class RuntimeFile:
    """`area(size)` hands out the file piece by piece; a file of another version or total size begins as zeros."""

    def __init__(self, memory: mmap.mmap, life: str, *, is_lasting: bool, lock_fd: int = -1) -> None:
        self.life = life
        """A random name of this memory: the same for as long as what is in it."""
        self.is_lasting = is_lasting
        self._memory = memory
        self._lock_fd = lock_fd
        self._next = HEADER_BYTES

    def area(self, size_bytes: int) -> memoryview:
        """Return the next piece, aligned for numbers of 8 bytes."""
        start = self._next
        self._next = start + _aligned(size_bytes)
        return memoryview(self._memory)[start : start + size_bytes]

    def close(self) -> None:
        """Let another process have it. Areas that are still held stay readable."""
        if self._lock_fd >= 0:
            # The map has a descriptor of its own, which would keep the lock.
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
            os.close(self._lock_fd)
            self._lock_fd = -1


def runtime_directory(environ: Mapping[str, str], state_dir: Path) -> Path | None:
    """Return where a process of this user may leave something for the next one until the machine stops."""
    given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    of_user = environ.get("XDG_RUNTIME_DIR", "")
    if not of_user:
        return None
    # Two gateways of one user have two state directories.
    return Path(of_user) / f"edged-{hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:12]}"


def open_runtime_file(
    directory: Path | None, *area_bytes: int, name: str = FILE_NAME, without: str = WITHOUT
) -> RuntimeFile:
    """Open or make the file with room for these areas; fall back to memory, with one sentence in the log that ends
    with what is lost `without` it."""
    size_bytes = HEADER_BYTES + sum(_aligned(size) for size in area_bytes)
    if directory is not None:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            return _open(directory / name, size_bytes)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            _log.warning("%s cannot be used (%s); %s", directory / name, why, without)
    return RuntimeFile(mmap.mmap(-1, size_bytes), _new_life(), is_lasting=False)


def _open(path: Path, size_bytes: int) -> RuntimeFile:
    # Neither through a link, nor waiting for somebody at the other end of a pipe.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    try:
        _check_owner(fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        boot = "" if _is_on_tmpfs(fd) else _kernel_boot()
        life = _life_of(fd, size_bytes, boot) or _make(fd, size_bytes, boot)
        return RuntimeFile(mmap.mmap(fd, size_bytes), life, is_lasting=True, lock_fd=fd)
    except BlockingIOError as error:
        os.close(fd)
        raise ValueError("another gateway uses it") from error
    except BaseException:
        os.close(fd)
        raise


def _check_owner(fd: int) -> None:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        raise ValueError("it is not a plain file of our own")
    if found.st_mode & 0o077:
        os.fchmod(fd, 0o600)


def _life_of(fd: int, size_bytes: int, boot: str) -> str:
    """Return the life in a sound header, or nothing."""
    head = os.pread(fd, HEADER_BYTES, 0)
    if os.fstat(fd).st_size != size_bytes or len(head) != HEADER_BYTES:
        return ""
    magic, version, size, life, kernel = _HEADER.unpack_from(head)
    (checksum,) = _CHECKSUM.unpack_from(head, _HEADER.size)
    if (magic, version, size, kernel.rstrip(b"\0")) != (_MAGIC, _VERSION, size_bytes, boot.encode()):
        return ""
    return life.decode("ascii") if checksum == zlib.crc32(head[: _HEADER.size]) else ""


def _make(fd: int, size_bytes: int, boot: str) -> str:
    """Begin anew. The header is written last: a file that was being made when we died has none."""
    os.ftruncate(fd, 0)
    # To touch a page of a full tmpfs would be the end of the process; this fails in time.
    os.posix_fallocate(fd, 0, size_bytes)
    life = _new_life()
    head = _HEADER.pack(_MAGIC, _VERSION, size_bytes, life.encode(), boot.encode())
    os.pwrite(fd, head + _CHECKSUM.pack(zlib.crc32(head)), 0)
    return life


def _new_life() -> str:
    return secrets.token_hex(8)


def _aligned(size_bytes: int) -> int:
    return (size_bytes + 7) & ~7


def _is_on_tmpfs(fd: int) -> bool:
    """Say whether the file cannot outlive the kernel."""
    device = os.fstat(fd).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split()[2] == wanted and " - tmpfs " in line for line in lines)


def _kernel_boot() -> str:
    """Return the kernel's name for this boot: elsewhere than on tmpfs, half-written pages may come back after it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError as error:
        raise ValueError("it is not on tmpfs, and this boot of the machine has no name") from error
