"""The contract with aiortc: every private name, and what is built on them, between two real peer connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metered_realtime import aiortc_adapter as adapter
from metered_realtime import aiortc_offers as offers
from metered_realtime.description import read_description
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.media.received_gate import DecoderGate
from tests.sdk.pcs import Pair, closed, connected, cut_the_path, exchange, hurried_consent, mids, sending, until


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    both = adapter.open_connection([]), adapter.open_connection([])
    yield both
    await asyncio.gather(*(pc.close() for pc in both))


async def test_every_private_name_is_there(pair: Pair) -> None:
    pc, _ = pair
    transceiver = sending(pc)
    adapter.require_channel_section(pc)
    mangled = (
        "createSctpTransport", "createDtlsTransport", "createTransceiver", "sctp_mline_index",
        "pendingLocalDescription", "setSignalingState", "connect",
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
    for name in ("_connection", "_recv", "_send"):
        assert hasattr(ice, name), name
    assert ice.iceGatherer._connection is ice._connection is pc.ice
    assert hasattr(transceiver, "_bundled")
    assert hasattr(pc.sctp, "_bundled")


async def test_aiortc_shows_descriptions_without_their_passwords(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="aiortc.rtcpeerconnection")
    sending(pair[0])
    await exchange(*pair, mids())
    shown = [each.getMessage() for each in caplog.records if "Description(" in each.getMessage()]
    assert [text.partition("\n")[0].rpartition(" ")[2] for text in shown] == [
        "setLocalDescription(offer)", "setRemoteDescription(offer)",
        "setLocalDescription(answer)", "setRemoteDescription(answer)",
    ]  # fmt: skip
    for pc in pair:
        assert pc.ice is not None
        assert not any(pc.ice.local_password in text for text in shown)
    assert all("a=ice-pwd:***" in text for text in shown)


async def test_a_bound_section_is_answered_by_the_sender_that_had_it(
    pair: Pair,
) -> None:
    ours, theirs = pair
    adapter.add_receiver(theirs, "video")
    adapter.add_receiver(theirs, "video")
    made = await offers.make_offer(theirs, new_mid=mids())
    transceiver = sending(ours)
    adapter.bind_section(transceiver, "e2", 1)
    await adapter.apply_offer(ours, made.sdp)
    answer = read_description(await adapter.make_answer(ours, made.sdp))
    assert [section.direction for section in answer.sections] == ["inactive", "sendonly"]


async def test_a_rejected_section_in_an_answer_does_not_spoil_the_rest(
    pair: Pair,
) -> None:
    ours, theirs = pair
    sending(ours, "audio")
    sending(ours)
    made = await offers.make_offer(ours, new_mid=mids())
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


async def test_what_the_offer_rejects_the_answer_rejects(pair: Pair) -> None:
    ours, theirs = pair
    new_mid = mids()
    sending(ours, "audio")
    sending(ours)
    await exchange(ours, theirs, new_mid)
    made = await offers.make_offer(ours, new_mid=new_mid)
    head, rest = made.sdp.split("m=video ")
    stopped = head + "m=video 0 " + rest.partition(" ")[2]
    await adapter.apply_offer(theirs, stopped)
    answer = read_description(await adapter.make_answer(theirs, stopped))
    assert [section.is_rejected for section in answer.sections] == [False, True]


async def test_decoded_frames_go_where_they_are_wanted(pair: Pair) -> None:
    _, theirs = pair
    got: list[Any] = []
    tracks: list[Any] = []
    theirs.on("track", tracks.append)
    sending(pair[0])
    made = await offers.make_offer(pair[0], new_mid=mids())
    await adapter.apply_offer(theirs, made.sdp)
    (receiver,) = [each.receiver for each in theirs.getTransceivers()]
    gate = DecoderGate("video", want_key_frame=lambda: None)
    adapter.receive_into(receiver, got.append, gate)
    await tracks[0]._queue.put("frame")
    assert got == ["frame"]
    assert receiver._RTCRtpReceiver__decoder_queue is gate
    adapter.request_key_frame(receiver)
    assert receiver._RTCRtpReceiver__decoder_error.is_set()


async def test_candidates_reach_the_one_transport(pair: Pair) -> None:
    ours, theirs = pair
    await adapter.add_candidate(ours, "candidate:1 1 udp 1 192.0.2.7 5000 typ host")  # nowhere to put it yet
    sending(theirs)
    made = await offers.make_offer(theirs, new_mid=mids())
    await adapter.apply_offer(ours, made.sdp)
    await adapter.add_candidate(ours, "candidate:1 1 udp 1 192.0.2.7 5000 typ host")
    assert "192.0.2.7" in [each.ip for each in adapter.ice_transport(ours).getRemoteCandidates()]


async def test_media_negotiated_while_the_connection_comes_up_is_started(
    pair: Pair,
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


async def test_a_goodbye_of_the_other_side_closes(pair: Pair) -> None:
    ours, theirs = pair
    assert adapter.connection_state(ours) == "new"
    sending(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    assert adapter.connection_state(ours) == "connected"
    await theirs.close()
    await closed(ours)
    assert adapter.connection_state(ours) == "closed"


async def test_a_path_that_is_lost_is_told_and_the_connection_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried_consent(monkeypatch)
    told: list[bool] = []
    ours, theirs = adapter.open_connection([], on_path=told.append), adapter.open_connection([])
    sending(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    assert set(told) == {True}
    heal = cut_the_path(ours)
    await until(lambda: told[-1] is False)
    assert adapter.connection_state(ours) == "connected"
    heal()
    await until(lambda: told[-1])
    await asyncio.gather(ours.close(), theirs.close())


async def test_a_transport_that_dies_is_no_goodbye(pair: Pair) -> None:
    ours, theirs = pair
    sending(ours)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    await adapter.ice_transport(ours)._connection.close()
    await closed(ours)
    assert adapter.connection_state(ours) == "failed"


async def test_a_restart_keeps_the_keys_and_what_goes_over_them(pair: Pair) -> None:
    ours, theirs = pair
    channel = ours.createDataChannel("x")
    heard: list[str] = []
    theirs.on("datachannel", lambda opened: opened.on("message", heard.append))
    new_mid = mids()
    await exchange(ours, theirs, new_mid)
    await connected(ours, theirs)
    await until(lambda: channel.readyState == "open")
    before = read_description(adapter.local_sdp(ours)), read_description(adapter.local_sdp(theirs))
    made = await offers.make_offer(ours, new_mid=new_mid, restart=())
    await adapter.begin_restart(theirs, ())
    await adapter.follow_restart(theirs, made.sdp)
    await adapter.apply_offer(theirs, made.sdp)
    answer = await adapter.make_answer(theirs, made.sdp)
    channel.send("while it restarts")
    await adapter.follow_restart(ours, answer)
    await adapter.apply_answer(ours, answer)
    after = read_description(made.sdp), read_description(answer)
    for one, other in zip(before, after, strict=True):
        assert other.is_restart_of(one)
        assert other.trickles
    await until(lambda: not ours.ice.is_restarting and not theirs.ice.is_restarting)
    channel.send("on the new path")
    await until(lambda: heard == ["while it restarts", "on the new path"])
    assert ours.connectionState == theirs.connectionState == "connected"


async def test_candidates_are_told_as_text() -> None:
    told: list[str | None] = []
    server = IceServerConfig("turn:127.0.0.1:9?transport=tcp", "user", "secret")
    pc = adapter.open_connection([server], on_candidate=told.append)
    assert adapter.local_ufrag(pc) == ""
    await adapter.begin_restart(pc, [])
    adapter.undo_restart(pc)
    await adapter.follow_restart(pc, "")  # nothing to restart yet, and nothing happens
    sending(pc)
    made = await offers.make_offer(pc, new_mid=mids())
    assert read_description(made.sdp).ufrag == adapter.local_ufrag(pc)
    assert "a=candidate:" in made.sdp
    assert "end-of-candidates" not in made.sdp
    await until(lambda: told == [None])
    await pc.close()


async def test_a_connection_closed_before_it_began_is_closed(pair: Pair) -> None:
    for pc in pair:
        await pc.close()
        assert adapter.connection_state(pc) == "closed"
        assert adapter.ice_transport(pc) is None
