"""Real mosquitto, a door that records, a publisher; and a broker of a few bytes for what mosquitto never does."""

from __future__ import annotations

import asyncio
import contextlib

import paho.mqtt.client as paho
import pytest

from edged.mqtt import MqttDoor
from edged.settings import MqttSettings
from scripts.lib import peers


class DoorOnTest:
    """A door whose messages are kept, unacknowledged, until the test takes them."""

    def __init__(
        self, port, *, subscriptions=(("t/#", 1),), client_id="edged-test", will=None, is_old=False, **settings
    ):
        self.messages = []
        self.arrived = asyncio.Event()
        self.on_message = self.messages.append
        self.up = asyncio.Event()
        self.told = []
        self.events = []
        self.door = MqttDoor(
            MqttSettings(**{"port": port, "keepalive_s": 5, **settings}),
            client_id=client_id,
            subscriptions=subscriptions,
            on_message=self._received,
            will=will,
            on_up=lambda: self.events.append("up"),
            on_session_lost=lambda: self.events.append("session lost"),
            on_connecting=lambda: self.events.append("connecting"),
        )
        # As if it had met a broker that speaks 3.1.1 only; mosquitto speaks both.
        self.door._v5 = not is_old
        self.task = None

    def _received(self, message):
        self.on_message(message)
        self.arrived.set()

    def events_since(self):
        """Return what the door has told since the last call."""
        events, self.events = self.events, []
        return events

    def acknowledge_at_once(self):
        def take(message):
            self.messages.append(message)
            message.ack()

        self.on_message = take

    def _tell(self, detail):
        self.told.append(detail)
        self.up.set()

    async def open(self):
        """Start one life and wait until it is up; raise what ends it before."""
        self.up.clear()
        self.task = asyncio.create_task(self.door.run(self._tell))
        up = asyncio.create_task(self.up.wait())
        await asyncio.wait([self.task, up], return_when=asyncio.FIRST_COMPLETED, timeout=15)
        up.cancel()
        if self.task.done():
            self.task.result()
        assert self.up.is_set()

    async def ended(self):
        """Wait for the end of this life and return its error."""
        await asyncio.wait([self.task], timeout=15)
        return self.task.exception()

    async def close(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def until(self, count):
        async with asyncio.timeout(15):
            while len(self.messages) < count:
                self.arrived.clear()
                await self.arrived.wait()

    @property
    def payloads(self):
        return [message.payload for message in self.messages]


@pytest.fixture
async def broker():
    async with peers.mosquitto() as running:
        yield running


@pytest.fixture
async def open_door():
    """Return a function that opens a door to a port."""
    doors = []

    async def open_(port, **options):
        door = DoorOnTest(port, **options)
        doors.append(door)
        await door.open()
        return door

    yield open_
    for door in doors:
        await door.close()


@pytest.fixture
def publish():
    """Return a function that publishes with another client and waits until the broker has everything."""
    return publish_all


async def publish_all(port, *messages, qos=1, retain=False):
    await asyncio.to_thread(_publish, port, messages, qos, retain)


def _publish(port, messages, qos, retain):
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for info in [client.publish(topic, payload, qos, retain) for topic, payload in messages]:
        info.wait_for_publish(15)
    client.disconnect()
    client.loop_stop()


CONNACK_OLD = b"\x20\x02\x00\x01"
CONNACK_V311 = b"\x20\x02\x00\x00"
CONNACK_V5 = b"\x20\x03\x00\x00\x00"
PROTOCOL_LEVEL = 8  # offset in CONNECT: fixed header 2 bytes, name 6 bytes


@contextlib.asynccontextmanager
async def byte_broker(answer):
    """Listen, and let `answer(reader, writer)` speak for each connection. Yields the port."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_packet(reader):
    """Read one short packet and return its bytes."""
    head = await reader.readexactly(2)
    return head + await reader.readexactly(head[1])


@contextlib.asynccontextmanager
async def relay(port):
    """Pass bytes on to a port of this machine. Yields the port to connect to, and what cuts all without a word."""
    transports = []

    async def pass_on(reader, writer):
        transports.append(writer.transport)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    def cut():
        for transport in transports:
            transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], cut
    finally:
        server.close()
        cut()
