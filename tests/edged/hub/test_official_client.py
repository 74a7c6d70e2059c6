"""The official Python client loses its connection to the hub, and what the others see of it (protocol section 15.1)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import jwt
import pytest

from edged.hub.settings import TokenSecretSettings
from edged.settings import Secret
from tests.edged.hub.conftest import KEY, TIMEOUT_S, RunningHub, hub_settings, running_hub

pytestmark = pytest.mark.system

OFFICIAL = Path(__file__).parents[3] / ".venv-official/bin/python"
SECRET = "sk_secret_" + "0123456789abcdef" * 3
PROGRAM = """
import asyncio, json, sys
from metered_realtime import Connected, MeteredPeer, PeerJoined, PeerLeft, SignallingClient, StateChange

def say(**event): print(json.dumps(event), flush=True)

async def main(url, key, token):
    async def provide(): return token
    peer = MeteredPeer(url=url, **({"api_key": key} if key else {"token_provider": provide}))
    peer.on(StateChange, lambda e: say(event="state", was=e.from_, to=e.to))
    peer.on(PeerJoined, lambda e: say(event="peer-joined", peer=e.peer.id))
    peer.on(PeerLeft, lambda e: say(event="peer-left", peer=e.peer.id))
    await peer.join("room")
    say(event="joined", peer=peer.peer_id)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


class Cable:
    """A TCP road to the hub that can be cut as a lost network cuts it."""

    def __init__(self, hub: RunningHub) -> None:
        self._hub = hub
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._hub.port)
        self._writers += [writer, far_writer]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
            sink.close()

        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(pump(reader, far_writer))
            pumps.create_task(pump(far_reader, writer))


class Program:
    """The official client in its own interpreter, and the events it prints."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._passed: list[dict[str, str]] = []

    async def event(self, name: str, **fields: str) -> dict[str, str]:
        """Take the first event with this name and these fields, whether it came already or is to come."""
        wanted = {"event": name, **fields}
        assert self._process.stdout is not None
        async with asyncio.timeout(4 * TIMEOUT_S):
            while True:
                for event in self._passed:
                    if wanted.items() <= event.items():
                        self._passed.remove(event)
                        return event
                line = await self._process.stdout.readline()
                assert line, f"the program ended before {wanted}"
                self._passed.append(json.loads(line))


@contextlib.asynccontextmanager
async def official(url: str, *, key: str = "", token: str = "") -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        OFFICIAL, "-c", PROGRAM, url, key, token, stdout=PIPE, stderr=subprocess.DEVNULL, env={}
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        await process.communicate()


async def test_client_with_a_key_comes_back_as_another_and_the_old_one_leaves_after_the_hold():
    async with running_hub(hub_settings(hold_s=2.0)) as hub, Cable(hub) as cable:
        viewer = await hub.client()
        await viewer.subscribe()
        async with official(cable.url, key=KEY) as program:
            old = (await program.event("joined"))["peer"]
            assert (await viewer.receive())["joined"] == [{"peerId": old}]

            cut_s = time.monotonic()
            cable.cut()
            await program.event("state", was="reconnecting", to="joined")

            joined, left = await viewer.receive(), await viewer.receive()
            assert joined["joined"][0]["peerId"] != old
            assert (joined["left"], left["joined"], left["left"]) == ([], [], [{"peerId": old}])
            assert time.monotonic() - cut_s >= 1.9
            # The client itself saw its former id only as long as the others did.
            await program.event("peer-left", peer=old)


async def test_client_with_a_token_comes_back_as_itself():
    settings = hub_settings(hold_s=3.0, token_secrets=(TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),))
    token = jwt.encode({"sub": "camera", "exp": time.time() + 60}, SECRET, "HS256", headers={"kid": "sk_id_1"})
    async with running_hub(settings) as hub, Cable(hub) as cable:
        viewer = await hub.client()
        await viewer.subscribe()
        async with official(cable.url, token=token) as program:
            await program.event("joined", peer="camera")
            await program.event("peer-joined", peer=viewer.id)
            await viewer.receive()

            cut_s = time.monotonic()
            cable.cut()
            await program.event("state", was="reconnecting", to="joined")

            left, joined = await viewer.receive(), await viewer.receive()
            assert (left["left"], left["joined"]) == ([{"peerId": "camera"}], [])
            assert (joined["left"], joined["joined"]) == ([], [{"peerId": "camera"}])
            assert time.monotonic() - cut_s < 2.5, "the return ends the hold"
            await viewer.nothing_comes()


async def test_client_stopped_by_a_replacement_does_not_come_back():
    settings = hub_settings(token_secrets=(TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),))
    token = jwt.encode({"sub": "camera", "exp": time.time() + 60}, SECRET, "HS256", headers={"kid": "sk_id_1"})
    async with running_hub(settings) as hub, Cable(hub) as cable, official(cable.url, token=token) as program:
        await program.event("joined")
        await hub.client(f"token={token}")

        await program.event("state", to="closed")
