"""Connections dialled, replaced and closed: over real WebSockets, with tokens that expire."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from metered_realtime import Connected, Disconnected, Message, ReconnectOptions, SignallingClient, StateChange
from metered_realtime.errors import SignallingError

from .signalling_server import WELCOME, scripted_server

FAST = ReconnectOptions(initial_delay=0.01, max_delay=0.02)
LIFE_S = 60


@pytest.fixture(autouse=True)
def early_renewals(monkeypatch):
    monkeypatch.setattr("metered_realtime.renewal.EARLIEST_SHARE", 0.0)
    monkeypatch.setattr("metered_realtime.renewal.LATEST_SHARE", 0.0)
    monkeypatch.setattr("metered_realtime.renewal.MIN_INTERVAL_S", 0.15)
    monkeypatch.setattr("metered_realtime.renewal.RETRY_FIRST_S", 0.01)


class Service:
    """A scripted service; with `newest_wins` it ends the first connection when a second one comes."""

    def __init__(self, running) -> None:
        self.running = running
        self.newest_wins = False
        self.refuse_second: int | None = None
        self.given = 0
        running.on_connect = self.on_connect

    async def on_connect(self, connection) -> None:
        now_ms = int(time.time() * 1000)
        expires_at = now_ms // 1000 + 10 * self.given + 10
        server_ms = (expires_at - LIFE_S) * 1000
        self.running.welcome = {**WELCOME, "expiresAt": expires_at, "serverTime": server_ms}
        earlier = [each for each in self.running.connections[:-1] if each.state.name == "OPEN"]
        if earlier and self.refuse_second is not None:
            self.running.welcome = None
            await connection.close(self.refuse_second)
        if self.newest_wins:
            for each in earlier:
                await each.close(4020, "replaced")

    def token(self) -> str:
        self.given += 1
        return f"t{self.given}"

    def last_for_ever(self) -> None:
        """Later connections do not expire."""

        async def on_connect(_) -> None:
            self.running.welcome = dict(WELCOME)

        self.running.on_connect = on_connect


@pytest.fixture
async def service():
    async with scripted_server() as running:
        yield Service(running)


@pytest.fixture
async def client(service):
    made = SignallingClient(token_provider=service.token, url=service.running.url, reconnect=FAST)
    yield made
    await made.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("signalling")]


async def renewed(client, times=1):
    async with client.events(Connected) as stream, asyncio.timeout(10):
        for _ in range(times):
            assert (await anext(stream)).is_reconnect


def told_of(client):
    told = []
    for event_type in (Disconnected, StateChange):
        client.on(event_type, told.append)
    return told


@pytest.mark.parametrize("newest_wins", [False, True])
async def test_tokens_are_renewed_and_nobody_notices(service, client, newest_wins):
    service.newest_wins = newest_wins
    await client.connect()
    await client.subscribe("room")
    told = told_of(client)
    published = 0

    async def publish():
        nonlocal published
        while True:
            await client.publish("room", published)
            published += 1
            await asyncio.sleep(0.002)

    publishing = asyncio.create_task(publish())
    await renewed(client, 3)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert told == []
    assert published > 10
    paths = [service.running.paths.get_nowait() for _ in range(4)]
    assert paths == [f"/v1?token=t{number}" for number in range(1, 5)]
    if not newest_wins:
        assert await service.running.closes.get() == (1000, "the token was renewed")


async def test_channels_are_heard_on_the_new_connection(service, client):
    await client.connect()
    await client.subscribe("room")
    service.last_for_ever()
    await renewed(client)
    assert await service.running.closes.get() == (1000, "the token was renewed")
    async with client.events(Message) as stream:
        await service.running.send({"type": "message", "channel": "room", "from": "a", "data": 7})
        assert (await anext(stream)).data == 7
    assert len(service.running.connections) == 2


async def test_a_service_that_takes_no_second_connection_keeps_the_first(service, client):
    service.refuse_second = 4010
    await client.connect()
    told = told_of(client)
    async with asyncio.timeout(10):
        while len(service.running.connections) < 3:
            await asyncio.sleep(0.01)
    await client.publish("room", 1)
    assert told == []
    assert service.running.connections[0].state.name == "OPEN"


async def test_a_token_that_is_kept_is_not_dialled_with(service):
    asked = []
    client = SignallingClient(token_provider=lambda: asked.append(1) or "kept", url=service.running.url, reconnect=FAST)
    await client.connect()
    async with asyncio.timeout(10):
        while len(asked) < 3:
            await asyncio.sleep(0.01)
    assert len(service.running.connections) == 1
    await client.close()


@pytest.mark.parametrize("stage", ["asking", "dialling", "welcoming"])
async def test_close_in_the_middle_of_a_renewal_leaves_nothing(service, stage):
    reached = asyncio.Event()

    async def provider():
        if service.token() != "t1" and stage == "asking":
            reached.set()
            await asyncio.sleep(60)
        return f"t{service.given}"

    first = service.on_connect

    async def on_connect(connection):
        await first(connection)
        if len(service.running.connections) > 1:
            service.running.welcome = None
            reached.set()

    service.running.on_connect = on_connect
    ended = asyncio.Event()

    async def say_nothing(reader, writer):
        reached.set()
        while await reader.read(1000):
            pass
        writer.close()
        ended.set()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    client = SignallingClient(token_provider=provider, url=service.running.url, reconnect=FAST)
    await client.connect()
    if stage == "dialling":
        port = silent.sockets[0].getsockname()[1]
        find = client._lines._find_url

        async def elsewhere():
            return (await find()).replace(service.running.url, f"ws://127.0.0.1:{port}")

        client._lines._find_url = elsewhere
    async with asyncio.timeout(10):
        await reached.wait()
    await client.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("signalling")]
    silent.close()
    if stage == "dialling":
        await ended.wait()


async def test_a_provider_may_close_the_client_while_it_renews(service):
    async def provider():
        if service.token() == "t2":
            await client.close()
            closed.set()
        return f"t{service.given}"

    closed = asyncio.Event()
    client = SignallingClient(token_provider=provider, url=service.running.url, reconnect=FAST)
    await client.connect()
    async with asyncio.timeout(10):
        await closed.wait()
    assert client.state == "closed"
    assert len(service.running.connections) == 1
    with pytest.raises(SignallingError):
        await client.publish("room", 1)


async def test_a_request_that_waits_for_the_new_connection_can_be_given_up(service, client):
    await client.connect()
    held = asyncio.Event()

    async def on_connect(connection):
        held.set()
        await asyncio.sleep(0.1)
        service.running.welcome = dict(WELCOME)

    service.running.on_connect = on_connect
    async with asyncio.timeout(10):
        await held.wait()
    while not service.running.frames.empty():
        service.running.frames.get_nowait()
    given_up = asyncio.create_task(client.publish("room", "given up"))
    kept = asyncio.create_task(client.publish("room", "kept"))
    await asyncio.sleep(0)
    given_up.cancel()
    await kept
    assert json.dumps(service.running.frames.get_nowait()["data"]) == '"kept"'
