"""The far end of the bench `telemetry`: takes what arrives at a hub's channel or at a broker, and times it.

argv: a JSON object: {"progress": FILE, "hub": URL, "key", "channel"} or {"progress": FILE, "port"}. It says
"listening", and on each line of stdin what has arrived since the last one. The time of a message is in it:
CLOCK_MONOTONIC, which all processes of one machine share.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from array import array
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect

from metered_realtime.wire import Subscribe, encode
from scripts.lib.bench.programs.telemetry_sensors import TIME_BASE, with_length
from scripts.lib.bench.telemetry_road.progress import Progress
from scripts.lib.bench.viewing.lines import commands, say

_PUBLISH, _SUBACK = 0x30, 0x90
_NUMBER, _TIME = slice(5, 15), slice(21, 40)


class Arrivals:
    """What came: every number once, the repeats counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: set[int] = set()
        self.forget()

    def forget(self) -> None:
        """Begin a new list; what was seen stays known."""
        self.latencies_ns = array("q")
        self.repeats = 0
        self.first_ns = self.last_ns = 0

    def take(self, number: int, sent_ns: int) -> None:
        if number in self._seen:
            self.repeats += 1
            return
        self._seen.add(number)
        self.last_ns = time.monotonic_ns()
        self.first_ns = self.first_ns or self.last_ns
        self.latencies_ns.append(self.last_ns - sent_ns + TIME_BASE)

    def publish(self) -> None:
        """Tell how many there are."""
        self._progress.count = len(self._seen)


class MqttListener(asyncio.Protocol):
    """Subscribes to everything with QoS 1 and acknowledges at once."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.subscribed = asyncio.Event()
        self._arrivals = arrivals
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name, everything = b"bench-listener", b"bench/#"
        self._transport.write(with_length(0x10, b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name))
        self._transport.write(with_length(0x82, b"\0\1" + struct.pack(">H", len(everything)) + everything + b"\1"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        begin, acks = 0, bytearray()
        while (packet := _packet_at(data, begin)) is not None:
            kind, (body, begin) = data[begin], packet
            if kind & 0xF0 == _PUBLISH:
                after_topic = body + 2 + int.from_bytes(data[body : body + 2])
                acks += b"\x40\2" + data[after_topic : after_topic + 2]
                payload = data[after_topic + 2 : begin]
                self._arrivals.take(int(payload[_NUMBER]), int(payload[_TIME]))
            elif kind == _SUBACK:
                self.subscribed.set()
        self._rest = data[begin:]
        if acks and self._transport is not None:
            self._transport.write(acks)
        self._arrivals.publish()


def _packet_at(data: bytes, begin: int) -> tuple[int, int] | None:
    """Return where the body of the packet begins and ends, or None where it has not come whole."""
    length, shift = 0, 0
    for at in range(begin + 1, min(begin + 5, len(data))):
        length |= (data[at] & 127) << shift
        shift += 7
        if not data[at] & 128:
            end = at + 1 + length
            return (at + 1, end) if end <= len(data) else None
    return None


async def listen_to_hub(arrivals: Arrivals, socket: ClientConnection) -> None:
    async for text in socket:
        frame = json.loads(text)
        data = frame.get("data")
        if frame["type"] != "message" or data.get("type") != "edged/readings":
            continue
        for reading in data["readings"]:
            value = reading["value"]
            arrivals.take(value["n"], value["ns"])
        arrivals.publish()


async def answer(arrivals: Arrivals) -> None:
    async for _ in commands():
        ordered_ns = sorted(arrivals.latencies_ns)
        say(
            "arrived",
            count=len(ordered_ns),
            repeats=arrivals.repeats,
            p50_ms=_at(ordered_ns, 0.50),
            p99_ms=_at(ordered_ns, 0.99),
            first_s=arrivals.first_ns / 1e9,
            last_s=arrivals.last_ns / 1e9,
        )
        arrivals.forget()


def _at(ordered_ns: list[int], part: float) -> float | None:
    return ordered_ns[min(len(ordered_ns) - 1, int(len(ordered_ns) * part))] / 1e6 if ordered_ns else None


async def main() -> None:
    options: dict[str, Any] = json.loads(sys.argv[1])
    arrivals = Arrivals(Progress(options["progress"], new=True))
    if "port" in options:
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_connection(lambda: MqttListener(arrivals), "127.0.0.1", options["port"])
        await listener.subscribed.wait()
        say("listening")
        await answer(arrivals)
        return
    url = f"{options['hub']}/v1?key={options['key']}"
    async with connect(url, max_size=None, max_queue=None, compression=None) as socket:
        await socket.send(encode(Subscribe(options["channel"], "1", include_sender_metadata=False)))
        while json.loads(await socket.recv())["type"] != "ack":
            pass
        say("listening")
        hearing = asyncio.create_task(listen_to_hub(arrivals, socket), name="hub")
        await answer(arrivals)
        hearing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
