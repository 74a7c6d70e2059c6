"""What goes wrong without anybody being told: lines of the log, and exceptions that reach the loop."""

from __future__ import annotations

import asyncio
import logging
from typing import Any


class Faults(logging.Handler):
    """What was logged as an error, or never reached anybody."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[Any] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.levelname}: {self.format(record)}")
        if record.levelno >= logging.ERROR:
            self.seen.append(self.lines[-1])

    def loop_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.seen.append(context)
