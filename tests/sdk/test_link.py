"""One WebSocket: refusals as values, bounded queue, nothing left behind."""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.server import serve

from metered_realtime import NoopLogger, SignallingError
from metered_realtime import link as link_module
from metered_realtime.link import Link


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def url():
    async with serve(echo, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1?key=hush"


async def test_texts_go_out_in_order_and_come_in(url):
    link, received, done = Link(NoopLogger()), [], asyncio.Event()
    assert await link.open(url) is None

    def on_text(text):
        received.append(text)
        if len(received) == 3:
            link.hang_up(1000, "enough")
            link.hang_up(1000, "once is enough")
            done.set()

    for text in "abc":
        link.send(text)
    assert await link.live(on_text) == (1000, "enough")
    assert received == ["a", "b", "c"]


async def test_refused_upgrade_is_told_as_its_http_status():
    async with serve(echo, "127.0.0.1", 0, process_request=lambda c, r: c.respond(403, "no")) as server:
        port = server.sockets[0].getsockname()[1]
        assert await Link(NoopLogger()).open(f"ws://127.0.0.1:{port}/v1") == (403, "handshake rejected")


async def test_unreachable_host_is_told_as_1006_without_the_credential():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        code, reason = await Link(NoopLogger()).open(f"ws://127.0.0.1:{unused.getsockname()[1]}/v1?key=hush")
    assert code == 1006
    assert "hush" not in reason


async def test_queue_of_a_slow_link_is_bounded(url, monkeypatch):
    monkeypatch.setattr(link_module, "MAX_QUEUED_BYTES", 10)
    link = Link(NoopLogger())
    link.send("12345")
    with pytest.raises(SignallingError, match="slow link"):
        link.send("123456")


async def test_cancelled_life_closes_the_socket_and_its_writer(url):
    link, first = Link(NoopLogger()), asyncio.Event()
    await link.open(url)
    living = asyncio.create_task(link.live(lambda text: first.set()))
    link.send("x")
    await first.wait()
    living.cancel()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert "signalling writer" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_hang_up_before_opening_does_nothing():
    Link(NoopLogger()).hang_up(1000, "never open")
