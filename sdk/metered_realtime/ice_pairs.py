"""Pairs of a local socket and a remote candidate: which there are, and in which order they are worth a check."""

from __future__ import annotations

# ruff: noqa: SLF001 - aioice's private names are for the ice_* modules; tests/sdk/test_ice_connection.py has the list
import copy
import ipaddress
from collections.abc import Iterator

from aioice import Candidate
from aioice.ice import CandidatePair, candidate_pair_priority

from metered_realtime.ice_socket import Address, IceSocket, StunExchange

State = CandidatePair.State

# A remote peer names a few; what it names beyond these costs us nothing.
MAX_REMOTE_CANDIDATES = 64
MAX_PAIRS = 256
_TYPES = ("host", "srflx", "prflx", "relay")


class Pair(CandidatePair):
    """A pair with the check that is under way for it."""

    protocol: IceSocket

    def __init__(self, ice_socket: IceSocket, remote: Candidate) -> None:
        super().__init__(ice_socket, remote)
        self.state = State.WAITING
        self.exchange: StunExchange | None = None
        self.nomination = -1
        """When the other side nominated it: the highest number is in force; -1 for never."""
        self.rtt_s: float | None = None
        self.is_near = _same_network(ice_socket.local_candidate.host, remote._network_host)

    @property
    def is_relayed(self) -> bool:
        return "relay" in (self.local_candidate.type, self.remote_candidate.type)

    def priority(self, *, is_controlling: bool) -> int:
        return candidate_pair_priority(self.local_candidate, self.remote_candidate, is_controlling)

    def order(self, *, is_controlling: bool) -> tuple[bool, bool, int]:
        """Return what to sort by: direct before relayed, the own network before others, then RFC 8445 section 6.1.2.3.

        A host with container bridges and both address families makes dozens of pairs; one that works on a LAN is first.
        """
        return (self.is_relayed, not self.is_near, -self.priority(is_controlling=is_controlling))

    def stop(self) -> None:
        """End the check under way, without a word."""
        if self.exchange is not None:
            self.exchange.cancel()
            self.exchange = None
            self.state = State.FROZEN


class PairTable:
    """The local sockets, the remote candidates and their pairs, of one generation; bounded."""

    def __init__(self) -> None:
        self.sockets: list[IceSocket] = []
        self.remote: list[Candidate] = []
        self._pairs: dict[tuple[IceSocket, Address], Pair] = {}

    def __iter__(self) -> Iterator[Pair]:
        return iter(list(self._pairs.values()))

    def add_socket(self, ice_socket: IceSocket) -> None:
        """Pair one more local address with what is known of the other side."""
        self.sockets.append(ice_socket)
        for candidate in self.remote:
            self._pair(ice_socket, candidate)

    def drop_socket(self, ice_socket: IceSocket) -> None:
        """Forget a socket that is gone, with its pairs."""
        if ice_socket in self.sockets:
            self.sockets.remove(ice_socket)
        for pair in self:
            if pair.protocol is ice_socket:
                pair.stop()
                del self._pairs[ice_socket, pair.remote_addr]

    def add_remote(self, candidate: Candidate, host: str) -> bool:
        """Pair one more candidate of the other side, reached at the address `host`. Returns whether it is news.

        One we cannot use (TCP, another component, a name) is ignored; one already learned from a check gets its facts.
        """
        if not _is_usable(candidate, host):
            return False
        candidate = copy.copy(candidate)
        candidate._network_host = str(ipaddress.ip_address(host))
        known = self._known((candidate._network_host, candidate.port))
        if known is None and len(self.remote) < MAX_REMOTE_CANDIDATES:
            known = candidate
            self.remote.append(candidate)
        elif known is None or known.type != "prflx" or candidate.type == "prflx":
            return False
        else:
            vars(known).update(vars(candidate))  # RFC 8838 section 11
        for ice_socket in self.sockets:
            self._pair(ice_socket, known)
        return True

    def heard(self, ice_socket: IceSocket, addr: Address, priority: int) -> Pair | None:
        """Return the pair an authenticated check came over; its candidate may be new (RFC 8445 section 7.3.1.3)."""
        pair = self._pairs.get((ice_socket, addr))
        if pair is not None:
            return pair
        known = self._known(addr)
        if known is None:
            if len(self.remote) >= MAX_REMOTE_CANDIDATES:
                return None
            known = Candidate(f"prflx{len(self.remote)}", 1, "udp", priority, addr[0], addr[1], "prflx")
            self.remote.append(known)
        return self._pair(ice_socket, known)

    def _known(self, addr: Address) -> Candidate | None:
        return next((each for each in self.remote if (each._network_host, each.port) == addr), None)

    def _pair(self, ice_socket: IceSocket, candidate: Candidate) -> Pair | None:
        key = (ice_socket, (candidate._network_host, candidate.port))
        if key in self._pairs or len(self._pairs) >= MAX_PAIRS or ice_socket.is_closing:
            return self._pairs.get(key)
        if not ice_socket.local_candidate.can_pair_with(candidate):
            return None
        pair = self._pairs[key] = Pair(ice_socket, candidate)
        return pair


def _is_usable(candidate: Candidate, host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (
        candidate.component == 1
        and candidate.transport.lower() == "udp"
        and candidate.type in _TYPES
        and 0 < candidate.port < 65536
        and 0 <= candidate.priority < 2**32
        and not (address.is_unspecified or address.is_multicast)
    )


def _same_network(one: str, other: str) -> bool:
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if first.version != second.version:
        return False
    shift = 8 if first.version == 4 else 64
    return int(first) >> shift == int(second) >> shift
