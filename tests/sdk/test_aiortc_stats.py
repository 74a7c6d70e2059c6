"""The contract with aiortc's counters: the private names are there and count what we say they count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtp import RtpPacket

from metered_realtime import aiortc_stats
from metered_realtime.aiortc_stats import CountedTrack
from metered_realtime.ice_path import SelectedPair
from metered_realtime.stats import CandidatePairStats

VP8 = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)
RTX = RTCRtpCodecParameters("video/rtx", 90_000, payloadType=98, parameters={"apt": 97})


@pytest.fixture
async def pc() -> AsyncIterator[RTCPeerConnection]:
    opened = RTCPeerConnection()
    yield opened
    await opened.close()


def packet(payload_type: int, sequence: int, ssrc: int, payload: bytes) -> RtpPacket:
    made = RtpPacket(payload_type=payload_type, sequence_number=sequence, ssrc=ssrc, timestamp=sequence * 3000)
    made.payload = payload
    return made


async def received(pc: RTCPeerConnection, *packets: RtpPacket) -> Any:
    transceiver = pc.addTransceiver("video", direction="recvonly")
    receiver = transceiver.receiver
    aiortc_stats.count_received(receiver)
    aiortc_stats.count_received(receiver)
    receiver._track = SimpleNamespace(kind="video")  # type: ignore[assignment]
    for codec in RTCRtpReceiveParameters(codecs=[VP8, RTX]).codecs:
        receiver._RTCRtpReceiver__codecs[codec.payloadType] = codec  # type: ignore[attr-defined]
    receiver._RTCRtpReceiver__rtx_ssrc[2] = 1  # type: ignore[attr-defined]
    for each in packets:
        await receiver._handle_rtp_packet(each, arrival_time_ms=0)
    sample = await aiortc_stats.sample(pc, [CountedTrack("receive", "t", transceiver)])
    return sample.tracks[0]


async def test_received_payload_is_counted_and_repairs_are_not_another_stream(pc: RTCPeerConnection) -> None:
    track = await received(
        pc,
        packet(97, 1, 1, b"\x10" + b"a" * 99),
        packet(97, 2, 1, b"\x10" + b"b" * 99),
        packet(97, 5, 1, b"\x10" + b"c" * 99),
        packet(98, 1, 2, b"\0\3\x10" + b"d" * 99),
    )
    assert (track.ssrc, track.packets, track.lost) == (1, 3, 2)
    assert track.bytes == 402
    assert (track.codec, track.kind, track.direction) == ("video/VP8", "video", "receive")
    assert track.jitter_s >= 0


async def test_before_the_first_packet_there_is_nothing(pc: RTCPeerConnection) -> None:
    track = await received(pc)
    assert (track.ssrc, track.packets, track.bytes, track.lost, track.codec) == (None, 0, 0, None, None)


async def test_a_sender_without_reports_has_counts_only(pc: RTCPeerConnection) -> None:
    transceiver = pc.addTransceiver("audio", direction="sendonly")
    sample = await aiortc_stats.sample(pc, [CountedTrack("send", "t", transceiver), CountedTrack("send", "u", None)])
    (track,) = sample.tracks
    assert (track.kind, track.track_id, track.packets, track.bytes) == ("audio", "t", 0, 0)
    assert (track.lost, track.fraction_lost, track.jitter_s, track.rtt_s) == (None, None, None, None)
    assert track.ssrc == transceiver.sender._ssrc
    assert (sample.bytes_sent, sample.packets_received) == (0, 0)


async def test_reports_about_a_sender_are_in_seconds_and_parts_of_one(pc: RTCPeerConnection) -> None:
    transceiver = pc.addTransceiver("video", direction="sendonly")
    transceiver._codecs = [VP8]
    report = SimpleNamespace(type="remote-inbound-rtp", packetsLost=-3, fractionLost=64, jitter=900, roundTripTime=0.05)
    transceiver.sender._RTCRtpSender__stats["remote"] = report  # type: ignore[attr-defined]
    (track,) = (await aiortc_stats.sample(pc, [CountedTrack("send", "t", transceiver)])).tracks
    assert (track.lost, track.fraction_lost, track.jitter_s, track.rtt_s) == (0, 0.25, 0.01, 0.05)
    assert track.codec == "video/VP8"


async def test_a_connection_for_data_alone_has_a_transport_and_an_empty_one_none(pc: RTCPeerConnection) -> None:
    assert (await aiortc_stats.sample(pc, [])).pair is None
    pc.createDataChannel("x")
    assert (await aiortc_stats.sample(pc, [])).bytes_sent == 0


async def test_what_is_not_aiortcs_own_receiver_is_left_alone() -> None:
    other = SimpleNamespace()
    aiortc_stats.count_received(other)
    assert vars(other) == {}
    assert issubclass(aiortc_stats._CountingReceiver, RTCRtpReceiver)


def test_the_chosen_path_is_told_where_ice_tells_it() -> None:
    pair = SelectedPair("host", "relay", "udp", ("10.0.0.1", 1), ("fe80::1", 2), 0.1)
    assert aiortc_stats._pair(SimpleNamespace(_connection=SimpleNamespace(selected_pair=pair))) == CandidatePairStats(
        local_type="host",
        remote_type="relay",
        protocol="udp",
        local_address="10.0.0.1:1",
        remote_address="[fe80::1]:2",
        rtt_s=0.1,
    )
    assert aiortc_stats._pair(SimpleNamespace(_connection=SimpleNamespace(selected_pair=None))) is None
    assert aiortc_stats._pair(SimpleNamespace(_connection=SimpleNamespace())) is None
