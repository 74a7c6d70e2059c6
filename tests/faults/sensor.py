"""The sensors: one MQTT 3.1.1 connection that publishes at QoS 1 and keeps a ledger of what the broker acknowledged.

It speaks the protocol itself, so that the ledger says what was on the wire and not what a library thinks. When its
connection breaks it makes a new one and sends again what was not acknowledged, oldest first, as a real sensor does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from tests.faults.judge import Ledger

_MAX_UNANSWERED = 500
_RETRY_S = 0.1
_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04judg"
_PUBACK = 0x40
_CONNACK = 0x20


def length_of(size: int) -> bytes:
    """Return a "remaining length" of MQTT."""
    found = bytearray()
    while True:
        size, low = divmod(size, 128)
        found.append(low | (0x80 if size else 0))
        if not size:
            return bytes(found)


def publish_packet(topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """Return a PUBLISH packet of QoS 1."""
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name + packet_id.to_bytes(2, "big")
    return bytes([0x32 | retain]) + length_of(len(head) + len(payload)) + head + payload


def payload_of(number: int, size_bytes: int = 0) -> bytes:
    """Return a payload that tells its number, of about a size."""
    if not size_bytes:
        return str(number).encode()
    text = json.dumps({"n": number, "pad": ""})
    return json.dumps({"n": number, "pad": "x" * max(0, size_bytes - len(text))}).encode()


class Sensors(asyncio.Protocol):
    """Publishes numbered messages. `publish` waits while too many are unanswered; nothing is ever given up."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self.ledger = ledger
        self._port = port
        self._unanswered: OrderedDict[int, tuple[str, int | None, bytes]] = OrderedDict()
        self._next: dict[str, int] = {}
        self._packet_id = 0
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_up = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()

    @property
    def topics(self) -> list[str]:
        """The topics that were published to so far."""
        return list(self._next)

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep_connected(), name="sensors")
        await self._is_up.wait()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._closing = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._transport is not None:
            self._transport.close()

    async def publish(self, topic: str, *, size_bytes: int = 0, retain: bool = False) -> int:
        """Send the topic's next number; return it."""
        await self._has_room()
        number = self._next.get(topic, 0)
        self._next[topic] = number + 1
        self._send(topic, number, payload_of(number, size_bytes), retain=retain)
        return number

    async def publish_raw(self, topic: str, payload: bytes) -> None:
        """Send something that is not numbered, and that the judge is not told of."""
        await self._has_room()
        self._send(topic, None, payload)

    async def flow(self, topics: Sequence[str], *, per_s: float, seconds: float) -> None:
        """Publish round the topics at a rate, for so long."""
        await self.count(topics, round(per_s * seconds), per_s=per_s)

    async def count(self, topics: Sequence[str], count: int, *, per_s: float = 0.0, size_bytes: int = 0) -> None:
        """Publish so many messages round the topics; 0 per second is as fast as the broker takes them."""
        begin_s = time.monotonic()
        for index in range(count):
            if per_s and (ahead_s := begin_s + index / per_s - time.monotonic()) > 0:
                await asyncio.sleep(ahead_s)
            await self.publish(topics[index % len(topics)], size_bytes=size_bytes)

    async def answered(self) -> None:
        """Wait until the broker has acknowledged everything."""
        while self._unanswered:
            self._room.clear()
            await self._room.wait()

    # The connection -------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing:
            self._lost.clear()
            with suppress(OSError):
                await loop.create_connection(lambda: self, "127.0.0.1", self._port)
                await self._lost.wait()
            await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer.clear()
        transport.write(_CONNECT)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._is_up.clear()
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        # What a broker sends to one who only publishes has lengths below 128.
        self._buffer += data
        while len(self._buffer) >= 2 and len(self._buffer) >= 2 + self._buffer[1]:
            packet = bytes(self._buffer[: 2 + self._buffer[1]])
            del self._buffer[: len(packet)]
            if packet[0] == _CONNACK:
                self._connected()
            elif packet[0] == _PUBACK:
                self._answered(int.from_bytes(packet[2:4], "big"))

    def _connected(self) -> None:
        waiting = list(self._unanswered.values())
        self._unanswered.clear()
        for topic, number, packet in waiting:
            self._write(topic, number, packet)
        self._is_up.set()
        self._room.set()

    def _answered(self, packet_id: int) -> None:
        topic, number, _packet = self._unanswered.pop(packet_id)
        if number is not None:
            self.ledger.acknowledged(topic, number)
        self._room.set()

    async def _has_room(self) -> None:
        while len(self._unanswered) >= _MAX_UNANSWERED or not self._is_up.is_set():
            self._room.clear()
            await self._room.wait()

    def _send(self, topic: str, number: int | None, payload: bytes, *, retain: bool = False) -> None:
        self._write(topic, number, publish_packet(topic, payload, 0, retain=retain))

    def _write(self, topic: str, number: int | None, packet: bytes) -> None:
        assert self._transport is not None
        self._packet_id = self._packet_id % 65535 + 1
        # The packet id stands behind the topic.
        head = 1 + next(index for index in range(1, 5) if not packet[index] & 0x80)
        at = head + 2 + int.from_bytes(packet[head : head + 2], "big")
        self._transport.write(packet[:at] + self._packet_id.to_bytes(2, "big") + packet[at + 2 :])
        self._unanswered[self._packet_id] = (topic, number, packet)
        if number is not None:
            self.ledger.sent(topic, number, time.monotonic())
