"""Defects of the official SDK that take a browser to show (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from metered_realtime import events
from metered_realtime.streams import MediaStream
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage
from tests.sdk.defects.room import Member, Road, Room, plain_room, token
from tests.sdk.wired import SmallPictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The page joins under an id of the test's choosing, and opens a data channel to whoever comes.
JOIN = """
    const peer = (globalThis.peer = new sdk.MeteredPeer({ url: arg.url, tokenProvider: async () => arg.token }));
    globalThis.channels = [];
    globalThis.heard = [];
    const openChannel = (remote) => {
        const channel = remote.pc.createDataChannel("talk");
        channel.onmessage = ({ data }) => heard.push(data);
        channels.push(channel);
    };
    peer.on("peer-joined", ({ peer: remote }) => {
        remotes.set(remote.id, remote);
        remote.on("stream-added", ({ stream }) => {
            const video = document.createElement("video");
            video.muted = video.autoplay = true;
            video.srcObject = stream;
            document.body.append(video);
            say("stream_added", { peer: remote.id, stream: stream.id });
        });
        openChannel(remote);
    });
    await peer.join(arg.channel);
"""
DECODED = """
    const { video } = await inbound(arg.peer);
    return video?.frames >= arg.frames && video.frames;
"""


@pytest_asyncio.fixture(loop_scope="session")
async def plain() -> AsyncIterator[Room]:
    async with plain_room() as room:
        yield room


async def join(page: Page, room: Room, peer_id: str) -> Road:
    road = await room.road()
    await page.evaluate(JOIN, {"url": road.url, "token": token(peer_id), "channel": room.channel})
    return road


async def more_pictures(page: Page, sender: str, count: int = 25) -> None:
    """Wait until the page has decoded so many more than by now."""
    wanted = {"peer": sender, "frames": 1}
    now = await page.wait_for(DECODED, wanted, timeout_s=20)
    await page.wait_for(DECODED, {**wanted, "frames": now + count}, timeout_s=20)


async def echo(page: Page, member: Member, number: int, text: str) -> None:
    """The page's channel number `number` is open, and carries both ways."""
    opened = await member.told_of(events.DataChannelOpened, number)
    opened.channel.on("message", opened.channel.send)
    await page.wait_for("return channels[arg]?.readyState === 'open'", number)
    await page.evaluate("channels[arg.number].send(arg.text)", {"number": number, "text": text})
    await page.wait_for("return heard.includes(arg)", text)


def offers(*roads: Road) -> int:
    return sum(description["type"] == "offer" for road in roads for description in road.descriptions)


async def test_15_a_browser_that_opens_a_channel_while_we_offer_media_does_not_offer_for_ever(
    plain: Room, open_page: OpenPage
) -> None:
    page = await open_page()
    road = await join(page, plain, "a-page")
    member = await plain.member("b-python")  # impolite
    member.road.extra_latency_s = road.extra_latency_s = 0.075  # so that the two offers cross for certain
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await member.peer.join(plain.channel)

    await echo(page, member, 0, "hello")
    await more_pictures(page, "b-python")
    settled = offers(road, member.road)
    await more_pictures(page, "b-python", 30)  # a second, in which there were 70 offers
    assert offers(road, member.road) == settled <= 6
    assert await page.evaluate("return remotes.get('b-python').pc.signalingState") == "stable"
    assert member.remote.state == "connected"
    assert offers(road) > 0  # the situation
