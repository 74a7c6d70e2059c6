"""The session of tests/wire/session.json, text by text, spoken by both official clients and by ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from scripts.lib import peers
from scripts.lib.browser import Browser
from scripts.lib.child import Child
from tests.interop.conftest import PYTHONS, SDKS

pytestmark = pytest.mark.asyncio(loop_scope="session")
STEPS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "wire/session.json").read_text())["steps"]
REQUEST_ID = re.compile(r'"requestId":"([^"]+)"')
PROGRAM = Path(__file__).parent / "programs/transcript.py"

IN_PAGE = """
const client = new sdk.SignallingClient({apiKey: "pk_live_x", url: arg});
globalThis.client = client;
globalThis.heard = [];
const say = (name, fields) => heard.push({name, ...fields});
client.on("connected", e => say("connected", {peerId: e.peerId, isReconnect: e.isReconnect}));
client.on("message", e => say("message", {channel: e.channel, from: e.from ?? e.senderPeerId, data: e.data}));
client.on("direct", e => say("direct", {from: e.from ?? e.senderPeerId, data: e.data}));
client.on("server-error", e => say("server-error", {code: e.code}));
client.on("going-away", e => say("going-away", {retryAfterMs: e.retryAfterMs}));
client.on("presence", e => say("presence", {channel: e.channel, joined: e.joined.map(p => p.peerId),
                                            left: e.left.map(p => p.peerId)}));
client.connect().catch(error => say("failed", {text: String(error)}));
"""
CALL_IN_PAGE = """
const [method, ...rest] = arg;
if (method === "subscribe") rest[1] = {includeSenderMetadata: rest[1]};
client[method](...rest).catch(error => heard.push({name: "refused", code: error.name}));
"""
HEARD_IN_PAGE = "return heard.length ? [heard.shift()] : null;"


class Service:
    """Accepts one client and lets the test speak."""

    def __init__(self) -> None:
        self.url = ""
        self.client: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()

    async def handle(self, connection: ServerConnection) -> None:
        self.client.set_result(connection)
        await self._done.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        async with serve(self.handle, "127.0.0.1", 0) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                self._done.set()


async def play(service: Service, call: Any, next_heard: Any) -> None:
    """Go through the steps; `call` makes the client do something, `next_heard` returns what it heard next."""
    connection = await asyncio.wait_for(service.client, 20)
    request_id = ""
    for step in STEPS:
        match next(iter(step.items())):
            case "server", text:
                await connection.send(text.replace("<id>", request_id))
            case "call", arguments:
                await call(arguments)
            case "client", text:
                spoken = await asyncio.wait_for(connection.recv(), 10)
                found = REQUEST_ID.search(spoken)
                assert found is not None
                assert spoken.replace(found[1], "<id>") == text
                assert found[1] != request_id
                request_id = found[1]
            case "event", event:
                assert await next_heard() == event


@pytest.mark.parametrize("sdk", SDKS)
async def test_python_clients_speak_the_transcript(sdk: str) -> None:
    async with Service().running() as service:
        argv = [PYTHONS[sdk], PROGRAM, json.dumps({"url": service.url, "key": "pk_live_x"})]
        env = peers.tree_environment() if sdk == "ours" else {"PYTHONPATH": ""}
        async with Child(f"transcript ({sdk})", argv, env=env) as child:
            count = 0

            async def next_heard() -> Any:
                nonlocal count
                count += 1
                await child.until(lambda: len(child.events_of("heard")) >= count, "an event", timeout_s=10)
                return child.events_of("heard")[count - 1]["heard"]

            await play(service, child.tell, next_heard)


async def test_browser_client_speaks_the_transcript(browser: Browser) -> None:
    async with Service().running() as service:
        page = await browser.open()
        await page.evaluate(IN_PAGE, service.url)

        async def next_heard() -> Any:
            [heard] = await page.wait_for(HEARD_IN_PAGE)
            return heard

        await play(service, lambda arguments: page.evaluate(CALL_IN_PAGE, arguments), next_heard)
        await page.close()
