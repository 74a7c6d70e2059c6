"""A member takes a new connection under the id it had: its token was renewed, or its program was killed and started
again while the hub still holds its seat. The others are told that it goes and comes at once; what is healthy goes on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from metered_realtime import MediaStream, events
from scripts.lib import peers
from scripts.lib.browser import Browser, Page
from scripts.lib.child import Child
from tests.interop.conftest import HERE, PYTHONS, OpenPage
from tests.interop.test_continuity import LONGEST_GAP_MS
from tests.sdk.defects.browser import SEND, join, more_pictures
from tests.sdk.defects.room import Member, Room, room_of_hub, token, until
from tests.sdk.wired import SmallPictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What comes back, does so within a few seconds; on a busy machine too.
SOON_S = 10.0
ROLES = pytest.mark.parametrize("ours", ["a-ours", "z-ours"], ids=["ours polite", "ours impolite"])


@pytest_asyncio.fixture(loop_scope="session")
async def held() -> AsyncIterator[Room]:
    """A room of our hub as it comes."""
    async with room_of_hub(hold_s=3.0) as room:
        yield room


@pytest.fixture
def early_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is renewed after half a second."""
    for name, value in (("EARLIEST_SHARE", 0.0), ("LATEST_SHARE", 0.0), ("MIN_INTERVAL_S", 0.5)):
        monkeypatch.setattr(f"metered_realtime.renewal.{name}", value)


def renewed_tokens(peer_id: str) -> Callable[[], str]:
    """Each token lives a minute longer than the one before."""
    number = count(1)
    return lambda: token(peer_id, exp=int(time.time()) + 60 * next(number))


async def with_picture(room: Room, peer_id: str, **options: Any) -> Member:
    member = await room.member(peer_id, **options)
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    return member


async def renewals_of(member: Member, number: int) -> None:
    """Wait until the member has so many connections to the service more than by now."""
    wanted = member.road.connections + number
    await until(lambda: member.road.connections >= wanted)


@pytest.mark.parametrize("renewing", [("a",), ("z",), ("a", "z")], ids=["polite", "impolite", "both"])
async def test_between_two_of_ours_renewed_tokens_and_cut_websockets_change_nothing(
    held: Room, early_renewals: None, renewing: tuple[str, ...]
) -> None:
    members = [
        await with_picture(held, each, **({"token_provider": renewed_tokens(each)} if each in renewing else {}))
        for each in ("a", "z")
    ]
    await held.meet(*members)
    for member in members:
        await member.sees(64)
        await member.connected()
    before = [(member.remote, member.remote.pc) for member in members]

    movers = [member for member in members if member.peer.peer_id in renewing]
    for mover in movers:
        await renewals_of(mover, 3)
    for mover in movers:
        known = mover.road.connections
        mover.road.cut()
        await until(lambda road=mover.road, known=known: road.connections > known)
        await until(lambda mover=mover: mover.peer.state == "joined")
        await renewals_of(mover, 2)
    for member in members:
        enough = member.received + 30  # what was to stop them would have done so by then
        await until(lambda member=member, enough=enough: member.received > enough)
        await member.connected()

    assert max(member.longest_gap_ms() for member in members) < LONGEST_GAP_MS
    assert [(member.remote, member.remote.pc) for member in members] == before
    for member in members:
        assert len(member.all(events.Track)) == len(member.all(events.PeerJoined)) == 1
        if member not in movers:
            assert [event.to for event in member.all(events.StateChange)] == ["connecting", "connected"]
        assert member.all(events.PeerLeft) + member.all(events.NegotiationError) == []


@asynccontextmanager
async def program(room: Room, peer_id: str, *, sdk: str = "ours", sends: bool = True) -> AsyncIterator[Child]:
    """Another member, in a process of its own; killed in the end, without a word to anybody."""
    env = peers.tree_environment() if sdk == "ours" else {"PYTHONPATH": ""}
    async with Child(f"{peer_id} ({sdk})", [PYTHONS[sdk], HERE / "programs/members.py"], env=env) as child:
        await child.event("ready", timeout_s=30)
        url = f"ws://127.0.0.1:{room.hub.port}"
        await child.tell(
            {"do": "join", "name": "m", "url": url, "token": token(peer_id), "channel": room.channel, "sends": sends}
        )
        await child.event("here")
        try:
            yield child
        finally:
            child.signal(signal.SIGKILL)


