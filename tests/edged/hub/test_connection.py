"""Clients that go beyond the bounds of one connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from websockets.exceptions import ConnectionClosed

from edged.hub import server as server_module
from edged.hub.settings import LimitSettings
from tests.edged.hub.conftest import KEY, TIMEOUT_S, RunningHub, hub_settings, running_hub


async def test_message_in_a_few_pieces_is_one_message_and_one_in_very_many_is_closed_with_1008(hub: RunningHub):
    one, other = await hub.client(), await hub.client()
    await other.subscribe()
    await one.socket.send(['{"type":"publish","channel":"room",', '"data":"ü"', "}"])
    assert (await other.receive())["data"] == "ü"

    with contextlib.suppress(ConnectionClosed):
        await one.socket.send([""] * 66)
    assert await one.closed() == (1008, "a message in more than 64 pieces")
    await other.nothing_comes()


async def test_client_that_pings_and_takes_no_answer_is_dropped():
    async with running_hub(hub_settings(limits=LimitSettings(queue_bytes=262144), hold_s=0)) as hub:
        other = await hub.client()
        await other.subscribe()
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", hub.port))
        # A stream nobody reads from takes nothing from its socket before long.
        reader, writer = await asyncio.open_connection(sock=deaf)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        writer.write(f"GET /v1?key={KEY} HTTP/1.1\r\nHost: hub\r\n{upgrade}{key}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")

        async def ping_for_ever() -> None:
            while True:
                writer.write((b"\x89\xfd\0\0\0\0" + b"x" * 125) * 500)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ping_for_ever(), TIMEOUT_S)
        writer.close()
        await other.nothing_comes()


async def test_sockets_that_say_nothing_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "SPARE_CONNECTIONS", 2)
    async with running_hub(hub_settings(limits=LimitSettings(connections=1))) as hub:
        streams = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(4)]
        async with asyncio.timeout(TIMEOUT_S):
            assert await streams[3][0].read() == b""
        streams[0][1].close()
        await streams[0][1].wait_closed()
        assert await hub.client()
        # Neither do they keep the hub from ending.
        await hub.end()
        for _, writer in streams:
            writer.close()
