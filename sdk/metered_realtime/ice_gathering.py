"""Where candidates come from: the addresses of this host, and every STUN and TURN server, all asked at once.

Fills gaps of aioice, which waits for all of it, asks one server of each kind, and looks names up for IPv4 alone.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import get_host_addresses

from metered_realtime.ice_socket import SERVER_DELAYS_S, Address, Answer, IceSocket, StunExchange, open_host_socket
from metered_realtime.ice_turn import open_relay
from metered_realtime.ice_url import Ask, list_asks
from metered_realtime.owned_tasks import OwnedTasks

_log = logging.getLogger(__name__)

MAX_HOST_ADDRESSES = 16
# What has not answered by then is given up; nothing but the word "no more candidates" waits for it.
SERVER_TIMEOUT_S = 10.0

Report = Callable[[Candidate, IceSocket], None]


def host_addresses() -> list[str]:
    """Return the addresses to offer: all but loopback and link-local IPv6; on a host with nothing else, loopback."""
    return get_host_addresses(use_ipv4=True, use_ipv6=True)[:MAX_HOST_ADDRESSES] or ["127.0.0.1"]


async def resolve(host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """Return the first address of each family of `host`, the preferred one first. Raises OSError."""
    try:
        return [(str(ipaddress.ip_address(host)), port)]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a host name") from error
    first: dict[int, Address] = {}
    for family, _, _, _, address in found:
        first.setdefault(family, (str(address[0]), port))
    return list(first.values())


class Gathering:
    """The candidates of one generation, found with these servers; used once."""

    def __init__(
        self,
        receiver: Any,
        servers: Sequence[Any],
        closing: OwnedTasks,
        *,
        relay_only: bool,
        context: ssl.SSLContext | None,
        addresses: Callable[[], list[str]],
    ) -> None:
        self._receiver = receiver
        self._asks = list_asks(servers, relay_only=relay_only)
        self._closing = closing
        self._relay_only = relay_only
        self._context = context
        self._addresses = addresses

    async def open_hosts(self, existing: Sequence[IceSocket], report: Report) -> list[IceSocket]:
        """Return a socket for each address of this host; those of `existing` whose address is still there are kept."""
        if self._relay_only:
            return []
        kept = {each.local_candidate.host: each for each in existing if not each.is_closing}
        addresses = self._addresses()
        new = [self._open(each, 65535 - place, report) for place, each in enumerate(addresses) if each not in kept]
        for address in addresses:
            if address in kept:
                report(kept[address].local_candidate, kept[address])
        opened = [each for each in await asyncio.gather(*new) if each is not None]
        return [kept[each] for each in addresses if each in kept] + opened

    async def _open(self, address: str, preference: int, report: Report) -> IceSocket | None:
        try:
            opened = await open_host_socket(self._receiver, address, preference)
        except OSError as error:
            _log.debug("no candidate from the address %s: %s", address, error)
            return None
        report(opened.local_candidate, opened)
        return opened

    async def ask_servers(self, hosts: Sequence[IceSocket], report: Report) -> None:
        """Ask every server and report what each finds at once. Returns when all have answered or were given up."""
        running = OwnedTasks()
        asking = [running.start(self._ask(ask, hosts, report), f"ask {ask.url}") for ask in self._asks]
        try:
            if asking:
                await asyncio.wait(asking)
        finally:
            await running.aclose()

    async def _ask(self, ask: Ask, hosts: Sequence[IceSocket], report: Report) -> None:
        try:
            work = self._ask_turn(ask, report) if ask.url.kind == "turn" else self._ask_stun(ask, hosts, report)
            await asyncio.wait_for(work, SERVER_TIMEOUT_S)
        except TimeoutError:
            _log.info("no answer from the server %s; going on without it", ask.url)
        except (OSError, stun.TransactionError) as error:
            _log.info("no candidate from the server %s: %s", ask.url, error)

    async def _ask_turn(self, ask: Ask, report: Report) -> None:
        kind = socket.SOCK_DGRAM if ask.url.transport == "udp" else socket.SOCK_STREAM
        relay = await open_relay(
            ask,
            self._receiver,
            self._closing,
            addresses=await resolve(ask.url.host, ask.url.port, kind),
            context=self._context,
            hide_related=self._relay_only,
        )
        report(relay.local_candidate, relay)

    async def _ask_stun(self, ask: Ask, hosts: Sequence[IceSocket], report: Report) -> None:
        """Ask over every socket how the server sees it. Raises TimeoutError where none got an answer."""
        servers = await resolve(ask.url.host, ask.url.port, socket.SOCK_DGRAM)
        by_version = {ipaddress.ip_address(host).version: (host, port) for host, port in servers}
        all_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asked: dict[IceSocket, StunExchange] = {}
        answers: list[Answer | None] = []

        def take(base: IceSocket, answer: Answer | None) -> None:
            answers.append(answer)
            mapped = _mapped_address(answer)
            if mapped is not None:
                report(reflexive_candidate(base.local_candidate, mapped), base)
            if len(answers) == len(asked) and not all_done.done():
                all_done.set_result(None)

        for base in hosts:
            server = by_version.get(ipaddress.ip_address(base.local_candidate.host).version)
            if server is not None and not base.is_closing:
                request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
                done = functools.partial(take, base)
                asked[base] = StunExchange(base, request, server, done, delays_s=SERVER_DELAYS_S)
        try:
            if asked:
                await all_done
        finally:
            for exchange in asked.values():
                exchange.cancel()
        if asked and not any(answers):
            raise TimeoutError


def _mapped_address(answer: Answer | None) -> Address | None:
    if answer is None or answer.message.message_class != stun.Class.RESPONSE:
        return None
    attributes = answer.message.attributes
    return attributes.get("XOR-MAPPED-ADDRESS") or attributes.get("MAPPED-ADDRESS")


def reflexive_candidate(base: Candidate, mapped: Address) -> Candidate:
    """Return the server reflexive candidate of a host candidate."""
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", base.host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "srflx", (base.priority >> 8) & 0xFFFF),
        host=mapped[0],
        port=mapped[1],
        type="srflx",
        related_address=base.host,
        related_port=base.port,
    )
