"""Who gets what of ours, and joins for one direction only, seen from Chromium and from the official Python package."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from metered_realtime import MediaStream, MeteredPeer, PeerJoined, RemotePeer, Track, iter_frames
from scripts.lib.browser import Page
from scripts.lib.child import Child
from tests.interop.conftest import OpenPage, Room, RunProgram, join_page, page_event
from tests.sdk.wired import SmallPictures

pytestmark = pytest.mark.asyncio(loop_scope="session")
CAMERA = {"video": {"width": 320, "height": 240}}
YARD, DOOR = 64, 96
PATIENCE_S = 40.0  # a page that did not find its candidates is connected anew after 15 s
FRAMES = 10

# The widths of the pictures that came since the last look, and what the page's own sections do.
LOOK = """
    const pc = remotes.get(arg).pc;
    globalThis.seen ??= new Map();
    const report = await pc.getStats();
    const widths = [], sent = [];
    for (const s of report.values()) {
      if (s.type === "inbound-rtp" && s.kind === "video" && s.framesDecoded > (seen.get(s.id) ?? 0)) {
        widths.push(s.frameWidth);
        seen.set(s.id, s.framesDecoded);
      }
      if (s.type === "outbound-rtp") sent.push(s.packetsSent);
    }
    const directions = pc.getTransceivers().map((t) => t.currentDirection);
    return { widths: widths.sort((a, b) => a - b), directions: directions.map(String).sort(), sent };
"""


@pytest_asyncio.fixture(loop_scope="session")
async def ours(room: Room) -> AsyncIterator[MeteredPeer]:
    async with MeteredPeer(api_key=room.key, url=room.url) as peer:
        yield peer


def pictures(peer: MeteredPeer) -> tuple[MediaStream, MediaStream]:
    """Add two streams, told apart by the width of their pictures."""
    streams = []
    for name, width in (("yard", YARD), ("door", DOOR)):
        stream = MediaStream([SmallPictures(width)], id=name)
        peer.add_stream(stream, {"name": name})
        streams.append(stream)
    return streams[0], streams[1]


async def look(page: Page, peer_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(LOOK, peer_id)
    return found


async def page_sees(page: Page, peer_id: str, *widths: int) -> None:
    """Wait until pictures of exactly these widths come, several looks in a row."""
    in_a_row = 0
    async with asyncio.timeout(PATIENCE_S):
        while in_a_row < 3:
            in_a_row = in_a_row + 1 if (await look(page, peer_id))["widths"] == sorted(widths) else 0
            await asyncio.sleep(0.25)


async def page_has(page: Page, peer_id: str, *directions: str) -> dict[str, Any]:
    """Wait until the page's sections have these directions; returns the look that saw it."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await look(page, peer_id))["directions"] != sorted(directions):
            await asyncio.sleep(0.1)
    return found


def member(peer: MeteredPeer, peer_id: str) -> RemotePeer:
    return next(remote for remote in peer.remote_peers if remote.id == peer_id)


async def frames(child: Child, peer_id: str, width: int, *, count: int = FRAMES) -> None:
    """Wait until the official package has decoded that many more pictures of this width."""
    begun = len(child.events_of("video", peer=peer_id, width=width))
    await child.until(
        lambda: len(child.events_of("video", peer=peer_id, width=width)) >= begun + count // 5,
        f"pictures of width {width}",
        timeout_s=PATIENCE_S,
    )


# Per-peer choice --------------------------------------------------------------------------------------------


async def test_each_page_gets_what_was_chosen_for_it_from_the_first_description_on(
    room: Room, ours: MeteredPeer, open_page: OpenPage
) -> None:
    yard, _ = pictures(ours)
    chosen: list[str] = []

    @ours.on(PeerJoined)
    def choose(event: PeerJoined) -> None:
        if not chosen:
            event.peer.choose_media([yard])
        chosen.append(event.peer.id)

    await ours.join(room.channel)
    first, second = await open_page(), await open_page()
    await join_page(first, room)
    await page_event(first, "stream_added", peer=ours.peer_id, stream="yard")
    await join_page(second, room)

    await page_event(second, "stream_added", peer=ours.peer_id, stream="door")
    await page_sees(second, ours.peer_id, YARD, DOOR)
    await page_sees(first, ours.peer_id, YARD)
    added = await first.evaluate("return events.filter((e) => e.event === 'stream_added')")
    assert [(each["stream"], each["metadata"]) for each in added] == [("yard", {"name": "yard"})]
    await page_has(first, ours.peer_id, "recvonly")


async def test_a_choice_changes_while_the_page_watches(room: Room, ours: MeteredPeer, open_page: OpenPage) -> None:
    yard, door = pictures(ours)
    await ours.join(room.channel)
    page = await open_page()
    page_id = await join_page(page, room)
    await page_event(page, "stream_added", peer=ours.peer_id, stream="door")
    await page_sees(page, ours.peer_id, YARD, DOOR)

    member(ours, page_id).choose_media([door])
    await page_sees(page, ours.peer_id, DOOR)
    await page_has(page, ours.peer_id, "inactive", "recvonly")

    member(ours, page_id).choose_media(yard.get_tracks())
    await page_sees(page, ours.peer_id, YARD)
    member(ours, page_id).choose_media([])
    await page_sees(page, ours.peer_id)
    member(ours, page_id).choose_media(None)
    await page_sees(page, ours.peer_id, YARD, DOOR)
    assert await page.evaluate("return events.filter((e) => e.event === 'negotiation_error')") == []


