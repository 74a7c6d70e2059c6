"""A hub at the one seam where telemetry meets it: an object with the four calls of `SignallingClient`."""

from __future__ import annotations

import asyncio
import json

import pytest

from metered_realtime import Connected, Disconnected, DisconnectedError, NotConnectedError, SignallingConnectError


class FakeHub:
    """Takes what its clients publish. Answers may be held back, refused, or lost with the connection."""

    def __init__(self):
        self.taken = []  # (channel, data) in the order of arrival
        self.clients = []
        self.refuse_connect = None
        self.answering = True
        self.errors = []  # raised by the next publishes, one each
        self.waiting = []
        self.changed = asyncio.Condition()
        self.max_message_size = 65_536

    def open_client(self):
        client = FakeClient(self)
        self.clients.append(client)
        return client

    @property
    def readings(self):
        return [reading for _channel, data in self.taken for reading in data["readings"]]

    @property
    def values(self):
        """Values by first arrival of their id."""
        return list({reading["id"]: reading["value"] for reading in self.readings}.values())

    async def take(self, client, channel, data):
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append((channel, data))
        await self._tell()
        if not self.answering:
            answer = asyncio.get_running_loop().create_future()
            self.waiting.append(answer)
            await answer

    async def drop(self, code=1006, reason=""):
        """End every connection; what waits for an answer fails first, as in the real client."""
        for answer in self.waiting:
            if not answer.done():
                answer.set_exception(DisconnectedError("gone"))
        self.waiting.clear()
        for client in self.clients:
            client.lose(code, reason)
        await asyncio.sleep(0)

    async def answer(self):
        """Acknowledge what waits, and what comes."""
        self.answering = True
        for answer in self.waiting:
            if not answer.done():
                answer.set_result(None)
        self.waiting.clear()
        await asyncio.sleep(0)

    async def until(self, condition, timeout_s=5.0):
        """Wait until `condition()` holds; looked at after every arrival."""
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(condition)

    async def until_values(self, count):
        await self.until(lambda: len(self.values) >= count)

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()


class FakeClient:
    def __init__(self, hub):
        self.hub = hub
        self.handlers = {}
        self.connected = False
        self.closed = False

    def on(self, event_type, handler):
        self.handlers[event_type] = handler

    async def connect(self):
        await asyncio.sleep(0)
        if self.hub.refuse_connect is not None:
            raise SignallingConnectError(*self.hub.refuse_connect)
        self.connected = True
        self.handlers[Connected](Connected("me", 0, None, False, self.hub.max_message_size))
        await self.hub._tell()

    async def publish(self, channel, data, *, timeout=None):
        data = json.loads(data.text)
        if not self.connected:
            raise NotConnectedError("not connected")
        await self.hub.take(self, channel, data)

    async def close(self):
        self.connected = False
        self.closed = True

    def lose(self, code, reason):
        if self.connected:
            self.connected = False
            self.handlers[Disconnected](Disconnected(code, reason, True))


@pytest.fixture
async def hub():
    return FakeHub()
