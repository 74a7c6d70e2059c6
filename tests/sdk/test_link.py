"""One WebSocket: refusals as values, bounded queue, nothing left behind."""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.server import serve

from metered_realtime import NoopLogger, SignallingError
from metered_realtime import link as link_module
from metered_realtime.link import Link

from .signalling_server import scripted_server


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


@pytest.mark.parametrize(("dead_after_s", "expected_ms"), [(0.0, 0), (16.0, 16_000), (float("inf"), 0)])
async def test_the_system_gives_up_a_peer_that_acknowledges_nothing(url, dead_after_s, expected_ms):
    link = Link(NoopLogger())
    assert await link.open(url, dead_after_s=dead_after_s) is None
    connection = link._socket.transport.get_extra_info("socket")
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == expected_ms
    link.hang_up(1000, "")
    await link.live(print)


async def test_a_connection_that_is_not_tcp_is_left_as_it_is():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link_module._give_up_after(ours, 5.0)
    link_module._give_up_after(None, 5.0)


async def test_queue_of_a_slow_link_is_bounded(url, monkeypatch):
    monkeypatch.setattr(link_module, "MAX_QUEUED_BYTES", 10)
    link = Link(NoopLogger())
    link.send("12345")
    with pytest.raises(SignallingError, match="slow link"):
        link.send("123456")


async def test_queue_is_counted_in_bytes(url, monkeypatch):
    monkeypatch.setattr(link_module, "MAX_QUEUED_BYTES", 10)
    link = Link(NoopLogger())
    with pytest.raises(SignallingError, match="slow link"):
        link.send("é" * 6)
    link.send("é" * 5)


async def test_peer_that_no_longer_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr(link_module, "CLOSE_GRACE_S", 0.05)
    async with scripted_server() as server:
        link = Link(NoopLogger())
        await link.open(server.url)

        def fill_and_hang_up(text):
            server.stop_reading()
            for _ in range(7):
                link.send("x" * 1_000_000)
            asyncio.get_running_loop().call_later(0.05, link.hang_up, 4000, "inactivity")

        async with asyncio.timeout(5):
            assert (await link.live(fill_and_hang_up))[0] == 1006
        assert not {"signalling writer", "signalling close"} & {task.get_name() for task in asyncio.all_tasks()}
        server.connections[0].transport.abort()


@pytest.mark.parametrize(("code", "reason"), [(1000, "é" * 100), (5, "no such code")])
async def test_close_frame_that_cannot_be_written_as_asked_still_ends_the_link(url, code, reason):
    link = Link(NoopLogger())
    await link.open(url)
    link.send("x")
    code_told, reason_told = await link.live(lambda text: link.hang_up(code, reason))
    assert (code_told, reason_told) == ((1000, "é" * 61) if code == 1000 else (1006, ""))


async def test_secret_in_the_words_of_the_service_is_not_shown():
    async def tell_tale(connection):
        await connection.close(4001, "unknown key pk_live_hush")

    async with serve(tell_tale, "127.0.0.1", 0) as server:
        link = Link(NoopLogger())
        await link.open(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        assert await link.live(print) == (4001, "unknown key pk_live_***")


async def test_proxy_of_the_environment_is_not_asked_for_a_service_on_this_machine(url, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    link = Link(NoopLogger())
    assert await link.open(url) is None
    link.send("x")
    assert await link.live(lambda text: link.hang_up(1000, text)) == (1000, "x")


async def test_whatever_the_connector_raises_is_told_as_1006():
    def no_proxy(*args, **kwargs):
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    code, reason = await Link(NoopLogger()).open("ws://127.0.0.1:1", connect=no_proxy)
    assert (code, reason) == (1006, "connecting through a SOCKS proxy requires python-socks")


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