async def sees_of(child: Child, peer_id: str) -> None:
    """Wait until the program has seen pictures of this member."""
    await child.event("pictures", peer=peer_id, width=64, timeout_s=SOON_S)


@ROLES
@pytest.mark.parametrize("sdk", ["ours", "official"])
@pytest.mark.parametrize("sends", [True, False], ids=["camera", "viewer"])
async def test_a_program_that_is_killed_and_started_again_sees_and_is_seen_again(
    held: Room, ours: str, sdk: str, sends: bool
) -> None:
    member = await with_picture(held, ours)
    await member.peer.join(held.channel)
    async with program(held, "m-other", sdk=sdk, sends=sends) as killed:
        await sees_of(killed, ours)
        if sends:
            await member.sees(64)
        remote, connection = member.remote, member.remote.pc
    async with program(held, "m-other", sdk=sdk, sends=sends) as again:
        await sees_of(again, ours)
        if sends:
            await member.sees(64)
        await member.connected()
        assert member.remote is remote
        assert member.remote.pc is not connection
        assert member.all(events.NegotiationError) == []


async def test_a_program_without_media_that_is_started_again_is_a_newcomer(held: Room) -> None:
    """As with the official package: whoever greets newcomers greets it again."""
    greeter = await held.member("greeter")
    greeter.peer.on(events.PeerJoined, lambda joined: joined.peer.send("hello"))
    await greeter.peer.join(held.channel)
    for _ in range(2):
        guest = await held.member("guest")
        await guest.peer.join(held.channel)
        assert (await guest.told_of(events.Data)).data == "hello"
        guest.road.is_open.clear()
        guest.road.cut()
        await guest.aclose()
    assert (len(greeter.all(events.PeerJoined)), len(greeter.all(events.PeerLeft))) == (2, 1)


@ROLES
async def test_a_page_sees_a_program_again_that_is_killed_and_started_again(
    held: Room, open_page: OpenPage, ours: str
) -> None:
    page = await open_page()
    await join(page, held, "m-page")
    for _ in range(2):
        async with program(held, ours):
            await page.wait_for("return remotes.get(arg)?.state === 'connected'", ours, timeout_s=SOON_S)
            await more_pictures(page, ours)


@asynccontextmanager
async def page_of(browser: Browser) -> AsyncIterator[Page]:
    """A page that is closed in the end; its browser tells the service nothing it could understand."""
    page = await browser.open(html=(HERE / "page.html").read_text())
    try:
        await page.wait_for("return globalThis.ready")
        yield page
        assert page.errors == []
    finally:
        await page.close()
        browser.forget(page)


@ROLES
@pytest.mark.parametrize("sends", [True, False], ids=["camera", "viewer"])
async def test_a_page_that_is_closed_and_opened_again_sees_and_is_seen_again(
    held: Room, browser: Browser, ours: str, sends: bool
) -> None:
    member = await with_picture(held, ours)
    await member.peer.join(held.channel)
    for _ in range(2):
        async with page_of(browser) as page:
            road = await join(page, held, "m-page")
            await page.wait_for("return remotes.has(arg)", ours)
            await more_pictures(page, ours)
            if sends:  # not at once: offers that cross each other are test_glare's
                await page.evaluate(SEND, {})
                await member.sees(320)
            await member.connected()
            road.cut()
    assert len(member.all(events.PeerJoined)) == 1
    assert member.all(events.NegotiationError) == []


@pytest.mark.usefixtures("no_crossing_offers")
@ROLES
async def test_a_page_sees_us_again_when_our_token_was_renewed(held: Room, open_page: OpenPage, ours: str) -> None:
    """The browser's SDK replaces its connection then; ours keeps its place."""
    page = await open_page()
    await join(page, held, "m-page", send=True)
    tokens = iter([token(ours, exp=int(time.time()) + life_s) for life_s in (8, 3600)])
    member = await with_picture(held, ours, token_provider=lambda: next(tokens))  # renewed once, after 5 s
    await member.peer.join(held.channel)
    await page.wait_for("return remotes.has(arg)", ours)
    await more_pictures(page, ours)
    await member.sees(320)
    remote = member.remote

    await until(lambda: member.road.connections == 2)
    await page.wait_for("return remotes.get(arg)?.state === 'connected'", ours, timeout_s=SOON_S)
    await more_pictures(page, ours)
    await member.sees(320)
    await member.connected()
    assert member.remote is remote
    assert member.all(events.PeerLeft) + member.all(events.NegotiationError) == []
