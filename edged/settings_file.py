"""From a settings file to frozen settings, or to every fault it has, each with its line and column."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from edged.settings_build import Builder, SecretFileError
from edged.settings_faults import Fault
from edged.settings_yaml import YamlSyntaxError, compose, position_of

_LOG = logging.getLogger(__name__)
_MAX_FILE_BYTES = 1 << 20
_MAX_SECRET_BYTES = 64 << 10

T = TypeVar("T")


class SettingsError(Exception):
    """A settings file cannot be used; `faults` holds every reason, `str()` prints one per line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def load(path: str | Path, cls: type[T], *, warn: Callable[[str], None] | None = None) -> T:
    """Read a settings file into an instance of `cls`, or raise SettingsError with all its faults.

    `warn` takes sentences about what is allowed but unwise; without it they go to the log.
    """
    file = Path(path)
    text = _read(file)
    try:
        node = compose(text)
    except YamlSyntaxError as err:
        raise SettingsError((Fault(str(file), err.line, err.column, "", err.problem),)) from None
    disk = _Disk(file.absolute().parent, warn or (lambda sentence: _LOG.warning("%s", sentence)))
    builder = Builder(str(file), disk)
    settings = builder.build(cls, node)
    if builder.faults:
        raise SettingsError(tuple(sorted(builder.faults, key=lambda fault: (fault.line, fault.column))))
    return cast("T", settings)


def _read(file: Path) -> str:
    def refuse(problem: str, line: int = 0, column: int = 0) -> SettingsError:
        return SettingsError((Fault(str(file), line, column, "", problem),))

    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as err:
        raise refuse(_why_unreadable(err)) from None
    if len(data) > _MAX_FILE_BYTES:
        raise refuse(f"is larger than {_MAX_FILE_BYTES} bytes; this is not a settings file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line, column = position_of(data[: err.start].decode("utf-8-sig", "replace"), err.start)
        raise refuse("is not UTF-8 here; save the file as UTF-8", line, column) from None


def _why_unreadable(err: OSError) -> str:
    if isinstance(err, FileNotFoundError):
        return "there is no such file; write one, or name another"
    if isinstance(err, IsADirectoryError):
        return "is a directory; name a file in it"
    if isinstance(err, PermissionError):
        return "may not be read by this user; check its owner and mode"
    return f"cannot be read: {err.strerror or err}"


class _Disk:
    """The files that settings name, relative to the folder of the settings file."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn

    def resolve(self, name: str) -> Path:
        return self._folder / name

    def missing(self, path: Path) -> str:
        try:
            with path.open("rb"):
                return ""
        except OSError as err:
            return f"{path}: {_why_unreadable(err)}"

    def secret(self, path: Path) -> str:
        try:
            with path.open("rb") as stream:
                mode = stat.S_IMODE(path.stat().st_mode)
                data = stream.read(_MAX_SECRET_BYTES + 1)
        except OSError as err:
            raise SecretFileError(f"{path}: {_why_unreadable(err)}") from None
        return self._checked_secret(path, mode, data)

    def _checked_secret(self, path: Path, mode: int, data: bytes) -> str:
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SecretFileError(f"{path} may be written by others (mode {mode:04o}); chmod 600 {path}")
        if mode & stat.S_IROTH:
            self._warn(f"{path} may be read by every user of this machine (mode {mode:04o}); chmod 600 {path}")
        if len(data) > _MAX_SECRET_BYTES:
            raise SecretFileError(f"{path} is larger than {_MAX_SECRET_BYTES} bytes; it must hold one secret")
        try:
            text = data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise SecretFileError(f"{path} is not UTF-8; it must hold one secret in one line") from None
        if not text:
            raise SecretFileError(f"{path} is empty; it must hold one secret")
        if "\n" in text or "\r" in text:
            raise SecretFileError(f"{path} has more than one line; it must hold one secret")
        return text
