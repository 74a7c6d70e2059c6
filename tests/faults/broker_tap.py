"""Reads along between broker and gateway: which numbered message the broker handed over, which one was answered, when.

Only what the judge needs of MQTT 3.1.1 and 5, parsed from the bytes that pass the link.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.faults.far_end import number_of
from tests.faults.judge import Handed, Name

_CONNECT, _PUBLISH, _PUBACK = 1, 3, 4
_MAX_SHOWN_BYTES = 64 * 1024


class Packets:
    """Cuts a stream into packets: type, flags, body."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        self._buffer += data
        while (found := varint(self._buffer, 1)) is not None:
            size, at = found
            if len(self._buffer) < at + size:
                return
            yield self._buffer[0] >> 4, self._buffer[0] & 0x0F, bytes(self._buffer[at : at + size])
            del self._buffer[: at + size]


def varint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return a variable byte integer and where it ends; None where it is not all there."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
        shift += 7
    return None


class BrokerTap:
    """Sees every connection of one link; `life` is raised by whoever kills the broker."""

    def __init__(self) -> None:
        self.handed = Handed()
        self.answered_s: dict[Name, float] = {}
        self.life = 0
        self.publishes = 0
        self._streams: dict[tuple[int, bool], Packets] = {}
        self._is_v5: dict[int, bool] = {}
        self._names: dict[tuple[int, int], Name] = {}

    def see(self, connection: int, to_server: bool, data: bytes) -> None:
        """Take bytes that pass."""
        for kind, flags, body in self._streams.setdefault((connection, to_server), Packets()).feed(data):
            if to_server and kind == _CONNECT:
                self._is_v5[connection] = body[6] == 5
            elif to_server and kind == _PUBACK:
                self._answer(connection, int.from_bytes(body[:2], "big"))
            elif not to_server and kind == _PUBLISH:
                self._publish(connection, flags, body)

    def _publish(self, connection: int, flags: int, body: bytes) -> None:
        self.publishes += 1
        at = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:at].decode("utf-8", "replace")
        packet_id = 0
        if flags & 0x06:
            packet_id = int.from_bytes(body[at : at + 2], "big")
            at += 2
        if self._is_v5.get(connection) and (properties := varint(body, at)) is not None:
            at = properties[1] + properties[0]
        if len(body) - at > _MAX_SHOWN_BYTES:
            return
        try:
            number = number_of(json.loads(body[at:]))
        except (ValueError, RecursionError):
            return
        if number is not None:
            self._names[connection, packet_id] = (topic, number)
            self.handed.take((topic, number), self.life)

    def _answer(self, connection: int, packet_id: int) -> None:
        name = self._names.get((connection, packet_id))
        if name is not None:
            self.answered_s.setdefault(name, time.monotonic())
