"""Runs `edged` on a disk that fails on command, or that is recorded.

    python -m tests.faults.faulty_disk FOLDER run --config edged.yaml

SQLite is given another file system (a VFS) that wraps its own: the methods of every open file are replaced by ours,
which fail as the words in FOLDER/disk say, or do their work and write it to FOLDER/recording. What Python does to
files under FOLDER/state fails in the same way. This is the gateway's own process: threads, locks and errors are real.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from tests.faults import recording
from tests.faults.recording import Step

GOOD, FULL, READ_ONLY, BROKEN, BROKEN_SYNC = "good", "full", "read-only", "broken", "broken-sync"
_OK, _FULL, _CANTOPEN = 0, 13, 14
_IOERR_READ, _IOERR_WRITE, _IOERR_FSYNC, _IOERR_TRUNCATE, _IOERR_DELETE = (10 | sub << 8 for sub in (1, 3, 4, 6, 10))
_OPEN_READONLY, _OPEN_READWRITE, _OPEN_CREATE = 0x1, 0x2, 0x4

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_Open = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, ctypes.POINTER(_I))
_Delete = ctypes.CFUNCTYPE(_I, _P, ctypes.c_char_p, _I)
_Write = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_Truncate = ctypes.CFUNCTYPE(_I, _P, _L)
_Sync = ctypes.CFUNCTYPE(_I, _P, _I)
_Close = ctypes.CFUNCTYPE(_I, _P)
_FileSize = ctypes.CFUNCTYPE(_I, _P, ctypes.POINTER(_L))


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, as far as its tenth member; the rest is copied as it is."""

    _fields_ = [
        ("version", _I),
        ("os_file_bytes", _I),
        ("max_path_bytes", _I),
        ("next", _P),
        ("name", ctypes.c_char_p),
        ("app_data", _P),
        ("open", _P),
        ("delete", _P),
        ("others", _P * 20),
    ]


class _Methods(ctypes.Structure):
    """sqlite3_io_methods."""

    _fields_ = [
        ("version", _I),
        ("close", _P),
        ("read", _P),
        ("write", _P),
        ("truncate", _P),
        ("sync", _P),
        ("file_size", _P),
        ("others", _P * 12),
    ]


