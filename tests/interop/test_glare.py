"""Who offers first, and what: every row of the table in section 14.4 of the protocol, with Chromium, both roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from metered_realtime import MediaStream, events
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage
from tests.sdk.defects.browser import echo, join, more_pictures, offers
from tests.sdk.defects.room import Member, Road, Room, plain_room, until
from tests.sdk.wired import SmallPictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROLES = pytest.mark.parametrize("python_id", ["a-python", "z-python"])
METADATA = {"name": "yard"}
# Some browsers, and Node's WebRTC, cannot take back an offer of theirs for one that arrives: they refuse it.
NO_ROLLBACK = """
    const apply = RTCPeerConnection.prototype.setRemoteDescription;
    globalThis.refused = 0;
    RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
        if (description.type === "offer" && this.signalingState === "have-local-offer") {
            refused += 1;
            throw new DOMException("Called in wrong state: have-local-offer", "InvalidStateError");
        }
        return await apply.call(this, description);
    };
"""


@pytest_asyncio.fixture(loop_scope="session")
async def plain() -> AsyncIterator[Room]:
    async with plain_room() as room:
        yield room


class Meeting:
    """One of ours and a page, whose first offers may cross."""

    def __init__(self, member: Member, page: Page, road: Road) -> None:
        self.member, self.page, self.road = member, page, road

    @classmethod
    async def begin(
        cls, room: Room, page: Page, python_id: str, *, sends: bool = True, latency_s: float = 0.0, **options: Any
    ) -> Meeting:
        """The page is there, ours joins."""
        road = await join(page, room, "m-page", **options)
        member = await room.member(python_id)
        road.extra_latency_s = member.road.extra_latency_s = latency_s
        if sends:
            member.peer.add_track(SmallPictures(64), MediaStream(id="camera"), METADATA)
        await member.peer.join(room.channel)
        return cls(member, page, road)

    async def page_sees(self) -> None:
        python_id = self.member.peer.peer_id
        assert python_id is not None
        await self.page.wait_for("return remotes.has(arg)", python_id)
        await more_pictures(self.page, python_id)

    async def rests(self) -> None:
        """Nobody offers any more, and nothing went wrong."""
        await until(lambda: self.member.remote.state == "connected")
        settled = offers(self.road, self.member.road)
        await self.page_sees()
        assert offers(self.road, self.member.road) == settled
        assert await self.page.evaluate("return [...remotes.values()][0].pc.signalingState") == "stable"
        assert self.member.all(events.NegotiationError) == []


@ROLES
async def test_a_page_that_only_looks_sees_our_picture(plain: Room, open_page: OpenPage, python_id: str) -> None:
    meeting = await Meeting.begin(plain, await open_page(), python_id)
    await meeting.page_sees()
    await meeting.rests()


@ROLES
@pytest.mark.parametrize("latency_s", [0.0, 0.075])
async def test_a_page_that_opens_a_channel_gets_it_and_our_picture(
    plain: Room, open_page: OpenPage, python_id: str, latency_s: float
) -> None:
    meeting = await Meeting.begin(plain, await open_page(), python_id, latency_s=latency_s, opensChannel=True)
    await echo(meeting.page, meeting.member, 0, "hello")
    await meeting.page_sees()
    await meeting.rests()


@ROLES
async def test_both_open_a_channel_at_the_same_time(plain: Room, open_page: OpenPage, python_id: str) -> None:
    """Over a slow line: at the same millisecond Chromium itself now and then never opens its own."""
    page = await open_page()
    road = await join(page, plain, "m-page", opensChannel=True)
    member = await plain.member(python_id)
    road.extra_latency_s = member.road.extra_latency_s = 0.075
    ours: list[Any] = []
    member.peer.on(events.PeerJoined, lambda joined: ours.append(joined.peer.create_data_channel("ours")))
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await member.peer.join(plain.channel)

    await echo(page, member, 0, "hello")
    await until(lambda: ours[0].readyState == "open")
    meeting = Meeting(member, page, road)
    await meeting.page_sees()
    await meeting.rests()


@ROLES
@pytest.mark.parametrize("latency_s", [0.0, 0.075])
async def test_both_send_pictures_from_the_start(
    plain: Room, open_page: OpenPage, python_id: str, latency_s: float
) -> None:
    page = await open_page()
    meeting = await Meeting.begin(plain, page, python_id, latency_s=latency_s, send=True, metadata=METADATA)
    await meeting.page_sees()
    await meeting.member.sees(320)
    assert (await meeting.member.told_of(events.StreamAdded)).metadata == METADATA
    found = await page.wait_for("return has('stream_added', { stream: 'camera' })")
    assert found["metadata"] == METADATA
    await meeting.rests()


@ROLES
@pytest.mark.parametrize("latency_s", [0.0, 0.075])
async def test_a_browser_that_cannot_take_back_its_offer_is_answered(
    plain: Room, open_page: OpenPage, python_id: str, latency_s: float
) -> None:
    page = await open_page()
    await page.evaluate(NO_ROLLBACK)
    meeting = await Meeting.begin(plain, page, python_id, latency_s=latency_s, send=True)
    await meeting.page_sees()
    await meeting.member.sees(320)


@ROLES
async def test_metadata_is_found_by_a_page_that_offered_its_own_pictures_first(
    plain: Room, open_page: OpenPage, python_id: str
) -> None:
    page = await open_page()
    meeting = await Meeting.begin(plain, page, python_id, sends=False, send=True)
    await meeting.member.sees(320)
    meeting.member.peer.add_track(SmallPictures(64), MediaStream(id="camera"), METADATA)
    await meeting.page_sees()
    found = await page.wait_for("return has('stream_added', { stream: 'camera' })")
    assert found["metadata"] == METADATA
    await meeting.rests()