async def test_the_official_package_gets_what_was_chosen_for_it(
    room: Room, ours: MeteredPeer, run_program: RunProgram
) -> None:
    yard, door = pictures(ours)
    ours.on(PeerJoined, lambda event: event.peer.choose_media([door]))
    await ours.join(room.channel)
    python = await run_program("peer", "official")
    python_id = (await python.event("ready"))["peer"]

    await frames(python, ours.peer_id, DOOR)
    assert [event["metadata"] for event in python.events_of("stream_added")] == [{"name": "door"}]
    member(ours, python_id).choose_media([door, yard])
    await frames(python, ours.peer_id, YARD)
    assert not list(python.events_of("track_ended"))


# One direction only -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_crossing_offers")
@pytest.mark.parametrize("is_first", [True, False], ids=["ours first", "page first"])
async def test_a_page_stops_its_sender_for_who_joined_to_send_and_still_watches(
    is_first: bool, room: Room, ours: MeteredPeer, open_page: OpenPage
) -> None:
    tracks: list[Track] = []
    ours.on(PeerJoined, lambda event: event.peer.on(Track, tracks.append))
    ours.add_track(SmallPictures(YARD))
    page = await open_page()
    if is_first:
        await ours.join(room.channel, media="send")
    page_id = await join_page(page, room, send=CAMERA, metadata={"name": "page"})
    if not is_first:
        await ours.join(room.channel, media="send")

    await page_event(page, "track", peer=ours.peer_id)
    await page_sees(page, ours.peer_id, YARD)
    found = await page_has(page, ours.peer_id, "inactive", "recvonly")
    assert sum(found["sent"]) == 0
    assert tracks == []
    stats = await member(ours, page_id).stats()
    assert [track.direction for track in stats.tracks] == ["send"]
    assert stats.pair is not None


@pytest.mark.parametrize("is_first", [True, False], ids=["ours first", "page first"])
async def test_who_joined_to_receive_watches_the_page_and_sends_it_nothing(
    is_first: bool, room: Room, ours: MeteredPeer, open_page: OpenPage
) -> None:
    arrived: asyncio.Queue[Track] = asyncio.Queue()
    ours.on(PeerJoined, lambda event: event.peer.on(Track, arrived.put_nowait))
    page = await open_page()
    if is_first:
        await ours.join(room.channel, media="receive")
    page_id = await join_page(page, room, send=CAMERA, metadata={"name": "page"})
    if not is_first:
        await ours.join(room.channel, media="receive")

    async with asyncio.timeout(PATIENCE_S):
        event = await arrived.get()
        async for frame in iter_frames(event.track):
            if frame.width == CAMERA["video"]["width"]:
                break
    assert event.metadata == {"name": "page"}
    await page_has(page, ours.peer_id, "sendonly")
    (track,) = (await member(ours, page_id).stats()).tracks
    assert (track.direction, track.kind) == ("receive", "video")
    assert track.codec is not None
    assert track.bytes > 1000


async def test_messages_alone_open_no_connection_for_media_but_data_channels_work(
    room: Room, ours: MeteredPeer, open_page: OpenPage
) -> None:
    page = await open_page()
    page_id = await join_page(page, room, send=CAMERA)
    await ours.join(room.channel, media="none")
    await page_event(page, "peer_joined", peer=ours.peer_id)

    channel = member(ours, page_id).create_data_channel("chat")
    heard: asyncio.Queue[str] = asyncio.Queue()
    channel.on("message", heard.put_nowait)
    await page.wait_for(
        """
        const remote = remotes.get(arg);
        if (!globalThis.echo) {
          globalThis.echo = true;
          remote.pc.addEventListener("datachannel", ({ channel }) => {
            channel.onmessage = ({ data }) => channel.send(`page: ${data}`);
          });
        }
        return true;
        """,
        ours.peer_id,
    )
    async with asyncio.timeout(PATIENCE_S):
        while channel.readyState != "open":
            await asyncio.sleep(0.05)
        channel.send("hello")
        assert await heard.get() == "page: hello"
    found = await page_has(page, ours.peer_id, "inactive")
    assert sum(found["sent"]) == 0


async def test_the_official_package_does_not_send_to_who_joined_to_send(
    room: Room, ours: MeteredPeer, run_program: RunProgram
) -> None:
    tracks: list[Track] = []
    ours.on(PeerJoined, lambda event: event.peer.on(Track, tracks.append))
    ours.add_track(SmallPictures(YARD))
    await ours.join(room.channel, media="send")
    python = await run_program("peer", "official", video=True, audio=True)
    python_id = (await python.event("ready"))["peer"]

    await frames(python, ours.peer_id, YARD, count=30)
    stats = await member(ours, python_id).stats()
    assert stats.state == "connected"
    assert stats.packets_received < 30  # reports and checks; sound alone would be fifty packets a second
    assert tracks == []
