"""The beginning of some messages that were refused, so that somebody can see what is wrong with them. Pure.

All are counted elsewhere; here a few are kept: the last ones in memory, and now and then one for the disk.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from edged.telemetry.moments import Moment

KEPT = 32
HEAD_BYTES = 1024
_MAX_TOPIC = 256
_decoder = codecs.getincrementaldecoder("utf-8")
_BURST = 10
_PER_MS = 1 / 60_000
"""One record a minute in the long run: 3 MB a day at most."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What is kept of one message."""

    topic: str
    reason: str
    size_bytes: int
    head: bytes
    taken: Moment
    skipped: int = 0
    """How many were refused since the one before it on disk."""

    def as_json(self) -> dict[str, Any]:
        """Return it for status and for the file: text where it is text, else base64."""
        made: dict[str, Any] = {"topic": self.topic, "reason": self.reason, "size_bytes": self.size_bytes}
        try:
            # The cut may have halved a character.
            made["head"] = _decoder().decode(self.head, final=self.size_bytes == len(self.head))
        except UnicodeDecodeError:
            made["head_base64"] = base64.b64encode(self.head).decode()
        if self.taken.is_set:
            made["time_ms"] = self.taken.wall_ms
        else:
            made |= {"clock": "unset", "uptime_ms": self.taken.uptime_ms}
        if self.skipped:
            made["skipped"] = self.skipped
        return made

    def line(self) -> str:
        """Return it as one line of a file."""
        return json.dumps(self.as_json()) + "\n"


class Quarantine:
    """A ring in memory, and a few of its records waiting for the disk."""

    def __init__(self) -> None:
        self._kept: deque[Refused] = deque(maxlen=KEPT)
        self._for_disk: deque[Refused] = deque(maxlen=_BURST)
        self._room = float(_BURST)
        self._at_ms = 0
        self._skipped = 0

    @property
    def kept(self) -> tuple[Refused, ...]:
        """The last refused messages, oldest first."""
        return tuple(self._kept)

    def add(self, topic: str, reason: str, payload: bytes, now: Moment) -> bool:
        """Keep the beginning of a message; return whether there is something for the disk."""
        self._room = min(float(_BURST), self._room + (now.uptime_ms - self._at_ms) * _PER_MS)
        self._at_ms = now.uptime_ms
        goes = self._room >= 1
        refused = Refused(
            topic[:_MAX_TOPIC], reason, len(payload), payload[:HEAD_BYTES], now, self._skipped if goes else 0
        )
        self._kept.append(refused)
        if goes:
            self._room -= 1
            self._skipped = 0
            self._for_disk.append(refused)
        else:
            self._skipped += 1
        return goes

    def take_lines(self) -> str:
        """Return what is to be written, and forget that it waits."""
        lines = "".join(refused.line() for refused in self._for_disk)
        self._for_disk.clear()
        return lines
