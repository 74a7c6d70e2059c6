"""Remembers on disk that clients are connected, so that a hub started again knows they are on their way back.

Without such a note a start is a first start, and nobody is kept waiting (protocol section 15.1, rule 4).
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

_log = logging.getLogger(__name__)


def note_path(state_dir: str, host: str, port: int) -> Path | None:
    """Return where the note of a hub at this address lives; None for a port picked at random, nobody returns to it."""
    if port == 0:
        return None
    name = "hub-{}-{}.clients".format(re.sub(r"[^A-Za-z0-9.-]", "_", host) or "any", port)
    return _state_dir(state_dir) / name


def _state_dir(given: str) -> Path:
    if given:
        return Path(given)
    # systemd separates several directories by colons; the first is ours.
    from_systemd = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if from_systemd:
        return Path(from_systemd)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edged"


class ClientsNote:
    """Exists as a file while clients are connected; outlives a crash and a stop, not a quiet end."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def exists(self) -> bool:
        """Tell whether an earlier hub had clients when it ended."""
        return self._path is not None and self._path.exists()

    def keep(self, *, connected: bool) -> None:
        """Write or remove the note. A directory we may not write to only costs the warm-up."""
        if self._path is None:
            return
        try:
            if connected:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.debug(
                "cannot keep %s (%s); after a restart clients may take longer to find each other", self._path, error
            )
            self._path = None
