"""A signalling service that does only what a test tells it: real WebSockets on loopback, scripted answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WELCOME = {"type": "welcome", "peerId": "me", "expiresAt": None, "serverTime": 1, "maxMessageSize": 65536}


class ScriptedServer:
    """Keeps every frame it gets in `frames`; `answer` returns the frames to send back."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: asyncio.Queue[str] = asyncio.Queue()
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.connections: list[ServerConnection] = []
        self.welcome: dict[str, Any] | None = dict(WELCOME)
        self.on_connect: Callable[[ServerConnection], Any] | None = None
        self.closes: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    def answer(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        if frame["type"] == "ping":
            return [{"type": "pong"}]
        return [{"type": "ack", "requestId": frame["requestId"]}]

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self.paths.put_nowait(connection.request.path)
        if self.on_connect is not None:
            await self.on_connect(connection)
        if self.welcome is not None:
            await connection.send(json.dumps(self.welcome))
        with suppress(ConnectionClosed):
            async for text in connection:
                frame = json.loads(text)
                self.frames.put_nowait(frame)
                for reply in self.answer(frame):
                    await connection.send(json.dumps(reply))
        closed = connection.protocol  # websockets 13 has these two nowhere else
        self.closes.put_nowait((closed.close_code, closed.close_reason))

    async def send(self, frame: dict[str, Any] | str) -> None:
        await self.connections[-1].send(frame if isinstance(frame, str) else json.dumps(frame))

    def stop_reading(self) -> None:
        """Be a peer that is there and takes nothing any more; the kernel must not take megabytes in its place."""
        transport = self.connections[-1].transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport.pause_reading()

    async def frame(self, type_: str) -> dict[str, Any]:
        while True:
            frame = await self.frames.get()
            if frame["type"] == type_:
                return frame


@asynccontextmanager
async def scripted_server():
    script = ScriptedServer()
    async with serve(script.handle, "127.0.0.1", 0, ping_interval=None, compression=None) as server:
        script.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield script
