"""A bad link for one end of a connection: a relay of UDP datagrams that loses, delays, reorders and holds them back.

Chromium is put behind it by giving it nothing but a TURN server whose address is the relay's; so no privileges and no
kernel module are needed, and every other viewer keeps its own link.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to datagrams, each way. `loss` is a share of all, in runs of `burst` on average; `rate_bps` holds
    for payload bytes, and what would wait longer than `queue_s` for it is dropped; `jitter_s` reorders.
    """

    loss: float = 0.0
    burst: float = 1.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bps: float | None = None
    queue_s: float = 0.2


@dataclass(slots=True)
class Way:
    """One way through the relay; decides, without a clock, when a datagram arrives."""

    rng: random.Random
    passed: int = 0
    lost: int = 0
    held_back: int = 0
    _is_losing: bool = False
    _free_at_s: float = 0.0

    def arrival_s(self, weather: Weather, now_s: float, size_bytes: int) -> float | None:
        """Return when a datagram that comes now arrives; None if it never does."""
        leaves_s = now_s
        if weather.rate_bps is not None:
            leaves_s = max(now_s, self._free_at_s)
            if leaves_s - now_s > weather.queue_s:
                self.held_back += 1
                return None
            self._free_at_s = leaves_s = leaves_s + size_bytes * 8 / weather.rate_bps
        if self._loses(weather):
            self.lost += 1
            return None
        self.passed += 1
        return leaves_s + weather.delay_s + self.rng.random() * weather.jitter_s

    def _loses(self, weather: Weather) -> bool:
        """Two states, of which one loses everything (Gilbert): it ends with one in `burst`."""
        if weather.loss <= 0.0:
            return False
        ends = 1.0 / weather.burst
        if self._is_losing:
            self._is_losing = self.rng.random() >= ends
        else:
            self._is_losing = self.rng.random() < ends * weather.loss / (1.0 - weather.loss)
        return self._is_losing


@dataclass(slots=True)
class BadLink:
    """A running relay on `port`; `weather` may be changed at any time, and counts are of all its clients together."""

    target: tuple[str, int]
    weather: Weather
    up: Way
    down: Way
    port: int = 0
    latest_s: float = 0.0
    """How much later than it should a datagram left here, because of what else this machine does."""
    _ends: list[asyncio.DatagramTransport] = field(default_factory=list)
    _clients: dict[Any, asyncio.Task[asyncio.DatagramTransport]] = field(default_factory=dict)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        near, _ = await loop.create_datagram_endpoint(lambda: _Taker(self._from_client), local_addr=(HOST, 0))
        self._ends.append(near)
        self.port = near.get_extra_info("sockname")[1]

    def close(self) -> None:
        for far in self._clients.values():
            far.cancel()
        for end in self._ends:
            end.close()

    def _from_client(self, data: bytes, client: Any) -> None:
        if client not in self._clients:
            self._clients[client] = asyncio.create_task(self._far_end(client))
        far = self._clients[client]
        # In the order in which they came: those that come before the other end is open wait for it.
        far.add_done_callback(lambda _: None if far.cancelled() else self._pass(self.up, data, far.result(), None))

    async def _far_end(self, client: Any) -> asyncio.DatagramTransport:
        def back(data: bytes, _: Any) -> None:
            self._pass(self.down, data, self._ends[0], client)

        loop = asyncio.get_running_loop()
        far, _ = await loop.create_datagram_endpoint(lambda: _Taker(back), remote_addr=self.target)
        self._ends.append(far)
        return far

    def _pass(self, way: Way, data: bytes, end: asyncio.DatagramTransport, to: Any) -> None:
        loop = asyncio.get_running_loop()
        arrival_s = way.arrival_s(self.weather, loop.time(), len(data))
        if arrival_s is not None:
            loop.call_at(arrival_s, self._arrive, arrival_s, data, end, to)

    def _arrive(self, due_s: float, data: bytes, end: asyncio.DatagramTransport, to: Any) -> None:
        self.latest_s = max(self.latest_s, asyncio.get_running_loop().time() - due_s)
        if not end.is_closing():
            end.sendto(data, to)


class _Taker(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Any], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """The other side of loopback is not there: as lost as on any link."""


@contextlib.asynccontextmanager
async def bad_link(port: int, weather: Weather, *, seed: int = 1) -> AsyncIterator[BadLink]:
    """Run a relay in front of the UDP port `port` of this machine."""
    link = BadLink((HOST, port), weather, Way(random.Random(seed)), Way(random.Random(seed + 1)))
    await link.open()
    try:
        yield link
    finally:
        link.close()
