"""Paths to a real browser and between ours: restarts on the living connection, real TURN servers, dead ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from edged.hub.settings import IceServerSettings
from edged.settings import Secret
from metered_realtime import MediaStream, MeteredPeer, events
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage
from tests.sdk.defects.browser import SEND, echo, join, more_pictures
from tests.sdk.defects.room import Member, Road, Room, plain_room, room_of_hub, until
from tests.sdk.pcs import cut_the_path, hurried_consent
from tests.sdk.wired import SmallPictures
from tests.turn import TurnServer, coturn

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEAD = "192.0.2.1"  # a documentation address, which nobody answers from
MARK = "remotes.get(arg).pc.isTheSame = true"
IS_MARKED = "return remotes.get(arg).pc.isTheSame === true"
SSRC = """
    for (const s of (await remotes.get(arg).pc.getStats()).values())
        if (s.type === "inbound-rtp" && s.kind === "video") return s.ssrc;
"""
UFRAG = "return remotes.get(arg).pc.localDescription.sdp.match(/a=ice-ufrag:(\\S+)/)[1]"


@pytest_asyncio.fixture(loop_scope="session")
async def plain() -> AsyncIterator[Room]:
    async with plain_room() as room:
        yield room


@pytest_asyncio.fixture(loop_scope="session")
async def turn() -> AsyncIterator[TurnServer]:
    async with coturn() as server:
        yield server


class Call:
    """One of ours and a page that exchange pictures and words, and what must still be the same after a restart."""

    def __init__(self, member: Member, page: Page, road: Road) -> None:
        self.member, self.page, self.road = member, page, road
        self.pc = member.remote.pc
        self.words = 0

    @classmethod
    async def between(cls, room: Room, page: Page, python_id: str, *, servers: Any = None, **options: Any) -> Call:
        """`servers`: what the token of ours makes the hub announce."""
        claims = {"metadata": {"iceServers": servers}} if servers else {}
        near = await room.road()
        member = Member(MeteredPeer(url=near.url, **room.access(python_id, **claims), **options), near)
        room._stack.push_async_callback(member.aclose)
        member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
        await member.peer.join(room.channel)
        road = await join(page, room, "m-page")
        await page.wait_for("return remotes.has(arg)", python_id)
        await more_pictures(page, python_id)
        await page.evaluate(SEND)  # afterwards, so that no two offers cross
        await member.sees(320)
        await page.evaluate("openChannel(remotes.get(arg))", python_id)
        await echo(page, member, 0, "before")
        call = cls(member, page, road)
        await page.evaluate(MARK, python_id)
        call.ssrc = await page.evaluate(SSRC, python_id)
        return call

    @property
    def python_id(self) -> str:
        assert self.member.peer.peer_id is not None
        return self.member.peer.peer_id

    async def goes_on(self, *, collided: bool = False) -> None:
        """Media and words pass both ways, over the same connection, channel, and SSRC.

        `collided`: a browser that made an offer at the very moment may report that it was refused.
        """
        await more_pictures(self.page, self.python_id)
        await self.member.sees(320)
        self.words += 1
        await self.page.evaluate("channels[0].send(arg)", f"word {self.words}")
        await self.page.wait_for("return heard.includes(arg)", f"word {self.words}")
        assert self.member.remote.pc is self.pc
        assert await self.page.evaluate(IS_MARKED, self.python_id)
        assert await self.page.evaluate(SSRC, self.python_id) == self.ssrc
        for event_type in (events.NegotiationError, events.IceCandidateError, events.StreamRemoved):
            assert self.member.all(event_type) == []
        assert len(self.member.all(events.StreamAdded)) == 1
        told = [event["event"] for event in await self.page.evaluate("return events")]
        assert collided or "negotiation_error" not in told

    def states(self) -> list[str]:
        return [event.to for event in self.member.all(events.StateChange)]


def network_changed(member: Member) -> None:
    """As if the kernel had told of another address."""
    for link in member.peer._members.links:
        link.network_changed()


@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_a_restart_of_the_browser_is_answered_on_the_living_connection(
    plain: Room, open_page: OpenPage, python_id: str
) -> None:
    page = await open_page()
    call = await Call.between(plain, page, python_id)
    for _ in range(2):
        before = call.pc.ice.local_username, await page.evaluate(UFRAG, python_id)
        await page.evaluate("remotes.get(arg).pc.restartIce()", python_id)
        await until(lambda before=before: call.pc.ice.local_username != before[0] and not call.pc.ice.is_restarting)
        assert await page.evaluate(UFRAG, python_id) != before[1]
        await call.goes_on()
    assert "reconnecting" not in call.states()


@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_a_change_of_our_network_makes_a_new_path_to_the_browser(
    plain: Room, open_page: OpenPage, python_id: str
) -> None:
    page = await open_page()
    call = await Call.between(plain, page, python_id)
    before = call.pc.ice.local_username
    network_changed(call.member)
    await until(lambda: call.pc.ice.local_username != before and not call.pc.ice.is_restarting)
    await call.goes_on()
    assert "reconnecting" not in call.states()


@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_a_path_that_was_lost_comes_back_without_a_new_connection(
    plain: Room, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, python_id: str
) -> None:
    hurried_consent(monkeypatch)
    page = await open_page()
    call = await Call.between(plain, page, python_id)
    heal = cut_the_path(call.pc)
    await until(lambda: call.member.remote.state == "reconnecting")
    heal()
    await until(lambda: call.member.remote.state == "connected")
    await call.goes_on()


@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_restarts_of_both_sides_at_once_end_well(plain: Room, open_page: OpenPage, python_id: str) -> None:
    page = await open_page()
    call = await Call.between(plain, page, python_id)
    for _ in range(3):
        before = call.pc.ice.local_username
        await page.evaluate("setTimeout(() => remotes.get(arg).pc.restartIce(), 200)", python_id)
        network_changed(call.member)
        await until(lambda before=before: call.pc.ice.local_username != before and not call.pc.ice.is_restarting)
        await call.goes_on(collided=True)
        await page.wait_for("return remotes.get(arg).pc.signalingState === 'stable'", python_id)


def is_candidate(frame: dict[str, Any]) -> bool:
    return isinstance(frame["data"], dict) and frame["data"].get("type") == "rtc-ice"


async def selected(member: Member) -> Any:
    return member.remote.pc.ice.selected_pair


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_with_relayed_addresses_alone_pictures_reach_a_browser(
    plain: Room, open_page: OpenPage, turn: TurnServer, transport: str
) -> None:
    page = await open_page()
    servers = [turn.config(transport)]
    call = await Call.between(plain, page, "a-python", relay_only=True, ice_servers=servers, ssl=turn.context)
    pair = await selected(call.member)
    assert (pair.local_type, pair.protocol) == ("relay", transport)
    sent = [each["sdp"] for each in call.member.road.descriptions]
    candidates = [line for sdp in sent for line in sdp.splitlines() if line.startswith("a=candidate")]
    trickled = [str(frame["data"]) for frame in call.member.road.of_type("send") if "rtc-ice" in str(frame["data"])]
    assert all("typ relay" in line for line in candidates)
    assert any("typ relay" in text for text in [*candidates, *trickled])
    assert not any("typ host" in text for text in trickled)
    network_changed(call.member)
    await until(lambda: call.pc.ice.is_restarting)
    await until(lambda: not call.pc.ice.is_restarting)
    await call.goes_on()
    assert (await selected(call.member)).local_type == "relay"


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_two_of_ours_meet_over_relayed_addresses_alone(plain: Room, turn: TurnServer, transport: str) -> None:
    options = {"relay_only": True, "ice_servers": [turn.config(transport)], "ssl": turn.context}
    sender = await plain.member("a-sender", **options)
    viewer = await plain.member("b-viewer", **options)
    sender.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await plain.meet(sender, viewer)
    await viewer.sees(64)
    pairs = [await selected(each) for each in (sender, viewer)]
    assert [(pair.local_type, pair.protocol) for pair in pairs] == [("relay", transport)] * 2


async def test_new_credentials_of_a_turn_server_are_used_from_the_next_restart_on(
    plain: Room, open_page: OpenPage
) -> None:
    async with coturn(shared_secret=True) as turn:
        first = turn.config("udp", name="first")
        announced = {"urls": first.urls, "username": first.username, "credential": first.credential}
        page = await open_page()
        call = await Call.between(plain, page, "a-python", servers=[announced], relay_only=True)
        assert turn.log_lines("first", "ALLOCATE", "success")
        # As with the welcome of a later session.
        call.member.peer._ice_servers = (turn.config("udp", name="second"),)
        network_changed(call.member)
        await until(lambda: call.pc.ice.is_restarting)
        await until(lambda: not call.pc.ice.is_restarting)
        await call.goes_on()
        assert turn.log_lines("second", "ALLOCATE", "success")
        assert "reconnecting" not in call.states()


@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_dead_servers_delay_nobody(open_page: OpenPage, python_id: str) -> None:
    dead = IceServerSettings(
        urls=(f"stun:{DEAD}:3478", f"turn:{DEAD}:3478?transport=udp", f"turn:{DEAD}:3478?transport=tcp"),
        username="user",
        credential=Secret("not-a-secret"),
    )
    async with room_of_hub(hold_s=0, ice_servers=(dead,)) as room:
        page = await open_page()
        await join(page, room, "m-page")
        member = await room.member(python_id)
        member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
        await member.peer.join(room.channel)
        await member.connected()
        candidates = [frame["data"]["candidate"] for frame in member.road.of_type("send") if is_candidate(frame)]
        assert None not in candidates, "the servers are still asked"
        await more_pictures(page, python_id)
        await page.evaluate(SEND)
        await member.sees(320)
