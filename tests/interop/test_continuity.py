"""A viewer's picture goes on while a WebSocket is away: media needs no service. Chromium looks and is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from metered_realtime import MediaStream, events
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage
from tests.sdk.defects.browser import join, more_pictures
from tests.sdk.defects.room import Member, Room, room_of_hub, until
from tests.sdk.wired import SmallPictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROLES = pytest.mark.parametrize("python_id", ["a-python", "z-python"])
# Pictures come every 33 ms. Gaps are measured on the sender's clock, of which a busy machine knows nothing.
LONGEST_GAP_MS = 700
# From each picture shown to the next, from now on.
WATCH_THE_GAPS = """
    const video = [...document.querySelectorAll("video")].at(-1);
    globalThis.longestGap = 0;
    globalThis.shown = 0;
    let before = null;
    const note = (now, { rtpTimestamp }) => {
        longestGap = Math.max(longestGap, before === null ? 0 : (rtpTimestamp - before) / 90);
        before = rtpTimestamp;
        shown += 1;
        video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
"""


@pytest_asyncio.fixture(loop_scope="session")
async def held() -> AsyncIterator[Room]:
    """A room of our hub as it comes."""
    async with room_of_hub(hold_s=3.0) as room:
        yield room


async def sender(room: Room, python_id: str) -> Member:
    member = await room.member(python_id)
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await member.peer.join(room.channel)
    return member


async def nothing_stops(page: Page) -> None:
    """One second of pictures, none of them late."""
    await page.evaluate(WATCH_THE_GAPS)
    await page.wait_for("return shown >= 30")
    assert await page.evaluate("return longestGap") < LONGEST_GAP_MS


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")], ids=["cut off polite", "cut off impolite"])
async def test_between_two_of_ours_a_cut_websocket_changes_nothing(held: Room, ids: tuple[str, str]) -> None:
    room = held.next_door("ours")
    dropped, other = await room.member(ids[0]), await room.member(ids[1])
    for member in (dropped, other):
        member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await room.meet(dropped, other)
    for member in (dropped, other):
        await member.sees(64)
        await member.connected()
    remotes = [dropped.remote, other.remote]
    connections = [remote.pc for remote in remotes]

    dropped.road.is_open.clear()
    dropped.road.cut()
    await other.sees(64, 30)
    dropped.road.is_open.set()
    await dropped.rejoined(2)
    for member in (dropped, other):
        await member.sees(64, 30)  # what was to stop them would have done so by now
        await member.connected()

    assert max(member.longest_gap_ms() for member in (dropped, other)) < LONGEST_GAP_MS
    assert [dropped.remote, other.remote] == remotes
    assert [remote.pc for remote in remotes] == connections
    for member in (dropped, other):
        assert len(member.all(events.Track)) == 1
        assert member.all(events.PeerLeft) + member.all(events.NegotiationError) == []


@ROLES
async def test_a_page_goes_on_seeing_us_while_our_websocket_is_away(
    held: Room, open_page: OpenPage, python_id: str
) -> None:
    page = await open_page()
    await join(page, held, "m-page")
    member = await sender(held, python_id)
    await page.wait_for("return remotes.has(arg)", python_id)
    await more_pictures(page, python_id)
    remote, pc = member.remote, member.remote.pc

    member.road.is_open.clear()
    member.road.cut()
    await until(lambda: member.peer.state == "reconnecting")
    await nothing_stops(page)

    member.road.is_open.set()
    await member.rejoined(2)
    assert (member.remote, member.remote.pc) == (remote, pc)
    await more_pictures(page, python_id)
    await until(lambda: member.remote.state == "connected")
    assert member.remote is remote


@ROLES
@pytest.mark.usefixtures("no_crossing_offers")
async def test_a_page_goes_on_seeing_us_and_we_it_while_its_websocket_is_away(
    held: Room, open_page: OpenPage, python_id: str
) -> None:
    page = await open_page()
    road = await join(page, held, "m-page", send=True)
    member = await sender(held, python_id)
    await page.wait_for("return remotes.has(arg)", python_id)
    await more_pictures(page, python_id)
    await member.sees(320)

    road.is_open.clear()
    road.cut()
    await page.wait_for("return peer.state === 'reconnecting'")
    await nothing_stops(page)
    await member.sees(320, 20)
    assert member.remote.state == "connected"

    # The browser's SDK replaces its connection when it is back: what stops then comes back.
    road.is_open.set()
    await until(lambda: road.connections == 2 and road.rosters)
    await page.wait_for("return peer.state === 'joined'")
    await more_pictures(page, python_id)
    await member.sees(320)
