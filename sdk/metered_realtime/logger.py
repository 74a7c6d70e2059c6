"""The logging door of the SDK: a small protocol an application may implement, a silent default, a `logging` adapter."""

from __future__ import annotations

import logging
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Logger(Protocol):
    """Where the SDK writes. `ctx` holds values that belong to the message; neither ever holds a secret."""

    def debug(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def info(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def warning(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def error(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...


class NoopLogger:
    """Writes nothing."""

    def debug(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def info(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def warning(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...
    def error(self, msg: str, ctx: dict[str, Any] | None = None) -> None: ...


class StdlibLogger:
    """Writes to a `logging.Logger`, by default the one named `metered_realtime`."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger if logger is not None else logging.getLogger("metered_realtime")

    def debug(self, msg: str, ctx: dict[str, Any] | None = None) -> None:
        self._write(logging.DEBUG, msg, ctx)

    def info(self, msg: str, ctx: dict[str, Any] | None = None) -> None:
        self._write(logging.INFO, msg, ctx)

    def warning(self, msg: str, ctx: dict[str, Any] | None = None) -> None:
        self._write(logging.WARNING, msg, ctx)

    def error(self, msg: str, ctx: dict[str, Any] | None = None) -> None:
        self._write(logging.ERROR, msg, ctx)

    def _write(self, level: int, msg: str, ctx: dict[str, Any] | None) -> None:
        if ctx:
            self._logger.log(level, "%s %r", msg, ctx)
        else:
            self._logger.log(level, "%s", msg)
