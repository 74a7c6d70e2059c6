"""The control socket: a Unix socket that answers one question per connection, and changes nothing.

A lock beside the socket is held as long as the gateway lives. Whoever has it may take the place of a socket file that
is there: its owner is gone. So two gateways never share one, and a crash leaves nothing to clean up by hand.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from edged.errors import EdgedError
from edged.status.visits import MAX_VISITORS, Visits

SOCKET_NAME = "control.sock"
_MODE = 0o660
_MAX_PATH_BYTES = 107
_MAX_LINE_BYTES = 256


class ControlSocketError(EdgedError):
    """The control socket cannot be made; everything else works without it."""


def socket_path(configured: str, environ: Mapping[str, str], state_dir: Path) -> Path:
    """Return where the socket is: as set, else in the runtime directory, else beside the state."""
    if configured:
        return Path(configured)
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return (Path(runtime) if runtime else state_dir) / SOCKET_NAME


class ControlSocket:
    """`serve` lives until cancelled. `answer` turns a line into bytes, at once."""

    def __init__(self, path: Path, answer: Callable[[bytes], bytes]) -> None:
        self._path = path
        self._visits = Visits(_line, answer)

    async def serve(self, _up: Callable[[str], None]) -> None:
        """Answer until cancelled, for `keep_running`; quiet where all is well.

        Raises ControlSocketError where the socket cannot be had.
        """
        lock = _lock(self._path)
        try:
            listener = _listen(self._path)
            try:
                await self._visits.receive(
                    lambda welcome: asyncio.start_unix_server(
                        welcome, sock=listener, limit=_MAX_LINE_BYTES, start_serving=False
                    )
                )
            finally:
                with suppress(OSError):
                    self._path.unlink()
        finally:
            os.close(lock)


async def _line(reader: asyncio.StreamReader) -> bytes:
    return await reader.readline()


def _lock(path: Path) -> int:
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise ControlSocketError(_sentence(path, err)) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(lock)
        raise ControlSocketError(
            f"another gateway has the control socket {path}: stop it, or give this one its own state directory"
        ) from err
    return lock


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) + len(".new") > _MAX_PATH_BYTES:
        raise ControlSocketError(f"the path of the control socket is too long ({path}): set status.socket to a shorter")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(path.name + ".new")
    try:
        with suppress(FileNotFoundError):
            fresh.unlink()
        listener.bind(os.fspath(fresh))
        fresh.chmod(_MODE)
        listener.listen(MAX_VISITORS)
        listener.setblocking(False)
        # It appears with its rights, and in one step where another one was left behind.
        fresh.rename(path)
    except OSError as err:
        listener.close()
        raise ControlSocketError(_sentence(path, err)) from err
    return listener


def _sentence(path: Path, err: OSError) -> str:
    return f"the control socket {path} cannot be made ({err.strerror}): set status.socket to a place we may write to"
