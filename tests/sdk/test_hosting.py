"""The SDK as a guest: in a web service's lifespan, in loops of other programs, through hundreds of joins and closes."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metered_realtime import Data, MeteredPeer, PeerJoined, PeerLeft, Track
from scripts.lib.child import ROOT, Child
from tests.sdk.real_hub import KEY, channel, environment, hub_url  # noqa: F401 - fixtures

# Unclosed sockets are said on stderr, as forgotten awaits are anyway.
CHECKED = ("-W", "always::ResourceWarning")
WARM_UP = 40
MAX_GROWTH_KB = 2048


def hosted(name: str, *python: str, **options: Any) -> Child:
    """Run a program of the folder `hosting`; `python` are arguments of the interpreter."""
    program = ROOT / "tests/sdk/hosting" / f"{name}.py"
    return Child(name, [sys.executable, *python, program, json.dumps({"key": KEY, **options})], env=environment())


@asynccontextmanager
async def watcher(url: str, room: str) -> AsyncIterator[MeteredPeer]:
    async with MeteredPeer(api_key=KEY, url=url) as peer:
        await peer.join(room)
        yield peer


def request(port: int, method: str, path: str, body: Any = None) -> Any:
    """Make one HTTP request; blocks, so it is called in a thread."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_peer_lives_in_the_lifespan_of_a_web_service(hub_url: str, channel: str, loop: str) -> None:  # noqa: F811
    async with watcher(hub_url, channel) as peer, asyncio.timeout(40):
        joined, left, heard = peer.events(PeerJoined), peer.events(PeerLeft), peer.events(Data)
        async with hosted("service", *CHECKED, url=hub_url, channel=channel, loop=loop) as service:
            port = (await service.event("listening"))["port"]
            remote = (await anext(joined)).peer
            await (await anext(remote.events(Track))).track.recv()

            answer = await asyncio.to_thread(request, port, "POST", "/say", {"from": "a handler"})
            assert answer == {"peer": remote.id, "members": [peer.peer_id]}
            assert (await anext(heard)).data == {"from": "a handler"}
            await peer.send_to(remote.id, "to the service")
            while (words := await asyncio.to_thread(request, port, "GET", "/heard")) == []:
                await asyncio.sleep(0.01)
            assert words == ["to the service"]

            service.signal(signal.SIGTERM)
            assert (await service.event("closed")) == {"event": "closed", "tasks": [], "threads": [], "signals": []}
            assert (await anext(left)).peer is remote
            await service.exited()
        assert service.log == ""


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "other thread"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_the_loop_stays_the_hosts(hub_url: str, channel: str, loop: str, in_thread: bool) -> None:  # noqa: F811
    async with hosted("hosted", *CHECKED, url=hub_url, channel=channel, loop=loop, in_thread=in_thread) as program:
        assert (await program.event("changed", timeout_s=30))["values"] == {}
        fds_before, fds_after = (await program.event("alive"))["fds"]
        assert fds_after == fds_before
        assert (await program.event("ended"))["threads"] == []
        assert await program.exited() == 0
    assert program.log == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("loop", "rounds"), [("asyncio", 200), ("uvloop", 80)])
async def test_nothing_is_left_of_hundreds_of_joins_and_closes(
    hub_url: str,  # noqa: F811
    channel: str,  # noqa: F811
    loop: str,
    rounds: int,
) -> None:
    options = {"rounds": rounds, "warm_up": WARM_UP, "media_every": 4}
    async with hosted("cycles", url=hub_url, channel=channel, loop=loop, **options) as program:
        assert await program.exited(timeout_s=100) == 0, program.log
    before, after = program.events_of("count")

    assert (after["tasks"], after["threads"]) == ([], [])
    assert after["fds"] == before["fds"]
    assert after["rss_kb"] - before["rss_kb"] < MAX_GROWTH_KB
    assert program.log == ""
