"""Netlink messages as the kernel writes them, for tests; also those that ask it to change something."""

from __future__ import annotations

import socket
import struct

NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE = 16, 17, 20, 21, 24, 25
TENTATIVE, PERMANENT = 0x40, 0x80
UP, RUNNING = 0x1, 0x40
REPLACE = 0x100
REQUEST_ACK = 0x5
HOST_SCOPE = 254


def message(kind: int, body: bytes, *, flags: int = 0, sequence: int = 0, sender: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, sender) + body + bytes(-len(body) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def packed(address: str) -> bytes:
    return socket.inet_pton(family_of(address), address)


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def address_body(address: str, *, index: int = 2, scope: int = 0, flags: int = PERMANENT) -> bytes:
    head = struct.pack("=BBBBI", family_of(address), 24, flags & 0xFF, scope, index)
    return head + attribute(1, packed(address)) + attribute(2, packed(address)) + attribute(8, struct.pack("=I", flags))


def new_address(address: str, **kind: int) -> bytes:
    return message(NEWADDR, address_body(address, **kind))


def gone_address(address: str, **kind: int) -> bytes:
    return message(DELADDR, address_body(address, **kind))


def route(
    kind: int,
    gateway: str,
    *,
    prefix_bits: int = 0,
    table: int = 254,
    type_: int = 1,
    priority: int = 100,
    flags: int = 0,
) -> bytes:
    head = struct.pack("=BBBBBBBBI", family_of(gateway), prefix_bits, 0, 0, min(table, 255), 3, 0, type_, 0)
    numbers = [(4, 2), (6, priority), (15, table)]
    attributes = b"".join(attribute(name, struct.pack("=I", number)) for name, number in numbers)
    return message(kind, head + attributes + attribute(5, packed(gateway)), flags=flags)


def link(kind: int = NEWLINK, *, index: int = 2, flags: int = UP | RUNNING) -> bytes:
    return message(kind, struct.pack("=BxHiII", 0, 1, index, flags, 0) + attribute(3, b"eth0\0"))


def ask_kernel(kind: int, address: str, *, index: int = 1, scope: int = 0) -> None:
    """Add or remove an address of this machine (a network namespace, where it must not be touched)."""
    create = 0x400 if kind == NEWADDR else 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))
        netlink.send(
            message(kind, address_body(address, index=index, scope=scope), flags=REQUEST_ACK | create, sequence=1)
        )
        (code,) = struct.unpack_from("=i", netlink.recv(65_536), 16)
        if code:
            raise OSError(-code, f"the kernel refused to change {address}")
