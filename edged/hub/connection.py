"""One client's WebSocket, within the bounds that the library leaves to us: how many sockets there are, how much of
what the library itself answers may wait unread, in how many pieces a message may come.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection

# Clients of the protocol send a message in one piece; an empty piece costs its receiver twenty times its own size.
MAX_PIECES = 64


class PiecesError(Exception):
    """A message came in more than MAX_PIECES pieces."""


class HubConnection(ServerConnection):
    """A connection that knows where it came from, also when it is already broken."""

    address = "unknown"


def connection_class(sockets: set[HubConnection], *, max_sockets: int, max_waiting_bytes: int) -> type[HubConnection]:
    """Make the connection class that keeps `sockets` and drops a client that goes beyond a bound."""

    class BoundedConnection(HubConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.address = (transport.get_extra_info("peername") or (self.address,))[0]
            sockets.add(self)
            if len(sockets) > max_sockets:
                self.transport.abort()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # The library answers every ping, whether the client takes the answers or not.
            if self.transport.get_write_buffer_size() > max_waiting_bytes:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            sockets.discard(self)
            super().connection_lost(exc)

    return BoundedConnection


async def receive(socket: ServerConnection) -> str | None:
    """Return the next message, None for a binary one. Raises ConnectionClosed, PiecesError."""
    text: list[str] = []
    count = 0
    async for piece in socket.recv_streaming():
        count += 1
        if count > MAX_PIECES:
            raise PiecesError
        if isinstance(piece, str):
            text.append(piece)
    return "".join(text) if text else None
