"""Two ends of an ICE session in one process, that tell each other what a description and trickled candidates would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Self

from metered_realtime import ice_generation, ice_generations
from metered_realtime.ice_connection import IceConnection
from metered_realtime.ice_consent import ConsentTimings
from metered_realtime.ice_path import SelectedPair
from metered_realtime.owned_tasks import OwnedTasks

TIMEOUT_S = 10.0
NEVER_S = 1000.0
QUICK = ConsentTimings(interval_s=0.05, retry_s=0.02, lost_s=0.15, expires_s=30)
LOOPBACK = [f"127.0.0.{number}" for number in range(1, 9)]


def forbid_timers(monkeypatch: Any) -> None:
    """Send no check for the mere passing of time: what works now needs no waiting."""
    monkeypatch.setattr(ice_generation, "PACE_S", NEVER_S)
    monkeypatch.setattr(ice_generation, "CHECK_DELAYS_S", (NEVER_S, NEVER_S))


def forbid_lingering(monkeypatch: Any) -> None:
    """Forget the generation of before a restart as soon as the new one has a pair."""
    monkeypatch.setattr(ice_generations, "LINGER_S", 0.0)


class End:
    """An IceConnection with what it reported; `told` holds "lost", "back" and the pairs that were selected."""

    def __init__(self, *servers: Any, controlling: bool = False, **options: Any) -> None:
        self.found: list[Any] = []
        self.told: list[Any] = []
        self.other: End | None = None
        self._changed = asyncio.Event()
        self._tasks = OwnedTasks()
        self.ice = IceConnection(
            servers,
            on_candidate=self._on_candidate,
            on_path_lost=lambda: self._tell("lost"),
            on_path_back=lambda: self._tell("back"),
            on_path_changed=self._tell,
            **options,
        )
        self.ice.ice_controlling = controlling

    def _on_candidate(self, candidate: Any) -> None:
        self.found.append(candidate)
        if self.other is not None:
            ufrag = self.ice.local_username
            self._tasks.start(self.other.ice.add_remote_candidate(candidate, ufrag=ufrag), "trickle")
        self._changed.set()

    def _tell(self, what: Any) -> None:
        self.told.append(what)
        self._changed.set()

    @property
    def paths(self) -> list[SelectedPair]:
        return [each for each in self.told if isinstance(each, SelectedPair)]

    @property
    def types(self) -> list[str]:
        """The types of all local candidates known so far."""
        return [each.type for each in self.ice.local_candidates]

    async def until(self, is_true: Callable[[], Any]) -> None:
        """Wait until `is_true()`, which is asked after each report."""
        async with asyncio.timeout(TIMEOUT_S):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    async def gathered(self) -> None:
        await self.until(lambda: None in self.found)

    async def describe_to(self, other: End) -> None:
        """Give the other end our credentials and the candidates found so far, as a description does."""
        self.other = other
        await other.ice.set_remote(self.ice.local_username, self.ice.local_password)
        for candidate in self.ice.local_candidates:
            await other.ice.add_remote_candidate(candidate)

    def drop_all(self) -> Callable[[], None]:
        """Lose every datagram that comes in; return what ends that."""
        sockets = self.ice._protocols[:]
        for each in sockets:
            each.datagram_received = lambda data, addr: None

        def restore() -> None:
            for each in sockets:
                del each.datagram_received

        return restore

    async def close(self) -> None:
        await self.ice.close()
        await self._tasks.aclose()


def pair(*servers: Any, **options: Any) -> tuple[End, End]:
    """Return two ends with one address each."""
    options.setdefault("addresses", lambda: ["127.0.0.1"])
    return End(*servers, controlling=True, **options), End(*servers, **options)


@contextlib.asynccontextmanager
async def closing(*ends: End):
    """Close the ends however the block ends."""
    try:
        yield
    finally:
        for end in ends:
            await end.close()


async def connect(offerer: End, answerer: End) -> None:
    """Take both through offer, answer and trickled candidates until a pair is selected on both sides."""
    await offerer.ice.gather_candidates()
    await offerer.describe_to(answerer)
    await answerer.ice.gather_candidates()
    await answerer.describe_to(offerer)
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(offerer.ice.connect(), answerer.ice.connect())


async def restart(initiator: End, follower: End, *servers: Any) -> None:
    """Take both through the offer and the answer of a restart; the checks have begun when this returns."""
    initiator.ice.restart(servers)
    await initiator.ice.gather_candidates()
    await initiator.describe_to(follower)
    await follower.ice.gather_candidates()
    await follower.describe_to(initiator)


async def restarted(*ends: End) -> None:
    """Wait until the restart has a pair at every end."""
    for end in ends:
        await end.until(lambda end=end: not end.ice.is_restarting)


async def exchange(one: End, other: End, data: bytes = b"data") -> None:
    """Send both ways, and see it arrive."""
    async with asyncio.timeout(TIMEOUT_S):
        for sender, receiver in ((one, other), (other, one)):
            await sender.ice.send(data)
            assert await receiver.ice.recv() == data


class Traffic:
    """Numbered datagrams both ways without a pause, until it is stopped."""

    def __init__(self, one: End, other: End) -> None:
        self._ends = (one, other)
        self._tasks = OwnedTasks()
        self._stop = False
        self.missing: list[int] = []
        self.received = 0

    async def __aenter__(self) -> Self:
        for sender, receiver in (self._ends, self._ends[::-1]):
            self._tasks.start(self._run(sender, receiver), "traffic")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stop = True
        await self._tasks.aclose(grace_s=TIMEOUT_S)

    async def _run(self, sender: End, receiver: End) -> None:
        number = 0
        while not self._stop:
            await sender.ice.send(str(number).encode())
            try:
                got = int(await asyncio.wait_for(receiver.ice.recv(), 2.0))
            except TimeoutError:
                self.missing.append(number)
            else:
                self.received += 1
                assert got == number
            number += 1
            await asyncio.sleep(0)


async def stock_connect(end: End, stock: Any) -> None:
    """Connect to one of aioice's own connections, which gathers before it says anything and trickles nothing."""
    await end.ice.gather_candidates()
    await stock.gather_candidates()
    for candidate in end.ice.local_candidates:
        await stock.add_remote_candidate(candidate)
    await stock.add_remote_candidate(None)
    stock.remote_username, stock.remote_password = end.ice.local_username, end.ice.local_password
    for candidate in stock.local_candidates:
        await end.ice.add_remote_candidate(candidate)
    await end.ice.add_remote_candidate(None)
    await end.ice.set_remote(stock.local_username, stock.local_password)
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(end.ice.connect(), stock.connect())
