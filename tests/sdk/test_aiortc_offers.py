"""Offers of ours: their mids, their order, taken back without a trace, and with new ICE credentials."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from metered_realtime import aiortc_adapter as adapter
from metered_realtime import aiortc_offers as offers
from metered_realtime.description import read_description
from tests.sdk.pcs import Pair, connected, exchange, mids, sending


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    both = adapter.open_connection([]), adapter.open_connection([])
    yield both
    await asyncio.gather(*(pc.close() for pc in both))


async def test_offers_have_our_mids_our_ids_and_one_transport(
    pair: Pair,
) -> None:
    pc, _ = pair
    adapter.set_msid(sending(pc).sender, "stream", "track")
    adapter.set_msid(sending(pc, "audio").sender, None, "sound")
    made = await offers.make_offer(pc, new_mid=mids())
    facts = read_description(made.sdp)
    assert facts.layout == (("video", "e1"), ("audio", "e2"))
    assert [section.direction for section in facts.sections] == ["sendonly", "sendonly"]
    assert (facts.sections[0].stream_id, facts.sections[0].track_id) == ("stream", "track")
    assert facts.sections[1].track_id == "sound"
    ports = {line.split(" ")[1] for line in made.sdp.splitlines() if line.startswith("m=")}
    assert len(ports) == 1


async def test_an_offer_that_is_taken_back_leaves_no_trace(pair: Pair) -> None:
    ours, theirs = pair
    new_mid = mids()
    transceiver = sending(ours)
    ours.createDataChannel("x")
    made = await offers.make_offer(ours, new_mid=new_mid)
    offers.take_back(ours, made)
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


async def test_a_channel_can_be_left_out_of_an_offer(pair: Pair) -> None:
    pc, _ = pair
    sending(pc)
    pc.createDataChannel("x")
    made = await offers.make_offer(pc, new_mid=mids(), with_channel=False)
    assert read_description(made.sdp).channel_mid is None
    assert adapter.channel_needs_offer(pc)


async def test_a_channel_section_takes_the_mid_it_is_given(pair: Pair) -> None:
    ours, theirs = pair
    sending(ours)
    new_mid = mids()
    await exchange(ours, theirs, new_mid)
    made = await offers.make_offer(ours, new_mid=new_mid, channel_mid="0")
    assert read_description(made.sdp).layout == (("video", "e1"), ("application", "0"))


async def test_a_channel_of_our_own_counts_like_a_browser(pair: Pair) -> None:
    ours, theirs = pair
    numbers = itertools.count()
    sending(theirs, "audio")
    await exchange(theirs, ours, lambda: str(next(numbers)))
    ours.createDataChannel("x")
    made = await offers.make_offer(ours, new_mid=mids())
    assert read_description(made.sdp).channel_mid == "1"


async def test_a_new_connection_offers_the_sections_of_the_one_before(
    pair: Pair,
) -> None:
    pc, _ = pair
    adapter.require_channel_section(pc)
    adapter.add_receiver(pc, "audio")
    sending(pc)
    sending(pc)
    layout = (("application", "0"), ("audio", "1"), ("video", "e1"))
    made = await offers.make_offer(pc, new_mid=lambda: "e9", layout=layout)
    assert read_description(made.sdp).layout == (*layout, ("video", "e9"))
    assert [each.mid for each in pc.getTransceivers()] == ["1", "e1", "e9"]


async def test_a_receiver_that_starts_late_uses_the_numbers_both_agreed_on(
    pair: Pair,
) -> None:
    ours, theirs = pair
    sending(theirs)
    made = await offers.make_offer(theirs, new_mid=mids())
    moved = made.sdp.replace("a=rtpmap:97 ", "a=rtpmap:120 ").replace("SAVPF 97 ", "SAVPF 120 ")
    moved = moved.replace("a=rtcp-fb:97 ", "a=rtcp-fb:120 ").replace("apt=97", "apt=120")
    await adapter.apply_offer(ours, moved)
    await adapter.make_answer(ours, moved)
    sending(ours, "audio")
    again = await offers.make_offer(ours, new_mid=mids())
    (receiving, _) = ours.getTransceivers()
    assert receiving._codecs[0].payloadType == 120
    assert "a=rtpmap:120 VP8/90000" in again.sdp


async def test_an_offer_for_a_restart_has_new_credentials_until_it_is_taken_back(pair: Pair) -> None:
    ours, theirs = pair
    new_mid = mids()
    sending(ours)
    await exchange(ours, theirs, new_mid)
    await connected(ours, theirs)
    before = read_description(adapter.local_sdp(ours))
    made = await offers.make_offer(ours, new_mid=new_mid, restart=())
    assert read_description(made.sdp).is_restart_of(before)
    assert "a=candidate:" in made.sdp
    offers.take_back(ours, made)
    again = await offers.make_offer(ours, new_mid=new_mid)
    assert read_description(again.sdp).is_same_session(before)


async def test_every_private_name_is_there(pair: Pair) -> None:
    pc, _ = pair
    transceiver = sending(pc)
    adapter.require_channel_section(pc)
    for name in ("sctp_mline_index", "pendingLocalDescription", "setSignalingState"):
        assert hasattr(pc, f"_RTCPeerConnection__{name}"), name
    for name in ("_set_mid", "_set_mline_index", "_get_mline_index", "_codecs", "_headerExtensions"):
        assert hasattr(transceiver, name), name
    ice = adapter.ice_transport(pc)
    assert hasattr(ice, "_role_set")
    assert hasattr(ice._connection, "ice_controlling")
