"""Relayed addresses: one allocation on a TURN server over UDP, TCP or TLS (RFC 8656), behaving like a UDP socket.

Fills gaps of aioice's TURN client: sending makes no task per datagram, what waits for a channel is bounded, channels
are refreshed within the five minutes a permission lives, and neither opening nor closing can hang.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - aioice's private names are for the ice_* modules; tests/sdk/test_ice_connection.py has the list
import asyncio
import contextlib
import functools
import ipaddress
import logging
import socket
import ssl
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

from aioice import Candidate, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority

from metered_realtime.ice_socket import RECEIVE_BUFFER_BYTES, Address, IceSocket
from metered_realtime.ice_url import Ask
from metered_realtime.owned_tasks import OwnedTasks

_log = logging.getLogger(__name__)

MAX_WAITING_DATAGRAMS = 32
MAX_CHANNELS = 128
MAX_UNSENT_BYTES = 256 * 1024
FIRST_CHANNEL = 0x4000
LIFETIME_S = 600
# A permission lives for 300 s and a channel for 600 s (RFC 8656 sections 9 and 12); refreshing the channel does both.
REFRESH_S = 240.0
LEAST_REFRESH_S = 10.0
RETRY_CHANNEL_S = 5.0
DELETE_WITHIN_S = 0.5

_LOCAL_PREFERENCE = {"udp": 65535, "tcp": 65534, "tls": 65533}
_ALLOCATION_MISMATCH = 437

Client = turn.TurnClientUdpProtocol | turn.TurnClientTcpProtocol


class _UdpClient(turn.TurnClientUdpProtocol):
    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        try:
            super().datagram_received(data, addr)
        except struct.error:
            return  # a STUN attribute of the wrong length, which aioice does not expect


class _TcpClient(turn.TurnClientTcpProtocol):
    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        try:
            super().datagram_received(data, addr)
        except struct.error:
            return


@dataclass(slots=True)
class _Channel:
    number: int
    is_bound: bool = False
    is_used: bool = False
    is_binding: bool = False
    retry_s: float = 0.0
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_WAITING_DATAGRAMS))


class TurnRelay:
    """The transport of an `IceSocket` whose address is on a TURN server."""

    def __init__(self, client: Client, closing: OwnedTasks) -> None:
        self._client = client
        self._closing = closing
        self._tasks = OwnedTasks()
        self._channels: dict[Address, _Channel] = {}
        self._is_closing = False
        self.dropped = 0
        """Datagrams that were not sent: no channel in time, or a TCP connection that does not keep up."""

    async def allocate(self) -> None:
        """Ask for the relayed address. Raises stun.TransactionError, ConnectionError."""
        request = stun.Message(message_method=stun.Method.ALLOCATE, message_class=stun.Class.REQUEST)
        request.attributes["LIFETIME"] = LIFETIME_S
        request.attributes["REQUESTED-TRANSPORT"] = turn.UDP_TRANSPORT
        response, _ = await self._client.request_with_retry(request)
        relayed = response.attributes.get("XOR-RELAYED-ADDRESS")
        if relayed is None or ipaddress.ip_address(relayed[0]).is_unspecified or not relayed[1]:
            raise ConnectionError("the server's answer names no relayed address")
        self._client.relayed_address = relayed
        self._client.mapped_address = response.attributes.get("XOR-MAPPED-ADDRESS")
        lifetime_s = response.attributes.get("LIFETIME", LIFETIME_S)
        self._tasks.start(self._refresh(lifetime_s), "TURN refresh")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return `sockname` (the relayed address) or `related_address` (ours as the server sees it)."""
        known = {"sockname": self._client.relayed_address, "related_address": self._client.mapped_address}
        return known.get(name) or default

    def is_closing(self) -> bool:
        return self._is_closing or self._client.transport.is_closing()

    def sendto(self, data: bytes, addr: Address) -> None:
        """Send through the channel of `addr`; the first datagrams wait until it is bound."""
        channel = self._channels.get(addr)
        if channel is not None and channel.is_bound:
            channel.is_used = True
            self._send(channel.number, data)
            return
        if self.is_closing():
            return
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                self.dropped += 1
                return
            channel = self._channels[addr] = _Channel(FIRST_CHANNEL + len(self._channels))
        self.dropped += len(channel.waiting) == MAX_WAITING_DATAGRAMS
        channel.waiting.append(data)
        now_s = asyncio.get_running_loop().time()
        if not channel.is_binding and now_s >= channel.retry_s:
            channel.is_binding = True
            channel.retry_s = now_s + RETRY_CHANNEL_S
            self._tasks.start(self._bind(channel, addr), "TURN channel")

    def _send(self, number: int, data: bytes) -> None:
        transport: Any = self._client.transport
        if self.is_closing():
            return
        if isinstance(self._client, _TcpClient) and transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.dropped += 1
            return
        self._client._send(struct.pack("!HH", number, len(data)) + data)

    async def _bind(self, channel: _Channel, addr: Address) -> None:
        self._client.channel_to_peer[channel.number] = addr
        self._client.peer_to_channel[addr] = channel.number
        if await self._bound(channel, addr):
            channel.is_bound = True
            for data in channel.waiting:
                self._send(channel.number, data)
        channel.waiting.clear()
        channel.is_binding = False

    async def _bound(self, channel: _Channel, addr: Address) -> bool:
        try:
            await self._client.channel_bind(channel.number, addr)
        except stun.TransactionError as error:
            _log.debug("the TURN server %s does not relay to a peer: %s", self._client.server, error)
            if error.response is not None and error.response.error_code == _ALLOCATION_MISMATCH:
                self._client.transport.close()  # the server has forgotten us
            return False
        return True

    async def _refresh(self, lifetime_s: int) -> None:
        while True:
            await asyncio.sleep(max(min(REFRESH_S, lifetime_s * 5 / 6), LEAST_REFRESH_S))
            request = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
            request.attributes["LIFETIME"] = LIFETIME_S
            try:
                response, _ = await self._client.request_with_retry(request)
            except stun.TransactionError as error:
                _log.info("the TURN server %s does not renew the relayed address: %s", self._client.server, error)
                self._client.transport.close()
                return
            lifetime_s = response.attributes.get("LIFETIME", LIFETIME_S)
            for addr, channel in list(self._channels.items()):
                keep, channel.is_used = channel.is_used, False
                # A channel nobody used is bound anew when somebody does.
                channel.is_bound = channel.is_bound and keep and await self._bound(channel, addr)

    def close(self) -> None:
        """Give the address back and close; `connection_lost` of the socket is called when that is done."""
        if not self._is_closing:
            self._is_closing = True
            self._closing.start(self._close(), "TURN close")

    async def _close(self) -> None:
        try:
            await self._tasks.aclose()
            if not self._client.transport.is_closing():
                request = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
                request.attributes["LIFETIME"] = 0
                with contextlib.suppress(stun.TransactionError, TimeoutError):
                    await asyncio.wait_for(self._client.request_with_retry(request), DELETE_WITHIN_S)
        finally:
            # Not close(): over TLS that waits for the other side's goodbye, from a server that may be gone.
            transport: Any = self._client.transport
            transport.abort()


