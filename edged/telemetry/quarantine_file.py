"""Writes what is quarantined to disk: seldom, in a thread, into two files that never grow beyond their bound."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from edged.telemetry.quarantine import Quarantine

_log = logging.getLogger(__name__)

NAME = "quarantine.jsonl"
MAX_BYTES = 256 * 1024
"""Of the file and the one before it together."""
_GATHER_S = 10.0


class QuarantineFile:
    """Appends lines; at half the bound the file becomes quarantine.jsonl.1, and a new one is begun."""

    def __init__(self, quarantine: Quarantine, state_dir: Path, *, gather_s: float = _GATHER_S) -> None:
        self._quarantine = quarantine
        self._path = state_dir / NAME
        self._gather_s = gather_s
        self._wake = asyncio.Event()
        self._in_trouble = False

    def wake(self) -> None:
        """There is something to write."""
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled. What is not written then is in nobody's account, and not missed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if lines := self._quarantine.take_lines():
                await asyncio.to_thread(self._append, lines)
            # What comes meanwhile is written together.
            await asyncio.sleep(self._gather_s)

    def _append(self, lines: str) -> None:
        try:
            descriptor = self._open()
            if 0 < os.fstat(descriptor).st_size > MAX_BYTES // 2 - len(lines):
                os.close(descriptor)
                self._path.replace(self._path.with_name(NAME + ".1"))
                descriptor = self._open()
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(lines)
        except OSError as error:
            level = logging.DEBUG if self._in_trouble else logging.WARNING
            _log.log(level, "%s cannot be written: %s; refused messages are counted only", self._path, error.strerror)
            self._in_trouble = True
        else:
            self._in_trouble = False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
