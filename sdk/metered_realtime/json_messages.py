"""A bounded row of messages that arrived on a data channel, read as JSON by one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from metered_realtime.errors import NotJsonError
from metered_realtime.json_text import JsonError, loads


class JsonMessages:
    """An asynchronous iterator over JSON values, and a context manager that ends it.

    When more than `maxsize` messages or `max_bytes` wait, the oldest are dropped and counted in `dropped`. What is not
    JSON is passed over and told to `on_error`.
    """

    def __init__(
        self,
        *,
        maxsize: int,
        max_bytes: int,
        on_error: Callable[[NotJsonError], None],
        on_close: Callable[[JsonMessages], None],
    ) -> None:
        self.dropped = 0
        self._maxsize = maxsize
        self._max_bytes = max_bytes
        self._on_error = on_error
        self._on_close = on_close
        # Texts, not values: a value may take twenty times the room of its text.
        self._waiting: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    def push(self, message: str | bytes) -> None:
        """Add a message; a binary one is read as UTF-8."""
        if self._is_closed:
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        while len(self._waiting) > self._maxsize or self._waiting_bytes > self._max_bytes:
            self._take()
            self.dropped += 1
        self._changed.set()

    def close(self) -> None:
        """Stop listening; messages that already wait are still delivered. May be called again."""
        if not self._is_closed:
            self._is_closed = True
            self._on_close(self)
            self._changed.set()

    def _take(self) -> str | bytes:
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message)
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            while not self._waiting:
                if self._is_closed:
                    raise StopAsyncIteration
                self._changed.clear()
                await self._changed.wait()
            message = self._take()
            try:
                return loads(message if isinstance(message, str) else message.decode())
            except JsonError as error:
                self._on_error(NotJsonError(len(message), str(error)))
            except UnicodeDecodeError:
                self._on_error(NotJsonError(len(message), "the text is not UTF-8"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()