async def open_relay(
    ask: Ask,
    receiver: Any,
    closing: OwnedTasks,
    *,
    addresses: list[Address],
    context: ssl.SSLContext | None,
    hide_related: bool,
) -> IceSocket:
    """Return a socket with its relayed candidate, from the first of the server's addresses that answers.

    `closing` runs what giving the address back takes. Raises OSError or stun.TransactionError where none answers.
    """
    failure: Exception = ConnectionError("the server's name has no address")
    for address in addresses:
        try:
            client = await _connect(ask, address, context)
        except OSError as error:
            failure = error
            continue
        relay = TurnRelay(client, closing)
        try:
            await relay.allocate()
        except (OSError, stun.TransactionError) as error:
            client.transport.abort()
            failure = error
            continue
        except BaseException:
            client.transport.abort()
            raise
        return _relayed_socket(ask, receiver, client, relay, hide_related=hide_related)
    raise failure


async def _connect(ask: Ask, address: Address, context: ssl.SSLContext | None) -> Client:
    loop = asyncio.get_running_loop()
    kind: type[Client] = _UdpClient if ask.url.transport == "udp" else _TcpClient
    make = functools.partial(
        kind, address, username=ask.username, password=ask.credential, lifetime=LIFETIME_S, channel_refresh_time=0
    )
    if ask.url.transport == "udp":
        transport, client = await loop.create_datagram_endpoint(cast("Any", make), remote_addr=address)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return cast("Client", client)
    if ask.url.transport == "tls":
        if context is None:
            context = await loop.run_in_executor(None, ssl.create_default_context)
        host = ask.url.host
        _, client = await loop.create_connection(cast("Any", make), *address, ssl=context, server_hostname=host)
    else:
        _, client = await loop.create_connection(cast("Any", make), *address)
    return cast("Client", client)


def _relayed_socket(ask: Ask, receiver: Any, client: Client, relay: TurnRelay, *, hide_related: bool) -> IceSocket:
    host, port = relay.get_extra_info("sockname")
    # Under a relay-only policy the related address would tell what the policy hides (RFC 9429 section 3.5.3).
    hidden = ("0.0.0.0", 9) if ipaddress.ip_address(host).version == 4 else ("::", 9)  # noqa: S104 - RFC 8839 section 5.1
    related = hidden if hide_related else relay.get_extra_info("related_address", hidden)
    ice_socket = IceSocket(receiver)
    ice_socket.via = ask.url.transport
    ice_socket.local_candidate = Candidate(
        foundation=candidate_foundation("relay", ask.url.transport, f"{host} {client.server[0]}"),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "relay", _LOCAL_PREFERENCE[ask.url.transport]),
        host=host,
        port=port,
        type="relay",
        related_address=related[0],
        related_port=related[1],
    )
    client.receiver = ice_socket
    ice_socket.connection_made(cast("asyncio.BaseTransport", relay))
    return ice_socket
