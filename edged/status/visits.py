"""Short visits of many clients: one question, one answer, each bounded in size and time, and few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Welcome = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
"""What `asyncio.start_server` and its like call with every client."""

MAX_VISITORS = 8
PATIENCE_S = 5.0


class Visits:
    """`answer` gives the whole answer at once."""

    def __init__(
        self,
        read: Callable[[asyncio.StreamReader], Awaitable[bytes]],
        answer: Callable[[bytes], bytes],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._read = read
        self._answer = answer
        self._patience_s = patience_s
        self._visitors = 0

    async def receive(self, open_server: Callable[[Welcome], Awaitable[asyncio.Server]]) -> None:
        """Open the server, which does not serve yet, and serve its clients until cancelled. No client outlives it."""
        is_open = True
        async with asyncio.TaskGroup() as group:

            def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if is_open:
                    group.create_task(self._talk(reader, writer), name="status visit")
                else:  # it was let in, and we have closed meanwhile
                    writer.transport.abort()

            server = await open_server(welcome)
            try:
                await server.start_serving()
                await asyncio.Event().wait()
            finally:
                is_open = False
                server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client. One too many is shown out at once."""
        self._visitors += 1
        try:
            if self._visitors <= MAX_VISITORS:
                await self._serve(reader, writer)
        finally:
            self._visitors -= 1
            # All that was to be written has been: what is left is for one who does not read.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(self._patience_s):
                writer.write(self._answer(await self._read(reader)))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError):
            return  # It went away, sleeps, or sends no request: nobody who has to be told.
