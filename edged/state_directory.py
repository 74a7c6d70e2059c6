"""Where a gateway keeps its state, and that no other one keeps its own there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from edged.errors import EdgedError


class StateDirectoryError(EdgedError):
    """The directory is of no use to us; the sentence says why and what to change."""


def state_directory(environ: Mapping[str, str], home: Path) -> Path:
    """Where state is kept: what the service manager made for us, else the user's own place."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else home / ".local" / "state" / "edged"


def claim(directory: Path) -> int:
    """Make the directory, and hold it until the process ends, however that happens. Raises StateDirectoryError.

    Two gateways with one outbox, one client id at the broker and one set of ids would take each other's readings.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The directory itself is locked: on a disk that became read-only or full no file could be made for that.
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as err:
        raise StateDirectoryError(
            f"the state directory {directory} cannot be made ({err.strerror}); set STATE_DIRECTORY"
        ) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(lock)
        raise StateDirectoryError(
            f"another gateway uses the state directory {directory}: stop it, or set STATE_DIRECTORY for this one"
        ) from err
    return lock