class Disk:
    """The state of the disk, read from a file at every call, and where calls are recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._control = os.open(folder / "disk", os.O_RDONLY | os.O_CREAT)
        self._recording: BinaryIO | None = None
        if (folder / "recording").exists():
            self._recording = (folder / "recording").open("ab")

    @property
    def state(self) -> str:
        return os.pread(self._control, 32, 0).decode().strip() or GOOD

    def record(self, kind: int, path: str, offset: int = 0, data: bytes = b"") -> None:
        if self._recording is not None:
            name = os.path.relpath(path, self.folder)
            recording.write_step(self._recording, Step(kind, name, time.monotonic(), offset, data))


class FaultyFiles:
    """The wrapping VFS. Once installed it lives as long as the process, for SQLite holds its address."""

    installed: ClassVar[list[FaultyFiles]] = []

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._paths: dict[int, str] = {}
        self._tables: dict[int, _Methods] = {}
        self._callbacks: list[Any] = []
        library = ctypes.CDLL("libsqlite3.so.0")
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), _I]
        self._library = library
        inner = library.sqlite3_vfs_find(None)
        self._inner = inner
        self._vfs = _Vfs.from_buffer_copy(inner.contents)
        self._vfs.name = b"faulty"
        self._inner_open = _Open(inner.contents.open)
        self._inner_delete = _Delete(inner.contents.delete)
        self._vfs.open = self._keep(_Open(self._open))
        self._vfs.delete = self._keep(_Delete(self._delete))

    def install(self) -> None:
        """Become the file system that SQLite uses by default."""
        self.installed.append(self)
        if code := self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1):
            raise OSError(f"SQLite does not take the file system: {code}")

    def _keep(self, callback: Any) -> int:
        self._callbacks.append(callback)
        return ctypes.cast(callback, _P).value or 0

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        # The name is passed on as the pointer it is: SQLite keeps more behind its end.
        path = ctypes.string_at(name).decode() if name else ""
        if self._disk.state in {READ_ONLY, BROKEN} and flags & _OPEN_READWRITE:
            if not Path(path).exists() or self._disk.state == BROKEN:
                return _CANTOPEN
            flags = (flags & ~(_OPEN_READWRITE | _OPEN_CREATE)) | _OPEN_READONLY
        is_new = not Path(path).exists()
        code = self._inner_open(ctypes.addressof(self._inner.contents), name, file, flags, out)
        methods_at = ctypes.cast(file, ctypes.POINTER(_P))[0] if code == _OK else None
        if methods_at is None or not path:
            return int(code)
        self._paths[file] = path
        if is_new:
            self._disk.record(recording.CREATE, path)
        ctypes.cast(file, ctypes.POINTER(_P))[0] = ctypes.addressof(self._methods(methods_at))
        return int(code)

    def _delete(self, _vfs: int, name: bytes, sync_folder: int) -> int:
        if self._disk.state in {READ_ONLY, BROKEN}:
            return _IOERR_DELETE
        code = self._inner_delete(ctypes.addressof(self._inner.contents), name, sync_folder)
        if code == _OK:
            self._disk.record(recording.DELETE, name.decode())
        return int(code)

    def _methods(self, inner_at: int) -> _Methods:
        """Return the table of methods for files whose own table is at an address."""
        if inner_at in self._tables:
            return self._tables[inner_at]
        inner = _Methods.from_address(inner_at)
        table = self._tables[inner_at] = _Methods.from_buffer_copy(inner)
        close, write, truncate = _Close(inner.close), _Write(inner.write), _Truncate(inner.truncate)
        sync, file_size, read = _Sync(inner.sync), _FileSize(inner.file_size), _Write(inner.read)
        disk, paths = self._disk, self._paths

        def on_close(file: int) -> int:
            paths.pop(file, None)
            return int(close(file))

        def on_read(file: int, data: int, size: int, offset: int) -> int:
            return _IOERR_READ if disk.state == BROKEN else int(read(file, data, size, offset))

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            state = disk.state
            if state in {READ_ONLY, BROKEN}:
                return _IOERR_WRITE
            if state == FULL:
                # What has its blocks can be written again; there are no new ones.
                length = _L()
                file_size(file, ctypes.byref(length))
                if offset + size > length.value:
                    return _FULL
            code = int(write(file, data, size, offset))
            if code == _OK:
                disk.record(recording.WRITE, paths[file], offset, ctypes.string_at(data, size))
            return code

        def on_truncate(file: int, size: int) -> int:
            if disk.state in {READ_ONLY, BROKEN}:
                return _IOERR_TRUNCATE
            code = int(truncate(file, size))
            if code == _OK:
                disk.record(recording.TRUNCATE, paths[file], size)
            return code

        def on_sync(file: int, flags: int) -> int:
            if disk.state in {READ_ONLY, BROKEN, BROKEN_SYNC}:
                return _IOERR_FSYNC
            code = int(sync(file, flags))
            if code == _OK:
                disk.record(recording.SYNC, paths[file])
            return code

        table.close, table.read, table.write = (
            self._keep(_Close(on_close)),
            self._keep(_Write(on_read)),
            self._keep(_Write(on_write)),
        )
        table.truncate, table.sync = self._keep(_Truncate(on_truncate)), self._keep(_Sync(on_sync))
        return table


_CODES = {READ_ONLY: errno.EROFS, BROKEN: errno.EIO}
_WRITING_EVENTS = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"})


def refuse_python_too(disk: Disk) -> None:
    """Let Python's own calls on the state directory fail as SQLite's do, and show a full disk as full."""
    state_dir = str(disk.folder / "state")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event != "open" and event not in _WRITING_EVENTS:
            return
        path = os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else ""
        if not isinstance(path, str) or not path.startswith(state_dir):
            return
        is_writing = event != "open" or bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if event == "os.mkdir" and Path(path).exists():
            return
        code = _CODES.get(disk.state)
        if code is not None and (is_writing or disk.state == BROKEN):
            raise OSError(code, os.strerror(code), path)

    sys.addaudithook(hook)
    inner_statvfs: Callable[..., os.statvfs_result] = os.statvfs

    def statvfs(path: Any) -> os.statvfs_result:
        found = inner_statvfs(path)
        if disk.state != FULL:
            return found
        fields = list(found)
        fields[3] = fields[4] = 0
        return os.statvfs_result(fields)

    os.statvfs = statvfs


def main() -> int:
    """Set the disk up before anything of edged is loaded, and run it."""
    disk = Disk(Path(sys.argv[1]))
    FaultyFiles(disk).install()
    refuse_python_too(disk)
    from edged.cli import main as edged_main  # noqa: PLC0415

    return edged_main(sys.argv[2:])


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A file that is closed later than Python ends would call methods that are gone.
    os._exit(status)
