"""Whatever the service says about a room, a member stays one, keeps little, and tells no secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metered_realtime import MeteredPeer, PeerJoined, PeerLeft, SignallingConnectError, StdlibLogger
from metered_realtime.roster import MAX_PEERS
from tests.fuzz.faults import Faults
from tests.fuzz.material import FUZZ_CONNECTED
from tests.fuzz.test_parsers import frames
from tests.sdk.signalling_server import ScriptedServer, scripted_server

MEMBERS = 10_000
FRAMES = 300
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoidG9rZW4ifQ.plantedsignature"
KEY = "pk_live_plantedkey0123456789"
# The test's own service, in the same process.
NOT_OURS = ("websockets.server ",)


@asynccontextmanager
async def member(server: ScriptedServer, faults: Faults, **more: Any) -> AsyncIterator[MeteredPeer]:
    """A peer that has joined a room nobody else is in."""
    asyncio.get_running_loop().set_exception_handler(faults.loop_fault)
    options = {"api_key": KEY, **more}
    async with MeteredPeer(url=server.url, logger=StdlibLogger(), **options) as peer:
        async with asyncio.timeout(10):
            await peer.join("room")
        yield peer


def presence(joined: list[str], left: list[str], metadata: Any = None) -> dict[str, Any]:
    def entries(ids: list[str]) -> list[dict[str, Any]]:
        return [{"peerId": peer_id, "metadata": metadata} for peer_id in ids]

    return {"type": "presence", "channel": "room", "joined": entries(joined), "left": entries(left)}


async def test_a_room_of_thousands_is_cut_to_what_a_member_can_bear(faults: Faults) -> None:
    async with scripted_server() as server, member(server, faults) as peer:
        before = len(asyncio.all_tasks())
        for begin in range(0, MEMBERS, 1000):
            await server.send(presence([f"p{number}" for number in range(begin, begin + 1000)], []))
        await peer.send("all of it was read")
        assert len(peer.remote_peers) == MAX_PEERS
        assert len(asyncio.all_tasks()) - before < 8
    assert faults.seen == []


async def test_hundreds_of_presence_frames_leave_who_is_there(faults: Faults) -> None:
    async with scripted_server() as server, member(server, faults) as peer:
        seen = {PeerJoined: 0, PeerLeft: 0}
        for event_type in seen:
            peer.on(event_type, lambda event: seen.__setitem__(type(event), seen[type(event)] + 1))
        for number in range(FRAMES):
            joined, left = [f"p{number}-{each}" for each in range(50)], [f"p{number - 1}-{each}" for each in range(50)]
            await server.send(presence(joined, left, {"n": number}))
        await peer.send("all of it was read")
        assert len(peer.remote_peers) <= MAX_PEERS
        assert seen[PeerJoined] - seen[PeerLeft] == len(peer.remote_peers)
    assert faults.seen == []


@settings(FUZZ_CONNECTED, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(frames, min_size=20, max_size=80))
async def test_frames_of_any_kind_do_not_end_a_membership(faults: Faults, sent: list[dict[str, Any]]) -> None:
    async with scripted_server() as server, member(server, faults) as peer:
        for frame in sent:
            # Another welcome, a goodbye, or members would change what the test asks afterwards.
            if frame["type"] not in ("welcome", "going_away", "ack", "error"):
                await server.send(json.dumps(frame))
        async with asyncio.timeout(10):
            await peer.send("all of it was read")
        assert peer.state == "joined"
    assert faults.seen == []


@pytest.mark.parametrize("reason", [f"token={JWT}", f"key {KEY} is unknown"])
async def test_no_secret_of_the_address_is_logged_or_raised(faults: Faults, reason: str) -> None:
    async def token() -> str:
        return JWT

    raised: list[str] = []
    async with scripted_server() as server:
        async with member(server, faults, api_key=None, token_provider=token) as peer:
            await server.send({"type": "error", "code": "internal_error", "message": f"bad request to /v1?token={JWT}"})
            await server.send("{" + JWT)
            await server.connections[-1].close(1011, reason)
            while peer.state != "reconnecting":
                await asyncio.sleep(0.005)
        server.welcome = None

        async def refuse(connection: Any) -> None:
            await connection.close(4001, reason)

        server.on_connect = refuse
        for options in ({"api_key": KEY}, {"api_key": None, "token_provider": token}):
            async with MeteredPeer(url=server.url, logger=StdlibLogger(), **options) as peer:
                with pytest.raises(SignallingConnectError) as refused:
                    await peer.join("room")
                raised += [str(refused.value), repr(peer)]
    ours = [line for line in faults.lines if not line.startswith(NOT_OURS)]
    told = [*ours, *raised]
    assert [line for line in told if "plantedsignature" in line or "plantedkey" in line] == []
