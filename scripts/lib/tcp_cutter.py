"""A TCP relay on loopback whose connections can be cut as a failing network cuts them: with a reset and no goodbye, or
without a word, as when a cable is pulled."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

LINGER_ZERO = struct.pack("ii", 1, 0)


class TcpCutter:
    """Relays to one server; `cut` resets all connections of the moment, new ones are taken at once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._plugged = asyncio.Event()
        self._plugged.set()
        self.port = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it."""
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= pair
            for each in pair:
                each.close()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            writer.transport.abort()

    def unplug(self) -> None:
        """Let nothing pass until `plug`; connections stay, and both ends know of nothing."""
        self._plugged.clear()

    def plug(self) -> None:
        """Let everything pass again."""
        self._plugged.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._plugged.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def tcp_cutter(host: str, port: int) -> AsyncIterator[TcpCutter]:
    """Run a relay to a server on a free port."""
    cutter = TcpCutter(host, port)
    server = await asyncio.start_server(cutter.relay, "127.0.0.1", 0)
    cutter.port = server.sockets[0].getsockname()[1]
    try:
        yield cutter
    finally:
        server.close()
        cutter.plug()
        cutter.cut()
        await server.wait_closed()
