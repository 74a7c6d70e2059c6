"""The ICE transport of a peer connection: aioice's `Connection` for aiortc, with what aioice lacks.

Upstream gaps filled here and in the other `ice_*` modules: trickle out with every STUN and TURN server asked in the
background; ICE restart on the living connection (RFC 8445 section 9) while the old path goes on carrying data; a lost
path is told within 5 s and does not close the connection; checks are events, so that a pair on a LAN is selected within
one round trip; everything is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from aioice import Candidate, Connection, ConnectionClosed, stun
from aioice.ice import get_or_create_mdns_protocol, unref_mdns_protocol
from aioice.mdns import is_mdns_hostname

from metered_realtime.ice_answering import answer_check
from metered_realtime.ice_consent import ConsentTimings
from metered_realtime.ice_gathering import Gathering, host_addresses
from metered_realtime.ice_generation import IceGeneration, Role
from metered_realtime.ice_generations import Generations
from metered_realtime.ice_pairs import Pair
from metered_realtime.ice_path import SelectedPair, SelectedPath
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.ice_socket import Address, ReceivedQueue
from metered_realtime.media_path import MediaPath
from metered_realtime.owned_tasks import OwnedTasks

_log = logging.getLogger(__name__)

# A relayed address nobody uses is given back after this time with a selected pair.
UNUSED_RELAY_S = 10.0
MAX_LOOK_UPS = 8

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")


class IceConnection(Connection):
    """One ICE session of one component. Use it as aioice's; `close()` must be awaited.

    `on_candidate`: each candidate found after `gather_candidates()` returned, and None when there will be no more of
    this generation. `on_path_lost`: once per episode, when nothing came over the selected pair for 4.5 s, no answer
    came for 8.5 s, or its socket is gone; sending goes on until consent expires after 30 s, then data is dropped and
    counted in `unsent`, and only a restart helps. `on_path_back`: it answers again by itself. `on_path_changed`:
    another pair is in use, be it the first, a better one or that of a restart. `ssl_context`: for `turns:` servers
    (default: the system's certificates).
    """

    def __init__(
        self,
        servers: Sequence[IceServerConfig],
        *,
        relay_only: bool = False,
        on_candidate: Callable[[Candidate | None], None],
        on_path_lost: Callable[[], None],
        on_path_back: Callable[[], None] = lambda: None,
        on_path_changed: Callable[[SelectedPair], None] = lambda _: None,
        ssl_context: ssl.SSLContext | None = None,
        addresses: Callable[[], list[str]] = host_addresses,
        consent: ConsentTimings | None = None,
    ) -> None:
        self._role = Role(is_controlling=False, tie_breaker=secrets.randbits(64))
        self._generations = Generations(self._new_generation, self._new_gathering, on_candidate)
        super().__init__(ice_controlling=False)
        self._protocols = self._generations.sockets  # type: ignore[assignment]
        self._servers = tuple(servers)
        self._relay_only = relay_only
        self._ssl_context, self._addresses = ssl_context, addresses
        self._on_path_lost, self._on_path_back, self._on_path_changed = on_path_lost, on_path_back, on_path_changed
        self._timings = consent if consent is not None else ConsentTimings()
        self._look_ups = OwnedTasks()
        self._received = ReceivedQueue()
        self._path: SelectedPath | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take_early: Callable[[bytes], bool] | None = None
        """Is asked first about each datagram that is no STUN; what it takes is not for `recv`."""
        self.unsent = 0
        """Datagrams that were not sent: consent expired, socket gone, or the kernel takes no more."""

    # what aiortc and aioice set and read

    @property
    def ice_controlling(self) -> bool:
        return self._role.is_controlling

    @ice_controlling.setter
    def ice_controlling(self, value: bool) -> None:
        self._role.is_controlling = value

    @property
    def remote_username(self) -> str | None:
        return self._current.remote_ufrag

    @remote_username.setter
    def remote_username(self, value: str | None) -> None:
        self._current.remote_ufrag = value

    @property
    def remote_password(self) -> str | None:
        return self._current.remote_pwd

    @remote_password.setter
    def remote_password(self, value: str | None) -> None:
        self._current.remote_pwd = value

    @property
    def local_username(self) -> str:
        return self._current.local_ufrag

    @property
    def local_password(self) -> str:
        return self._current.local_pwd

    @property
    def local_candidates(self) -> list[Candidate]:
        return self._current.local_candidates[:]

    @property
    def remote_candidates(self) -> list[Candidate]:
        return self._current.table.remote[:]

    # ours

    @property
    def is_restarting(self) -> bool:
        """Whether a restart is under way: the credentials of a new generation are out, and no pair of it selected."""
        return self._generations.restarted is not None

    @property
    def selected_pair(self) -> SelectedPair | None:
        """The path in use, also while it is lost; None before there is one."""
        return self._path.describe() if self._path is not None else None

    @property
    def dropped(self) -> int:
        """Received datagrams that were dropped because their reader did not keep up."""
        return self._received.dropped

    def update_servers(self, servers: Sequence[IceServerConfig]) -> None:
        """Use these servers from the next gathering on."""
        self._servers = tuple(servers)

    def restart(self, servers: Sequence[IceServerConfig]) -> None:
        """Take new credentials and gather anew; the path in use carries the data until one of the new generation does.

        `local_username`, `local_password` and `local_candidates` are those of the new generation from now on; the
        latter is complete up to the servers' after `gather_candidates()`. A restart before that was not finished is
        replaced.
        """
        if not self._closing:
            self._servers = tuple(servers)
            self._generations.restart(self._servers)

    def undo_restart(self) -> None:
        """Take the restart back if no pair of it is selected yet: credentials and candidates of before are in force."""
        self._generations.undo_restart()

    async def set_remote(self, ufrag: str, pwd: str) -> None:
        """Take the credentials of a description of the other side, and begin the checks if they are new.

        New credentials without a restart of ours are a restart of the other side: then ours are new as well, for the
        answer, with the servers known. Raises ValueError where they break RFC 8839 section 5.4.
        """
        if _UFRAG.fullmatch(ufrag) is None or _PASSWORD.fullmatch(pwd) is None:
            raise ValueError("these are no ICE credentials")
        current = self._current
        if (current.remote_ufrag, current.remote_pwd) == (ufrag, pwd) or self._closing:
            return
        if current.remote_ufrag is not None:
            self.restart(self._servers)
            current = self._current
        current.remote_ufrag, current.remote_pwd = ufrag, pwd
        if current is self._generations.restarted:
            current.begin()

    async def add_remote_candidate(self, remote_candidate: Candidate | None, *, ufrag: str | None = None) -> None:
        """Add a candidate of the other side; never waits, never raises. None (no more) needs nothing to be done.

        `ufrag` is the other side's generation it belongs to, if that is known; default: the current one. A `.local`
        name is looked up in the background (RFC 8828), but not if only relayed addresses may be used.
        """
        if remote_candidate is None or self._closing:
            return
        generation = self._current
        if ufrag is not None and ufrag == self._generations.active.remote_ufrag:
            generation = self._generations.active
        if not is_mdns_hostname(remote_candidate.host):
            generation.add_remote(remote_candidate, remote_candidate.host)
        elif not self._relay_only and len(self._look_ups) < MAX_LOOK_UPS:
            self._look_ups.start(self._look_up(generation, remote_candidate), "mDNS look-up")

    async def gather_candidates(self) -> None:
        """Return when the host candidates of the current generation are known; the servers are asked meanwhile."""
        if not self._generations.is_gathering() and not self._closing:
            self._generations.start_gathering(self._servers)
        await self._generations.hosts_known()

    async def connect(self) -> None:
        """Check until a pair is selected. Raises ConnectionError where none is found for 39.5 s without news."""
        if not self._generations.is_gathering():
            raise ConnectionError("Local candidates gathering was not performed")
        if self.remote_username is None or self.remote_password is None:
            raise ConnectionError("Remote username or password is missing")
        self._current.begin()
        await asyncio.shield(self._connected)

    async def close(self) -> None:
        """End everything: sockets, allocations, timers, tasks. Nothing waits longer than a second for a server."""
        self._closing = True
        self._received.close()
        if self._sweep is not None:
            self._sweep.cancel()
        if self._path is not None:
            self._path.close()
        self._generations.end()
        self._give_up_connecting("the connection was closed")
        await self._look_ups.aclose()
        await self._generations.aclose()
        await unref_mdns_protocol(self)
        self._nominated.clear()
        if not self._closed:
            self._closed = True
            self._emit_event(ConnectionClosed())

    # data

    async def recv(self) -> bytes:
        if not self._nominated:
            raise ConnectionError("Cannot receive data, not connected")
        return await self._received.get()

    async def recvfrom(self) -> tuple[bytes, int]:
        return await self.recv(), 1

    async def send(self, data: bytes) -> None:
        pair = self._nominated.get(1)
        if pair is None:
            raise ConnectionError("Cannot send data, not connected")
        over: Any = pair.protocol
        if over.is_blocked or self._path is None or self._path.is_expired:
            self.unsent += 1
        else:
            over.transport.sendto(data, pair.remote_addr)

    def outlet(self) -> MediaPath | None:
        """Return the present way out for media that is encrypted already; None while there is none."""
        path = self._path
        return (path.way or path.outlet()) if path is not None else None

    async def sendto(self, data: bytes, component: int) -> None:
        await self.send(data)

    def data_received(self, data: bytes, component: int) -> None:
        if self.take_early is None or not self.take_early(data):
            self._received.put(data)

    # what sockets tell

    def request_received(self, message: stun.Message, addr: Address, protocol: Any) -> None:
        """Answer a check of the other side, and take note of it."""
        if not self._closing:
            answer_check(message, addr, protocol, self._generations, self._role)

    def protocol_lost(self, protocol: Any) -> None:
        """A socket is closed, by us or because its TURN server is gone."""
        if not self._closing:
            self._generations.drop_socket(protocol)
            if self._path is not None and self._path.pair.protocol is protocol:
                self._path.socket_gone()

    # what generations tell

    @property
    def _current(self) -> IceGeneration:
        return self._generations.current

    def _new_generation(self) -> IceGeneration:
        return IceGeneration(self._role, self._selected, self._failed)

    def _new_gathering(self, servers: Sequence[IceServerConfig], closers: OwnedTasks) -> Gathering:
        return Gathering(
            self,
            servers,
            closers,
            relay_only=self._relay_only,
            context=self._ssl_context,
            addresses=self._addresses,
        )

    def _selected(self, generation: IceGeneration, pair: Pair) -> None:
        self._generations.promote(generation)
        if self._path is not None:
            self._path.close()
        self._nominated[1] = pair
        self._path = SelectedPath(
            generation, pair, self._timings, on_lost=self._on_path_lost, on_back=self._on_path_back
        )
        selected = self._path.describe()
        _log.info("the path is now %s, from %s to %s", *_in_words(selected))
        if not self._connected.done():
            self._connected.set_result(None)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(UNUSED_RELAY_S, self._give_back_relays)
        self._on_path_changed(selected)

    def _failed(self, generation: IceGeneration) -> None:
        _log.info("no path to the other side was found")
        if generation is self._current:
            self._give_up_connecting("ICE negotiation failed")

    def _give_up_connecting(self, why: str) -> None:
        if not self._connected.done():
            self._connected.set_exception(ConnectionError(why))
            self._connected.exception()  # nobody has to be waiting for it

    def _give_back_relays(self) -> None:
        self._sweep = None
        if self._path is not None and self._generations.give_back_relays(self._path.pair):
            self._sweep = asyncio.get_running_loop().call_later(UNUSED_RELAY_S, self._give_back_relays)

    async def _look_up(self, generation: IceGeneration, candidate: Candidate) -> None:
        try:
            address = await (await get_or_create_mdns_protocol(self)).resolve(candidate.host)
        except OSError as error:
            _log.debug("names on the local network cannot be looked up: %s", error)
            return
        if address is not None:
            generation.add_remote(candidate, address)


def _in_words(path: SelectedPair) -> tuple[str, str, str]:
    relay = f" (relay over {path.protocol})" if path.local_type == "relay" else ""
    types = f"{path.local_type} to {path.remote_type}{relay}"
    return types, "{} port {}".format(*path.local_address), "{} port {}".format(*path.remote_address)
