"""The generations of one ICE session: the one in force, the restart under way, those of before; and their sockets.

A socket belongs to every generation that may use it, and is closed with the last of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aioice import Candidate

from metered_realtime.ice_gathering import Gathering
from metered_realtime.ice_generation import IceGeneration
from metered_realtime.ice_pairs import Pair
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.ice_socket import IceSocket
from metered_realtime.owned_tasks import OwnedTasks

# How long the credentials and sockets of before a restart are kept once the new path is in use: what the other side
# still sends there is under way, and it may learn later than we do that the new path is the one.
LINGER_S = 5.0
CLOSE_WITHIN_S = 1.0


class Generations:
    """Makes and ends generations, and gathers for them."""

    def __init__(
        self,
        new_generation: Callable[[], IceGeneration],
        new_gathering: Callable[[Sequence[IceServerConfig], OwnedTasks], Gathering],
        on_candidate: Callable[[Candidate | None], None],
    ) -> None:
        self._new_generation, self._new_gathering = new_generation, new_gathering
        self._on_candidate = on_candidate
        self.active = new_generation()
        self.restarted: IceGeneration | None = None
        self.sockets: list[IceSocket] = []
        self._retiring: dict[IceGeneration, asyncio.TimerHandle] = {}
        self._gatherings: dict[IceGeneration, tuple[asyncio.Task[Any], asyncio.Event]] = {}
        self._tasks, self._closers = OwnedTasks(), OwnedTasks()
        self._has_ended = False

    def __iter__(self) -> Iterator[IceGeneration]:
        yield self.active
        if self.restarted is not None:
            yield self.restarted
        yield from list(self._retiring)

    @property
    def current(self) -> IceGeneration:
        """The one whose credentials are in our last description."""
        return self.restarted if self.restarted is not None else self.active

    def restart(self, servers: Sequence[IceServerConfig]) -> None:
        """Begin a new generation, in the place of one that is under way."""
        self.undo_restart()
        self.restarted = self._new_generation()
        self.start_gathering(servers)

    def undo_restart(self) -> None:
        """Forget the generation that is under way."""
        undone, self.restarted = self.restarted, None
        if undone is not None:
            self._discard(undone)

    def promote(self, generation: IceGeneration) -> None:
        """A pair of `generation` carries the data from now on; the one of before stays for what is under way."""
        if generation is self.restarted:
            old, self.active, self.restarted = self.active, generation, None
            old.end()
            self._retiring[old] = asyncio.get_running_loop().call_later(LINGER_S, self._retire, old)

    def is_gathering(self) -> bool:
        """Tell whether gathering for the current generation has begun."""
        return self.current in self._gatherings

    def start_gathering(self, servers: Sequence[IceServerConfig]) -> None:
        """Gather for the current generation, in the background."""
        generation, gathering, hosts_known = self.current, self._new_gathering(servers, self._closers), asyncio.Event()
        task = self._tasks.start(self._gather(generation, gathering, hosts_known), "ICE gathering")
        task.add_done_callback(lambda _: hosts_known.set())  # also if it is cancelled before its first step
        self._gatherings[generation] = task, hosts_known

    async def hosts_known(self) -> None:
        """Return when the host candidates of the current generation are there."""
        known = self._gatherings.get(self.current)
        if known is not None:
            await known[1].wait()

    async def _gather(self, generation: IceGeneration, gathering: Gathering, hosts_known: asyncio.Event) -> None:
        def found(candidate: Candidate, ice_socket: IceSocket) -> None:
            self._found(generation, candidate, ice_socket, is_late=hosts_known.is_set())

        existing = [each for each in self.sockets if each.local_candidate.type == "host"]
        hosts = await gathering.open_hosts(existing, found)
        hosts_known.set()
        await gathering.ask_servers(hosts, found)
        if generation is self.current:
            self._on_candidate(None)

    def _found(self, generation: IceGeneration, candidate: Candidate, ice_socket: IceSocket, *, is_late: bool) -> None:
        if self._has_ended or generation not in self._gatherings:
            if ice_socket not in self.sockets:
                ice_socket.transport.close()
            return
        if ice_socket not in self.sockets:
            self.sockets.append(ice_socket)
        if any((each.host, each.port) == (candidate.host, candidate.port) for each in generation.local_candidates):
            return
        generation.local_candidates.append(candidate)
        if ice_socket not in generation.table.sockets:
            generation.add_socket(ice_socket)
        if is_late and generation is self.current:
            self._on_candidate(candidate)

    def drop_socket(self, ice_socket: IceSocket) -> None:
        """Forget a socket that is closed."""
        if ice_socket in self.sockets:
            self.sockets.remove(ice_socket)
        for generation in self:
            generation.drop_socket(ice_socket)

    def give_back_relays(self, selected: Pair) -> bool:
        """Close the relayed addresses over which nothing went since the last call; return whether others are left."""
        others = [
            each
            for each in self.active.table.sockets
            if each.local_candidate.type == "relay" and each is not selected.protocol
        ]
        for each in others:
            if not each.is_heard:
                self.active.drop_socket(each)
                each.transport.close()
        heard = [each for each in others if each.is_heard]
        for each in heard:
            each.is_heard = False
        return bool(heard)

    def _retire(self, generation: IceGeneration) -> None:
        del self._retiring[generation]
        self._discard(generation)

    def _discard(self, generation: IceGeneration) -> None:
        """End a generation, with every socket that no other one uses."""
        generation.end()
        gathering = self._gatherings.pop(generation, None)
        if gathering is not None:
            gathering[0].cancel()
        used = {each for other in self for each in other.table.sockets}
        for each in generation.table.sockets:
            if each not in used:
                each.transport.close()

    def end(self) -> None:
        """Stop every check and timer, and begin to close every socket."""
        self._has_ended = True
        for timer in self._retiring.values():
            timer.cancel()
        for generation in self:
            generation.end()
        for each in self.sockets:
            each.transport.close()

    async def aclose(self) -> None:
        """End all of it. Nothing waits longer than a second for a server."""
        self.end()
        await self._tasks.aclose()
        await asyncio.gather(*(each.close() for each in self.sockets[:]))
        await self._closers.aclose(grace_s=CLOSE_WITHIN_S)
        self.sockets.clear()
