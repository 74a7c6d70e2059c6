"""Defects of the official SDK that take a browser to show (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

from typing import Any

import pytest

from metered_realtime import events, recovery
from metered_realtime.streams import MediaStream
from scripts.lib.browser import Page
from tests.interop.conftest import OpenPage
from tests.sdk.defects.room import Member, Road, Room, description_of, token, until
from tests.sdk.pcs import cut_the_path, hurried_consent
from tests.sdk.wired import SmallPictures

IN_BROWSER = pytest.mark.asyncio(loop_scope="session")

# The page joins under an id of the test's choosing, and opens a data channel to whoever comes.
JOIN = """
    const peer = (globalThis.peer = new sdk.MeteredPeer({ url: arg.url, tokenProvider: async () => arg.token }));
    globalThis.channels = [];
    globalThis.heard = [];
    globalThis.openChannel = (remote) => {
        const channel = remote.pc.createDataChannel("talk");
        channel.onmessage = ({ data }) => heard.push(data);
        channels.push(channel);
    };
    peer.on("peer-joined", ({ peer: remote }) => {
        remotes.set(remote.id, remote);
        remote.on("stream-added", ({ stream, metadata }) => {
            const video = document.createElement("video");
            video.muted = video.autoplay = true;
            video.srcObject = stream;
            document.body.append(video);
            say("stream_added", { peer: remote.id, stream: stream.id, metadata });
        });
        remote.on("negotiation-error", ({ err }) => say("negotiation_error", { text: String(err) }));
        if (arg.opensChannel) openChannel(remote);
    });
    if (arg.send) {
        globalThis.camera = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
        peer.addStream(camera, arg.metadata);
    }
    await peer.join(arg.channel);
"""
SEND = """
    globalThis.camera = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
    peer.addStream(camera, arg);
"""
DECODED = """
    const { video } = await inbound(arg.peer);
    return video?.frames >= arg.frames && video.frames;
"""


async def join(page: Page, room: Room, peer_id: str, **options: Any) -> Road:
    road = await room.road()
    arg = {"url": road.url, "token": token(peer_id), "channel": room.channel, **options}
    await page.evaluate(JOIN, arg)
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


@IN_BROWSER
@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
@pytest.mark.parametrize("cure", ["restart", "rebuild", "new connection"])
async def test_06_a_lost_path_comes_back_to_a_browser_that_opened_a_channel_first(
    plain: Room, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, python_id: str, cure: str
) -> None:
    hurried_consent(monkeypatch)
    page = await open_page()
    road = await join(page, plain, "b-page", opensChannel=True)
    member = await plain.member(python_id)
    await member.peer.join(plain.channel)
    await echo(page, member, 0, "before")  # the channel's section is the first of the session
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await more_pictures(page, python_id)
    first = road.descriptions[0]
    assert (first["type"], "m=video" in first["sdp"]) == ("offer", False)

    before = member.remote.pc
    if cure == "new connection":
        await before.close()
    else:
        monkeypatch.setattr(recovery, "MAX_RESTARTS", 4 if cure == "restart" else 0)
        heal = cut_the_path(before)
        await until(lambda: member.remote.state == "reconnecting")
        if cure == "restart":
            heal()
    await until(lambda: (member.remote.pc is before) == (cure == "restart"))
    await until(lambda: member.remote.state == "connected")

    await more_pictures(page, python_id)
    assert member.all(events.NegotiationError) == []
    assert [event for event in await page.evaluate("return events") if event["event"] == "negotiation_error"] == []
    if cure != "restart":
        await page.evaluate("openChannel(remotes.get(arg))", python_id)
        await echo(page, member, 1, "after")
    else:
        await page.evaluate("channels[0].send('after')")
        await page.wait_for("return heard.includes('after')")


@IN_BROWSER
@pytest.mark.parametrize("latency_s", [0.0, 0.075])
async def test_15_a_browser_that_opens_a_channel_while_we_offer_media_does_not_offer_for_ever(
    plain: Room, open_page: OpenPage, latency_s: float
) -> None:
    page = await open_page()
    road = await join(page, plain, "a-page", opensChannel=True)
    member = await plain.member("b-python")  # impolite
    member.road.extra_latency_s = road.extra_latency_s = latency_s
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await member.peer.join(plain.channel)

    await echo(page, member, 0, "hello")
    await more_pictures(page, "b-python")
    settled = offers(road, member.road)
    await more_pictures(page, "b-python", 30)  # a second, in which there were 70 offers
    assert offers(road, member.road) == settled <= 6
    assert await page.evaluate("return remotes.get('b-python').pc.signalingState") == "stable"
    assert member.remote.state == "connected"
    if latency_s:
        assert [frame for frame in road.sent if (found := description_of(frame)) and found["type"] == "offer"]


@IN_BROWSER
@pytest.mark.parametrize("python_id", ["a-python", "z-python"])
async def test_23_metadata_of_a_stream_that_a_browser_adds_again_is_found(
    plain: Room, open_page: OpenPage, python_id: str
) -> None:
    member = await plain.member(python_id)
    await member.peer.join(plain.channel)
    page = await open_page()
    metadata = {"name": "yard", "place": {"floor": 2}}
    await join(page, plain, "m-page", send=True, metadata=metadata)
    first = await member.told_of(events.StreamAdded)
    assert first.metadata == metadata
    await member.sees(320)

    for again in (1, 2):
        await page.evaluate("peer.removeStream(camera)")
        await member.told_of(events.StreamRemoved, again - 1)
        await page.evaluate("peer.addStream(camera, arg)", {**metadata, "again": again})
        added = await member.told_of(events.StreamAdded, again)
        assert (added.stream.id, added.metadata) == (first.stream.id, {**metadata, "again": again})
        assert member.all(events.Track)[-1].metadata == {**metadata, "again": again}
        await member.sees(320)


@IN_BROWSER
async def test_23_metadata_of_a_stream_that_a_browser_sends_in_a_section_of_ours_is_found(
    plain: Room, open_page: OpenPage
) -> None:
    member = await plain.member("a-python")
    member.peer.add_track(SmallPictures(64), MediaStream(id="camera"))
    await member.peer.join(plain.channel)
    page = await open_page()
    metadata = {"name": "yard"}
    road = await join(page, plain, "m-page")
    await page.wait_for("return remotes.has('a-python')")
    await more_pictures(page, "a-python")
    await page.evaluate(SEND, metadata)
    added = await member.told_of(events.StreamAdded)
    assert road.descriptions[-1]["sdp"].count("\nm=") == 1  # the section we opened
    assert added.metadata == metadata
    await member.sees(320)
