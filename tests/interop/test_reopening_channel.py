"""Our re-opening data channel over a lost WebSocket: against Chromium, and the official Python SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metered_realtime import Connected, MeteredPeer, PeerJoined, ReconnectOptions
from metered_realtime.reopening_channel import ReopeningDataChannel
from tests.interop.conftest import OpenPage, Room, RunProgram

pytestmark = pytest.mark.asyncio(loop_scope="session")
OPENS = pytest.mark.parametrize("other_opens", [True, False], ids=["the other opens", "we open"])
PATIENCE_S = 20.0

# What a page does that has read the browser SDK's documentation: open on `peer-joined` and again on `connection-reset`.
ECHO_IN_PAGE = """
    const peer = new sdk.MeteredPeer({ url: arg.url, apiKey: arg.key });
    const echo = (channel) => { channel.onmessage = ({ data }) => channel.send(data); };
    peer.on("peer-joined", ({ peer: remote }) => {
      remote.on("data-channel", ({ channel }) => echo(channel));
      const open = () => echo(remote.pc.createDataChannel("talk"));
      if (arg.opens) { open(); remote.on("connection-reset", open); }
    });
    await peer.join(arg.channel);
"""


class Talk:
    """A member with a channel to the one other member, which sends everything back."""

    def __init__(self, room: Room, *, accept: bool) -> None:
        self.peer = MeteredPeer(api_key=room.key, url=room.url, reconnect=ReconnectOptions(initial_delay=0.05))
        self.channel: Any = None
        self.met = asyncio.Event()
        self.accept = accept
        self.peer.on(PeerJoined, self._meet)

    def _meet(self, event: PeerJoined) -> None:
        self.channel = ReopeningDataChannel(event.peer, "talk", accept=self.accept)
        self.met.set()

    async def says_and_hears(self, value: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.met.wait()
            while True:  # a message in flight when the connection is lost is lost with it
                async with self.channel.json_messages() as values:
                    await self.channel.send_json(value)
                    try:
                        async with asyncio.timeout(2.0):
                            assert await anext(values) == value
                    except TimeoutError:
                        continue
                    return

    async def loses_its_websocket(self) -> None:
        async with self.peer._client.events(Connected) as again:
            self.peer._client._lines._links["main"]._socket.transport.abort()
            async with asyncio.timeout(PATIENCE_S):
                await anext(again)


@asynccontextmanager
async def talk(room: Room, *, accept: bool) -> AsyncIterator[Talk]:
    made = Talk(room, accept=accept)
    await made.peer.join(room.channel)
    try:
        yield made
    finally:
        await made.peer.close()


async def outlives_a_lost_websocket(room: Room, *, accept: bool) -> None:
    async with talk(room, accept=accept) as ours:
        await ours.says_and_hears({"before": "é"})
        channel = ours.channel
        await ours.loses_its_websocket()
        await ours.says_and_hears({"after": [1, 2]})
        assert ours.channel is channel


@OPENS
async def test_with_a_page(room: Room, open_page: OpenPage, other_opens: bool) -> None:
    page = await open_page()
    await page.evaluate(ECHO_IN_PAGE, {**room.address, "opens": other_opens})
    await outlives_a_lost_websocket(room, accept=other_opens)


@OPENS
async def test_with_the_official_python_sdk(room: Room, run_program: RunProgram, other_opens: bool) -> None:
    await run_program("echo_channel", "official", opens=other_opens)
    await outlives_a_lost_websocket(room, accept=other_opens)
