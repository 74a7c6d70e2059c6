"""The two UDP sockets on which one track of a camera arrives, for cameras that do not send over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from metered_realtime.media.rtp_order import ReorderBuffer

_TRIES = 16
# A key frame of a good camera is a burst of several hundred packets.
_RECEIVE_BYTES = 1024 * 1024
# What opens a firewall on the way: an empty RTP packet and an empty receiver report (RFC 3550 sections 5.1, 6.4.2).
_EMPTY_RTP = bytes((0x80, 0, 0, 0)) + bytes(8)
_EMPTY_REPORT = bytes((0x80, 201, 0, 1)) + bytes(4)


class UdpTrack:
    """Use: `await open()`, name `ports` in SETUP, then `listen(...)` to the address the camera agreed on.

    `on_packet` gets RTP packets in order, `on_report` RTCP; what anybody else sends is passed over and counted in
    `strangers`.
    """

    def __init__(self, on_packet: Callable[[bytes], None], on_report: Callable[[bytes], None]) -> None:
        self.strangers = 0
        self._on_packet = on_packet
        self._on_report = on_report
        self._order = ReorderBuffer()
        self._hosts: frozenset[str] = frozenset()
        self._transports: list[asyncio.DatagramTransport] = []

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of RTP and RTCP: an even one and the next (RFC 3550 section 11)."""
        first, second = (int(transport.get_extra_info("sockname")[1]) for transport in self._transports)
        return first, second

    async def open(self, local_host: str) -> None:
        """Bind on the address that the camera is reached from. Raises OSError."""
        rtp, rtcp = _bound_pair(local_host)
        loop = asyncio.get_running_loop()
        for bound, take in ((rtp, self._take), (rtcp, self._take_report)):
            transport, _ = await loop.create_datagram_endpoint(lambda take=take: _Datagrams(take), sock=bound)  # type: ignore[misc]
            self._transports.append(transport)

    def listen(self, hosts: frozenset[str], server_ports: tuple[int, int] | None) -> None:
        """Take packets from these hosts, and let the way from them be opened."""
        self._hosts = hosts
        if server_ports is None:
            return
        for host in hosts:
            for transport, port, hello in zip(self._transports, server_ports, (_EMPTY_RTP, _EMPTY_REPORT), strict=True):
                with contextlib.suppress(OSError, ValueError):
                    transport.sendto(hello, (host, port))

    def close(self) -> None:
        """Close both sockets."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    def _take(self, data: bytes, host: str) -> None:
        if host not in self._hosts:
            self.strangers += 1
            return
        for packet in self._order.push(data, asyncio.get_running_loop().time()):
            self._on_packet(packet)

    def _take_report(self, data: bytes, host: str) -> None:
        if host in self._hosts:
            self._on_report(data)
        else:
            self.strangers += 1


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, str], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Part of asyncio.DatagramProtocol."""
        self._take(data, bare_host(str(addr[0])))

    def error_received(self, exc: Exception) -> None:
        """A camera that does not listen on its ports answers our greeting with a refusal: no matter."""


def bare_host(host: str) -> str:
    """Return an address without its interface, and IPv4 in its own form: as two sockets of one machine write it."""
    return host.partition("%")[0].removeprefix("::ffff:")


def _bound_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Return sockets on an even port and the one after it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    error: OSError | None = None
    for _ in range(_TRIES):
        first = _bound(family, host, 0)
        port = int(first.getsockname()[1])
        try:
            second = _bound(family, host, port + (-1 if port % 2 else 1))
        except OSError as refused:
            first.close()
            error = refused
            continue
        return (second, first) if port % 2 else (first, second)
    raise error or OSError("no two free UDP ports beside each other")


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one
