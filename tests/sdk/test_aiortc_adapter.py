"""The contract with aiortc: every private name, and what is built on them, between two real peer connections."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import aioice.ice
import pytest
from aiortc import RTCPeerConnection

from metered_realtime import aiortc_adapter as adapter
from metered_realtime.description import read_description
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.media.source import SenderTrack


@pytest.fixture
async def pair() -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    both = adapter.open_connection([]), adapter.open_connection([])
    yield both
    await asyncio.gather(*(pc.close() for pc in both))


def mids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"e{next(numbers)}"


def sending(pc: RTCPeerConnection, kind: str = "video", mime_type: str | None = None) -> Any:
    return adapter.add_sender(pc, SenderTrack(kind), mime_type)


async def connected(*pcs: RTCPeerConnection) -> None:
    async with asyncio.timeout(10):
        while any(pc.connectionState != "connected" for pc in pcs):
            await asyncio.sleep(0.01)


async def closed(pc: RTCPeerConnection) -> None:
    """Wait until aiortc has closed the connection by itself."""
    async with asyncio.timeout(10):
        while pc.connectionState != "closed":
            await asyncio.sleep(0.01)


async def exchange(offerer: RTCPeerConnection, answerer: RTCPeerConnection, new_mid: Callable[[], str]) -> str:
    made = await adapter.make_offer(offerer, new_mid=new_mid)
    await adapter.apply_offer(answerer, made.sdp)
    answer = await adapter.make_answer(answerer, made.sdp)
    await adapter.apply_answer(offerer, answer)
    return made.sdp


async def test_every_private_name_is_there(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    pc, _ = pair
    transceiver = sending(pc)
    adapter.require_channel_section(pc)
    mangled = (
        "createSctpTransport", "sctp_mline_index", "pendingLocalDescription", "setSignalingState", "connect",
    )  # fmt: skip
    for name in mangled:
        assert hasattr(pc, f"_RTCPeerConnection__{name}"), name
    for name in ("_set_mid", "_set_mline_index", "_get_mline_index", "_offerDirection", "_codecs", "_headerExtensions"):
        assert hasattr(transceiver, name), name
    for name in ("_stream_id", "_track_id"):
        assert hasattr(transceiver.sender, name), name
    ice = adapter.ice_transport(pc)
    assert hasattr(ice, "_role_set")
    assert hasattr(transceiver.receiver.transport, "_ssl")
    assert hasattr(ice._connection, "ice_controlling")
    assert hasattr(transceiver, "_bundled")
    assert hasattr(pc.sctp, "_bundled")


async def test_no_servers_means_none_and_a_bad_address_costs_only_itself() -> None:
    pc = adapter.open_connection([])
    sending(pc)
    assert adapter.ice_transport(pc)._connection.stun_server is None
    await pc.close()
    servers = [IceServerConfig("turn:[broken"), IceServerConfig("stun:192.0.2.1:3478")]
    pc = adapter.open_connection(servers)
    sending(pc)
    assert adapter.ice_transport(pc)._connection.stun_server == ("192.0.2.1", 3478)
    await pc.close()


def test_preferences_restrict_to_one_codec_and_its_repair() -> None:
    codecs = {codec.mimeType for codec in adapter.codec_preferences("video", "video/h264")}
    assert codecs == {"video/H264", "video/rtx"}
    assert adapter.codec_preferences("video", None) == []
    with pytest.raises(adapter.UnsupportedCodecError, match="video/H265"):
        adapter.codec_preferences("video", "video/H265")


async def test_offers_have_our_mids_our_ids_and_one_transport(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    pc, _ = pair
    adapter.set_msid(sending(pc).sender, "stream", "track")
    adapter.set_msid(sending(pc, "audio").sender, None, "sound")
    made = await adapter.make_offer(pc, new_mid=mids())
    facts = read_description(made.sdp)
    assert facts.layout == (("video", "e1"), ("audio", "e2"))
    assert [section.direction for section in facts.sections] == ["sendonly", "sendonly"]
    assert (facts.sections[0].stream_id, facts.sections[0].track_id) == ("stream", "track")
    assert facts.sections[1].track_id == "sound"
    ports = {line.split(" ")[1] for line in made.sdp.splitlines() if line.startswith("m=")}
    assert len(ports) == 1


async def test_an_offer_that_is_taken_back_leaves_no_trace(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    new_mid = mids()
    transceiver = sending(ours)
    ours.createDataChannel("x")
    made = await adapter.make_offer(ours, new_mid=new_mid)
    adapter.take_back(ours, made)
    assert ours.signalingState == "stable"
    assert adapter.local_sdp(ours) == ""
    assert transceiver.mid is None
    assert adapter.channel_needs_offer(ours)

    # The other side's offer is answered without our section, which is offered next; both connect.
    sending(theirs, "audio")
    await exchange(theirs, ours, new_mid)
    assert [section.kind for section in read_description(adapter.local_sdp(ours)).sections] == ["audio"]
    sdp = await exchange(ours, theirs, new_mid)
    assert [section.kind for section in read_description(sdp).sections] == ["audio", "video", "application"]
    await connected(ours, theirs)


async def test_a_channel_can_be_left_out_of_an_offer(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    pc, _ = pair
    sending(pc)
    pc.createDataChannel("x")
    made = await adapter.make_offer(pc, new_mid=mids(), with_channel=False)
    assert read_description(made.sdp).channel_mid is None
    assert adapter.channel_needs_offer(pc)


async def test_a_channel_section_takes_the_mid_it_is_given(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    sending(ours)
    new_mid = mids()
    await exchange(ours, theirs, new_mid)
    made = await adapter.make_offer(ours, new_mid=new_mid, channel_mid="0")
    assert read_description(made.sdp).layout == (("video", "e1"), ("application", "0"))


async def test_a_channel_of_our_own_counts_like_a_browser(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    numbers = itertools.count()
    sending(theirs, "audio")
    await exchange(theirs, ours, lambda: str(next(numbers)))
    ours.createDataChannel("x")
    made = await adapter.make_offer(ours, new_mid=mids())
    assert read_description(made.sdp).channel_mid == "1"


async def test_a_new_connection_offers_the_sections_of_the_one_before(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    pc, _ = pair
    adapter.require_channel_section(pc)
    adapter.add_receiver(pc, "audio")
    sending(pc)
    sending(pc)
    layout = (("application", "0"), ("audio", "1"), ("video", "e1"))
    made = await adapter.make_offer(pc, new_mid=lambda: "e9", layout=layout)
    assert read_description(made.sdp).layout == (*layout, ("video", "e9"))
    assert [each.mid for each in pc.getTransceivers()] == ["1", "e1", "e9"]


async def test_a_bound_section_is_answered_by_the_sender_that_had_it(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    ours, theirs = pair
    adapter.add_receiver(theirs, "video")
    adapter.add_receiver(theirs, "video")
    made = await adapter.make_offer(theirs, new_mid=mids())
    transceiver = sending(ours)
    adapter.bind_section(transceiver, "e2", 1)
    await adapter.apply_offer(ours, made.sdp)
    answer = read_description(await adapter.make_answer(ours, made.sdp))
    assert [section.direction for section in answer.sections] == ["inactive", "sendonly"]


async def test_a_receiver_that_starts_late_uses_the_numbers_both_agreed_on(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    ours, theirs = pair
    sending(theirs)
    made = await adapter.make_offer(theirs, new_mid=mids())
    moved = made.sdp.replace("a=rtpmap:97 ", "a=rtpmap:120 ").replace("SAVPF 97 ", "SAVPF 120 ")
    moved = moved.replace("a=rtcp-fb:97 ", "a=rtcp-fb:120 ").replace("apt=97", "apt=120")
    await adapter.apply_offer(ours, moved)
    await adapter.make_answer(ours, moved)
    sending(ours, "audio")
    again = await adapter.make_offer(ours, new_mid=mids())
    (receiving, _) = ours.getTransceivers()
    assert receiving._codecs[0].payloadType == 120
    assert "a=rtpmap:120 VP8/90000" in again.sdp


async def test_a_rejected_section_in_an_answer_does_not_spoil_the_rest(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    ours, theirs = pair
    sending(ours, "audio")
    sending(ours)
    made = await adapter.make_offer(ours, new_mid=mids())
    await adapter.apply_offer(theirs, made.sdp)
    answer = await adapter.make_answer(theirs, made.sdp)
    head, video = answer.split("m=video")
    refused = (
        head.replace("BUNDLE e1 e2", "BUNDLE e1") + "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:e2\r\n"
    )
    assert video
    await adapter.apply_answer(ours, refused)
    assert ours.signalingState == "stable"
    await connected(ours, theirs)


async def test_what_the_offer_rejects_the_answer_rejects(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    new_mid = mids()
    sending(ours, "audio")
    sending(ours)
    await exchange(ours, theirs, new_mid)
    made = await adapter.make_offer(ours, new_mid=new_mid)
    head, rest = made.sdp.split("m=video ")
    stopped = head + "m=video 0 " + rest.partition(" ")[2]
    await adapter.apply_offer(theirs, stopped)
    answer = read_description(await adapter.make_answer(theirs, stopped))
    assert [section.is_rejected for section in answer.sections] == [False, True]


async def test_decoded_frames_go_where_they_are_wanted(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    _, theirs = pair
    got: list[Any] = []
    tracks: list[Any] = []
    theirs.on("track", tracks.append)
    sending(pair[0])
    made = await adapter.make_offer(pair[0], new_mid=mids())
    await adapter.apply_offer(theirs, made.sdp)
    adapter.receive_into(tracks[0], got.append)
    await tracks[0]._queue.put("frame")
    assert got == ["frame"]


async def test_candidates_reach_the_one_transport(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    await adapter.add_candidate(ours, "candidate:1 1 udp 1 192.0.2.7 5000 typ host")  # nowhere to put it yet
    sending(theirs)
    made = await adapter.make_offer(theirs, new_mid=mids())
    await adapter.apply_offer(ours, made.sdp)
    await adapter.add_candidate(ours, "candidate:1 1 udp 1 192.0.2.7 5000 typ host")
    assert "192.0.2.7" in [each.ip for each in adapter.ice_transport(ours).getRemoteCandidates()]


async def test_media_negotiated_while_the_connection_comes_up_is_started(
    pair: tuple[RTCPeerConnection, RTCPeerConnection],
) -> None:
    ours, theirs = pair
    new_mid = mids()
    sending(theirs, "audio")
    await exchange(theirs, ours, new_mid)
    transceiver = sending(ours)
    await exchange(ours, theirs, new_mid)
    await connected(ours, theirs)
    await adapter.start_media(ours)
    assert transceiver.sender._RTCRtpSender__started


async def test_a_goodbye_of_the_other_side_closes(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    assert adapter.connection_state(ours) == "new"
    sending(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    assert adapter.connection_state(ours) == "connected"
    await theirs.close()
    await closed(ours)
    assert adapter.connection_state(ours) == "closed"


@pytest.mark.parametrize("kind", ["video", "application"])
async def test_a_path_that_is_lost_is_no_goodbye(
    pair: tuple[RTCPeerConnection, RTCPeerConnection], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)  # or it takes 30 s to notice
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    ours, theirs = pair
    if kind == "video":
        sending(ours)
    else:
        adapter.require_channel_section(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    for protocol in adapter.ice_transport(ours)._connection._protocols:
        protocol.transport.sendto = lambda *_: None
    await closed(ours)
    assert adapter.connection_state(ours) == "failed"


async def test_a_socket_that_dies_is_no_goodbye(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    ours, theirs = pair
    sending(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    (nominated,) = adapter.ice_transport(ours)._connection._nominated.values()
    nominated.protocol.transport.abort()
    await closed(ours)
    assert adapter.connection_state(ours) == "failed"


async def test_a_connection_closed_before_it_began_is_closed(pair: tuple[RTCPeerConnection, RTCPeerConnection]) -> None:
    for pc in pair:
        await pc.close()
        assert adapter.connection_state(pc) == "closed"
        assert adapter.ice_transport(pc) is None
