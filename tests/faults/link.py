"""A bad link: a TCP relay on loopback with the weather of a real one.

What TCP makes of a bad network is what its ends see: data comes late (delay), comes in jerks (loss: a segment is sent
again after a time-out, and everything behind it waits), comes thinly (trickle), does not come and nobody says why
(a hole: what was written is delivered after it, if both ends are still there), or the connection is reset.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

_LINGER_ZERO = struct.pack("ii", 1, 0)
_SEGMENT_BYTES = 1448
_RETRANSMIT_S = 0.2
_READ_BYTES = 64 * 1024
_MAX_UNDER_WAY_BYTES = 512 * 1024
_DROPS_PER_S = 20

Tap = Callable[[int, bool, bytes], None]
"""Called with the connection's number, whether it goes to the server, and the bytes."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the link is like, each way. `loss` is the share of segments lost, `bytes_per_s` 0 is no limit."""

    delay_s: float = 0.0
    loss: float = 0.0
    bytes_per_s: int = 0


FAIR = Weather()


class Link:
    """Relays to one server. All that is changed is changed for connections that are open too."""

    def __init__(
        self, port: int, *, tap: Tap | None = None, greet: Callable[[bytes], bytes] | None = None, seed: int = 1
    ) -> None:
        """`greet` is shown the first bytes of each connection; what it returns is answered, and that was all."""
        self.weather = FAIR
        self.port = 0
        self.connections = 0
        self._server_port = port
        self._tap = tap
        self._greet = greet
        self._dice = random.Random(seed)
        self._through = asyncio.Event()
        self._through.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Event()

    # The weather ----------------------------------------------------------------------------------

    def reset(self) -> None:
        """End every connection with a reset; what was under way is lost."""
        for writer in tuple(self._writers):
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            writer.transport.abort()

    async def refuse(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.reset()

    async def accept(self) -> None:
        """Take new connections (again), always on the same port."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._relay, "127.0.0.1", self.port, backlog=64)
            self.port = self._listener.sockets[0].getsockname()[1]

    def hole(self) -> None:
        """From now on everything vanishes, without a word to either end."""
        self._through.clear()

    def mend(self) -> None:
        """Everything passes again."""
        self._through.set()

    async def connected(self, count: int) -> None:
        """Wait until so many connections have been made to the server, all told."""
        while self.connections < count:
            self._changed.clear()
            await self._changed.wait()

    # The relay ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.refuse()
        self.mend()

    async def _relay(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self._writers.add(near)
        far: asyncio.StreamWriter | None = None
        try:
            await self._through.wait()
            first = b""
            if self._greet is not None:
                first = await near_reader.read(_READ_BYTES)
                if answer := self._greet(first):
                    near.write(answer)
                    await near.drain()
                    return
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers.add(far)
            number, self.connections = self.connections, self.connections + 1
            self._changed.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(_Direction(self, number, near_reader, far, to_server=True).run(first))
                group.create_task(_Direction(self, number, far_reader, near, to_server=False).run())
        except* (OSError, EOFError):
            pass
        finally:
            for writer in (near, far):
                if writer is not None:
                    self._writers.discard(writer)
                    writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def until_through(self) -> None:
        """Wait for the end of a hole."""
        await self._through.wait()

    def see(self, number: int, data: bytes, *, to_server: bool) -> None:
        """Show bytes that pass."""
        if self._tap is not None:
            self._tap(number, to_server, data)

    def lateness_s(self, size_bytes: int) -> float:
        """Return how long after its sending data of that size arrives."""
        weather = self.weather
        segments = -(-size_bytes // _SEGMENT_BYTES)
        is_hit = weather.loss and self._dice.random() > (1 - weather.loss) ** segments
        return weather.delay_s + (max(_RETRANSMIT_S, 2 * weather.delay_s) if is_hit else 0.0)


class _Direction:
    """One way of one connection: reads ahead as far as a network would, and delivers when it is due."""

    def __init__(
        self,
        link: Link,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        to_server: bool,
    ) -> None:
        self._link = link
        self._number = number
        self._reader = reader
        self._writer = writer
        self._to_server = to_server
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._under_way_bytes = 0
        self._due_s = 0.0
        self._ended = False
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, first: bytes = b"") -> None:
        """Carry until the source ends, `first` before the rest. Raises OSError where it does not end well."""
        if first:
            self._put(first)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._deliver())

    def _put(self, data: bytes) -> None:
        if self._to_server:
            self._link.see(self._number, data, to_server=True)
        self._due_s = max(self._due_s, self._loop.time() + self._link.lateness_s(len(data)))
        self._under_way.append((self._due_s, data))
        self._under_way_bytes += len(data)
        self._wake.set()

    async def _take(self) -> None:
        try:
            while data := await self._reader.read(_READ_BYTES):
                self._put(data)
                while self._under_way_bytes > _MAX_UNDER_WAY_BYTES:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._ended = True
            self._wake.set()

    async def _deliver(self) -> None:
        while self._under_way or not self._ended:
            if not self._under_way:
                self._wake.clear()
                await self._wake.wait()
                continue
            due_s, data = self._under_way[0]
            if due_s > self._loop.time():
                await asyncio.sleep(due_s - self._loop.time())
            await self._write(data)
            self._under_way.popleft()
            self._under_way_bytes -= len(data)
            self._wake.set()
        await self._link.until_through()
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def _write(self, data: bytes) -> None:
        while data:
            await self._link.until_through()
            rate = self._link.weather.bytes_per_s
            drop, data = (
                (data[: max(1, rate // _DROPS_PER_S)], data[max(1, rate // _DROPS_PER_S) :]) if rate else (data, b"")
            )
            if not self._to_server:
                self._link.see(self._number, drop, to_server=False)
            self._writer.write(drop)
            await self._writer.drain()
            if rate:
                await asyncio.sleep(len(drop) / rate)


@asynccontextmanager
async def link_to(port: int, *, tap: Tap | None = None) -> AsyncIterator[Link]:
    """Run a link to a port of loopback."""
    async with Link(port, tap=tap) as link:
        yield link
