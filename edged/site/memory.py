"""Remembers over restarts which retained topics were published, so that those of a camera, a route or a name that is no
more can be removed. The file is written only when that set changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

_log = logging.getLogger(__name__)

FILE_NAME = "site-topics.json"
_MAX_FILE_BYTES = 4 * 1024 * 1024


class TopicMemory:
    """One file. A disk that does not take it costs the tidying up after a restart, nothing else."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self._known: frozenset[str] | None = None

    def read(self) -> frozenset[str]:
        """Return the topics of earlier lives; none where the file is not there or not ours."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MAX_FILE_BYTES))
        except (OSError, ValueError, RecursionError) as err:
            if not isinstance(err, FileNotFoundError):
                _log.warning("site: %s cannot be read (%s); old retained topics may stay", self._path, err)
            found = []
        topics = found if isinstance(found, list) else []
        self._known = frozenset(topic for topic in topics if isinstance(topic, str) and _is_plain(topic))
        return self._known

    def write(self, topics: Iterable[str]) -> None:
        """Remember these, if they are not what is remembered already."""
        wanted = frozenset(topics)
        if wanted == self._known:
            return
        self._known = wanted
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(sorted(wanted), indent=0) + "\n", encoding="utf-8")
            fresh.replace(self._path)
        except OSError as err:
            _log.warning("site: %s cannot be written (%s); old retained topics may stay", self._path, err.strerror)


def _is_plain(topic: str) -> bool:
    return bool(topic) and not any(char in topic for char in "+#\x00")
