"""The sensors of the bench `telemetry`: one MQTT client that publishes with QoS 1 and asks little of the machine.

argv: a JSON object of `Order`. Each payload is JSON with a number and the CLOCK_MONOTONIC of the moment it was sent,
in ten and nineteen digits always, so that a listener need not parse it. It stops at `count` messages, or when stdin
closes, and then says what was sent and what the broker has acknowledged.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

from scripts.lib.bench.telemetry_road.progress import Progress
from scripts.lib.bench.viewing.lines import say

TOPICS = [f"bench/site/room{number:02}".encode() for number in range(20)]
NUMBER_BASE, TIME_BASE = 10**9, 10**18
MAX_AT_ONCE = 100
PACKET_IDS = 60_000
ACK_BYTES = 4
ACK_LIMIT_S = 20.0
IDLE_S = 0.0005


@dataclass(frozen=True, slots=True)
class Order:
    """What to publish: `rate` a second, or, where it is 0, as fast as at most `window` messages are under way."""

    port: int
    payload_b: int
    first: int = 0
    rate: float = 0.0
    count: int = 0
    window: int = 0
    progress: str = ""


def payload_of(number: int, now_ns: int, size_b: int) -> bytes:
    """Return a payload of exactly that size, if it is not below 50 bytes."""
    head = b'{"n":%d,"ns":%d,"is":"' % (NUMBER_BASE + number, TIME_BASE + now_ns)
    return head + b"x" * (size_b - len(head) - 2) + b'"}'


def with_length(kind: int, body: bytes) -> bytes:
    """Put the fixed header of MQTT before the rest of a packet."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (128 if length else 0))
        if not length:
            return bytes((kind, *digits)) + body


class Sensors:
    """The connection and what went over it."""

    def __init__(self, order: Order) -> None:
        self.sent = self.acked = 0
        self._order = order
        self._acked_bytes = 0
        self._stopped = False
        self._socket = socket.create_connection(("127.0.0.1", order.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = b"bench-sensors"
        self._socket.sendall(with_length(0x10, b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name))
        if self._socket.recv(4, socket.MSG_WAITALL)[3:] != b"\0":
            raise ConnectionError("the broker does not take us")

    @property
    def is_done(self) -> bool:
        return self._stopped or 0 < self._order.count <= self.sent

    def keep_rate(self) -> None:
        """Send each message at its time."""
        begin_s, rate = time.monotonic(), self._order.rate
        while not self.is_done:
            now_s = time.monotonic()
            self.send(int((now_s - begin_s) * rate) + 1 - self.sent)
            self.take_acks(begin_s + self.sent / rate - time.monotonic())

    def keep_window(self) -> None:
        """Send whenever fewer messages than the window are under way: to the listener, or to the broker alone."""
        progress = Progress(self._order.progress) if self._order.progress else None
        before = progress.count if progress else 0
        while not self.is_done:
            arrived = progress.count - before if progress else self.acked
            self.send(self._order.window - (self.sent - arrived))
            self.take_acks(IDLE_S)

    def send(self, wanted: int) -> None:
        left = self._order.count - self.sent if self._order.count else wanted
        count = min(wanted, left, MAX_AT_ONCE, PACKET_IDS - (self.sent - self.acked))
        if count < 1:
            return
        packets = []
        for _ in range(count):
            number = self._order.first + self.sent
            topic = TOPICS[number % len(TOPICS)]
            head = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number % PACKET_IDS + 1)
            packets.append(with_length(0x32, head + payload_of(number, time.monotonic_ns(), self._order.payload_b)))
            self.sent += 1
        self._socket.sendall(b"".join(packets))

    def take_acks(self, wait_s: float) -> None:
        inputs = [self._socket] if self._stopped else [self._socket, sys.stdin]
        ready, _, _ = select.select(inputs, [], [], max(0.0, wait_s))
        if self._socket in ready:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the broker hung up")
            self._acked_bytes += len(data)
            self.acked = self._acked_bytes // ACK_BYTES
        if sys.stdin in ready and not sys.stdin.read(1):
            self._stopped = True

    def finish(self) -> None:
        self._stopped = True
        until_s = time.monotonic() + ACK_LIMIT_S
        while self.acked < self.sent and time.monotonic() < until_s:
            self.take_acks(0.1)
        self._socket.sendall(b"\xe0\0")
        self._socket.close()


def main() -> None:
    sensors = Sensors(order := Order(**json.loads(sys.argv[1])))
    say("publishing")
    begin_s = time.monotonic()
    if order.rate:
        sensors.keep_rate()
    else:
        sensors.keep_window()
    took_s = time.monotonic() - begin_s
    sensors.finish()
    say("published", sent=sensors.sent, acked=sensors.acked, seconds=took_s)


if __name__ == "__main__":
    main()
