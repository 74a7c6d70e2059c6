"""What the kernel says about addresses, routes and links, read as "the network changed" or not. Pure (RFC 3549).

A path to a peer can only have changed when an address that others can reach came or went, when the default route
moved, or when a link that carries an address lost or found its network. The kernel says far more: an IPv6 address is
announced again whenever its lifetime is extended, a wireless link at every scan.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeVar

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x1, 0x10, 0x40
RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE = 0x100, 0x400
GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE

MAX_KNOWN = 4096
LIST_SEQUENCE = 1

_NEWLINK, _DELLINK, _NEWADDR, _DELADDR, _GETADDR, _NEWROUTE, _DELROUTE = 16, 17, 20, 21, 22, 24, 25
_REQUEST, _DUMP, _REPLACE = 0x1, 0x300, 0x100
_AF_INET6 = 10
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_TENTATIVE, _DAD_FAILED = 0x40, 0x08
_SCOPE_LINK, _SCOPE_HOST = 253, 254
_RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE, _RTA_MULTIPATH = 4, 5, 6, 15, 9
_TABLE_MAIN, _UNICAST, _CLONED = 254, 1, 0x200

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_AddressKey = tuple[int, int, bytes]
_RouteKey = tuple[int, bytes, bytes, bytes, bytes]


def list_request() -> bytes:
    """Return the request for all addresses there are now; `NetworkView.take` is given the answer like all else."""
    return _HEADER.pack(_HEADER.size + _ADDRESS.size, _GETADDR, _REQUEST | _DUMP, LIST_SEQUENCE, 0) + bytes(8)


class NetworkView:
    """The addresses, default routes and links known so far. `port_id` is our end of the conversation."""

    def __init__(self, port_id: int) -> None:
        self._port_id = port_id
        self._addresses: dict[_AddressKey, None] = {}
        self._routes: dict[_RouteKey, None] = {}
        self._is_running: dict[int, bool] = {}

    def forget(self) -> None:
        """Messages were lost: what is known may be wrong."""
        for known in (self._addresses, self._routes, self._is_running):
            known.clear()

    def take(self, datagram: bytes) -> bool:
        """Take in one datagram of the kernel; returns whether a path may have changed. Nonsense is passed over."""
        changed = False
        for kind, flags, is_answer, body in _messages(datagram, self._port_id):
            # What we asked for is what was there before: to be known, not to be told.
            changed = (self._one(kind, flags, body) and not is_answer) or changed
        return changed

    def _one(self, kind: int, flags: int, body: memoryview) -> bool:
        if kind in (_NEWADDR, _DELADDR):
            return self._address(body, is_new=kind == _NEWADDR)
        if kind in (_NEWROUTE, _DELROUTE):
            return self._route(body, is_new=kind == _NEWROUTE, replaces=bool(flags & _REPLACE))
        if kind in (_NEWLINK, _DELLINK):
            return self._link(body, is_new=kind == _NEWLINK)
        return False

    def _address(self, body: memoryview, *, is_new: bool) -> bool:
        if len(body) < _ADDRESS.size:
            return False
        family, _, short_flags, scope, index = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        address = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        if address is None or scope == _SCOPE_HOST or (family == _AF_INET6 and scope == _SCOPE_LINK):
            return False
        flags = _number(attributes.get(_IFA_FLAGS), short_flags)
        if is_new and flags & (_TENTATIVE | _DAD_FAILED):
            return False  # not to be used yet; it is announced again when it may be
        return _note(self._addresses, (family, index, address), is_new=is_new)

    def _route(self, body: memoryview, *, is_new: bool, replaces: bool) -> bool:
        if len(body) < _ROUTE.size:
            return False
        family, prefix_bits, _, _, table, _, _, kind, flags = _ROUTE.unpack_from(body)
        attributes = dict(_attributes(body[_ROUTE.size :]))
        is_main = _number(attributes.get(_RTA_TABLE), table) == _TABLE_MAIN
        if prefix_bits or not is_main or kind != _UNICAST or flags & _CLONED:
            return False
        priority, output, gateway, hops = (
            attributes.get(name, b"") for name in (_RTA_PRIORITY, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH)
        )
        if is_new and replaces:
            for known in [route for route in self._routes if route[:2] == (family, priority)]:
                if known[2:] != (output, gateway, hops):
                    del self._routes[known]
        # The routes there were before us are not known, so the end of an unknown one counts.
        return _note(self._routes, (family, priority, output, gateway, hops), is_new=is_new) or not is_new

    def _link(self, body: memoryview, *, is_new: bool) -> bool:
        if len(body) < _LINK.size:
            return False
        _, _, index, flags, _ = _LINK.unpack_from(body)
        if not is_new:
            self._is_running.pop(index, None)  # its addresses are told of one by one
            return False
        is_running = flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING
        was_running = self._is_running.get(index, True)
        self._is_running[index] = is_running
        _bound(self._is_running)
        return is_running != was_running and any(known[1] == index for known in self._addresses)


def _note(known: dict[_Key, None], key: _Key, *, is_new: bool) -> bool:
    if (key in known) == is_new:
        return False
    if is_new:
        known[key] = None
        _bound(known)
    else:
        del known[key]
    return True


def _bound(known: dict[_Key, _Value]) -> None:
    while len(known) > MAX_KNOWN:
        del known[next(iter(known))]


def _messages(datagram: bytes, port_id: int) -> Iterator[tuple[int, int, bool, memoryview]]:
    """Yield kind, flags, whether it answers our request, and body of each message (netlink(7))."""
    rest = memoryview(datagram)
    while len(rest) >= _HEADER.size:
        length, kind, flags, sequence, sender = _HEADER.unpack_from(rest)
        if not _HEADER.size <= length <= len(rest):
            return
        yield kind, flags, sequence == LIST_SEQUENCE and sender == port_id, rest[_HEADER.size : length]
        rest = rest[_aligned(length) :]


def _attributes(rest: memoryview) -> Iterator[tuple[int, bytes]]:
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if not _ATTRIBUTE.size <= length <= len(rest):
            return
        yield kind, bytes(rest[_ATTRIBUTE.size : length])
        rest = rest[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _number(attribute: bytes | None, otherwise: int) -> int:
    if attribute is None or len(attribute) != _NUMBER.size:
        return otherwise
    (number,) = _NUMBER.unpack(attribute)
    return int(number)
