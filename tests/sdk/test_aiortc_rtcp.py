"""RTCP on its way past aiortc, between two real peer connections: the contract with its private names."""

from __future__ import annotations

import asyncio
import re
import time
from struct import pack
from typing import Any

import pytest
from aiortc.rtp import RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket, pack_remb_fci

from metered_realtime import aiortc_adapter as adapter
from metered_realtime import aiortc_offers as offers
from metered_realtime.aiortc_reports import ntp_time
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.source import SenderTrack
from tests.sdk.pcs import connected, mids, until
from tests.sdk.test_aiortc_sender import RED, Camera, picture_of, rtp_sender, watching
from tests.sdk.wired import AudioStreamTrack, End


def stand_in(end: End) -> Any:
    return rtp_sender(end)._run_rtp.__self__


async def take(end: End, *packets: Any) -> None:
    """Let these packets come in as if the other side had sent them in one datagram."""
    await rtp_sender(end).transport._handle_rtcp_data(b"".join(bytes(packet) for packet in packets))


def report(ssrc: int, *, lsr: int = 0, dlsr: int = 0, lost: int = 3) -> RtcpRrPacket:
    info = RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=64, packets_lost=lost, highest_sequence=500, jitter=900, lsr=lsr, dlsr=dlsr
    )
    return RtcpRrPacket(ssrc=1234, reports=[info])


async def test_every_private_name_is_there() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        for name in ("lsr", "rtt"):
            assert hasattr(rtp, f"_RTCRtpSender__{name}"), name
        assert rtp.transport._rtp_router.senders[rtp._ssrc] is rtp
        assert rtp.transport._handle_rtcp_data == sender.link.pc.rtcp.take


async def test_a_report_is_the_same_in_statistics_as_by_aiortc() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        name = f"remote-inbound-rtp_{id(rtp)}"
        await take(sender, report(rtp._ssrc))
        ours = (await rtp.getStats())[name]
        stand_in(sender)._last_report = None
        await rtp._handle_rtcp_packet(report(rtp._ssrc))
        theirs = (await rtp.getStats())[name]
        for field in ("type", "id", "ssrc", "kind", "transportId", "packetsLost", "jitter", "fractionLost"):
            assert getattr(ours, field) == getattr(theirs, field), field
        assert ours.packetsReceived == pytest.approx(theirs.packetsReceived, abs=50)
        assert abs((theirs.timestamp - ours.timestamp).total_seconds()) < 5


async def test_the_round_trip_is_measured_and_smoothed_as_aiortc_does() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        rtp._RTCRtpSender__rtt = None
        lsr = rtp._RTCRtpSender__lsr = (ntp_time(time.monotonic() - 1.5) >> 16) & 0xFFFFFFFF
        await take(sender, report(rtp._ssrc, lsr=lsr, dlsr=65536))
        assert rtp._RTCRtpSender__rtt == pytest.approx(0.5, abs=0.1)
        await take(sender, report(rtp._ssrc, lsr=lsr, dlsr=3 * 65536 // 2))
        assert rtp._RTCRtpSender__rtt == pytest.approx(0.85 * 0.5, abs=0.1)
        link = sender.link.remote.link
        assert link is not None
        assert link.rtt_s == rtp._RTCRtpSender__rtt


async def test_a_clock_that_is_set_between_report_and_answer_is_no_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        rtp._RTCRtpSender__rtt = None
        lsr = rtp._RTCRtpSender__lsr = (ntp_time(time.monotonic() - 1.1) >> 16) & 0xFFFFFFFF
        a_year_later = time.time() + 31_536_000
        monkeypatch.setattr(time, "time", lambda: a_year_later)
        await take(sender, report(rtp._ssrc, lsr=lsr, dlsr=65536))
        assert rtp._RTCRtpSender__rtt == pytest.approx(0.1, abs=0.1)


async def test_an_answer_that_claims_to_have_waited_longer_than_there_was_time_is_no_round_trip() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        rtp._RTCRtpSender__rtt = None
        lsr = rtp._RTCRtpSender__lsr = (ntp_time(time.monotonic()) >> 16) & 0xFFFFFFFF
        await take(sender, report(rtp._ssrc, lsr=lsr, dlsr=60 * 65536))
        assert rtp._RTCRtpSender__rtt == 0.0


async def test_nack_and_both_requests_for_a_key_frame_are_answered() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        pictures, ssrc = stand_in(sender)._pictures, rtp_sender(sender)._ssrc
        asked: list[str] = []
        stand_in(sender)._track.request_key_frame = lambda: asked.append("key")
        newest = (pictures._sequence - 1) & 0xFFFF
        await take(sender, RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc, lost=[newest]))
        assert pictures.counts.resent_packets == 1
        await take(sender, RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc))
        await take(sender, RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=pack("!IBxxx", ssrc, 1)))
        assert asked == ["key", "key"]


async def test_a_storm_of_requests_is_bounded() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        pictures, ssrc = stand_in(sender)._pictures, rtp_sender(sender)._ssrc
        newest = (pictures._sequence - 1) & 0xFFFF
        for _ in range(300):
            await take(sender, RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc, lost=[newest]))
        assert 10 <= pictures.counts.resent_packets <= 60
        assert pictures.counts.refused_resends >= 200


async def test_an_estimate_of_the_receiver_is_shown() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        fci = pack_remb_fci(3_000_000, [rtp_sender(sender)._ssrc])
        await take(sender, report(5), RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=fci))
        link = (await sender.link.remote.stats()).link
        assert link is not None
        assert link.available_bps == pytest.approx(3_000_000, rel=0.001)
        assert not link.is_thin


async def test_one_cut_short_does_not_end_the_connection() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        hostile = bytearray(bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(1000, []))))
        hostile[16] = 255
        await take(sender, hostile, b"\x81\xce\0\2\0\0\0\0\0\0\0\0", b"\x8f\xcd\0\0")
        await picture_of(viewer, RED)


async def test_reports_about_sound_go_to_aiortc() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        sender.add(AudioStreamTrack())
        await viewer.track(1)
        await sender.until(lambda: len(rtp_sender(sender).transport._rtp_router.senders) == 2)
        audio = next(each for each in sender.link.pc.getSenders() if each.kind == "audio")
        fci = pack_remb_fci(3_000_000, [audio._ssrc])
        await take(sender, report(audio._ssrc), RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=fci))
        assert (await audio.getStats())[f"remote-inbound-rtp_{id(audio)}"].packetsLost == 3


async def test_a_stream_that_ended_is_told_nothing_more() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        entrance = sender.link.pc.rtcp
        await rtp.stop()
        assert entrance._senders == {}
        before = stand_in(sender)._last_report
        await take(sender, report(rtp._ssrc))
        assert stand_in(sender)._last_report is before


TRANSPORT_WIDE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


@pytest.mark.parametrize("direction", ["recvonly", "sendrecv"])
async def test_who_offers_nothing_but_transport_wide_feedback_gets_numbers_and_is_read(direction: str) -> None:
    offerer, answerer = adapter.open_connection([]), adapter.open_connection([])
    offerer.addTransceiver("video", direction=direction)
    offer = (await offers.make_offer(offerer, new_mid=mids())).sdp
    offer = re.sub(r"a=rtcp-fb:(\d+) goog-remb", r"a=rtcp-fb:\1 transport-cc", offer)
    offer = offer.replace("a=mid:e1", f"a=extmap:4 {TRANSPORT_WIDE}\r\na=mid:e1")
    track, source = SenderTrack("video"), EncodedVideoSource()
    track.switch(source.open_reader())
    adapter.bind_section(adapter.add_sender(answerer, track, "video/H264"), "e1", 0)
    camera = asyncio.create_task(Camera(RED, source).run())
    try:
        await adapter.apply_offer(answerer, offer)
        answer = await adapter.make_answer(answerer, offer)
        assert ("transport-cc" in answer) == (TRANSPORT_WIDE in answer) == (direction == "recvonly")
        assert "goog-remb" not in answer
        if direction == "recvonly":
            await adapter.apply_answer(offerer, answer)
            await connected(offerer, answerer)
            meter = answerer.link_meter
            rtp = answerer.getSenders()[0]._run_rtp.__self__
            await until(lambda: rtp._pictures is not None and rtp._pictures.counts.packets >= 8)
            # The first packets of this transport came, 50 ms apart.
            times = b"\x00" + bytes((200,)) * 7
            body = pack("!IIHHIH", 1, 2, 0, 8, 0, 0x2008) + times
            body += bytes(-len(body) % 4)
            assert answerer.rtcp is not None
            await answerer.rtcp.take(pack("!BBH", 0x8F, 205, len(body) // 4) + body + pack("!BBH", 0x8F, 205, 0))
            link = meter.link
            assert link is not None
            assert link.available_bps is not None
    finally:
        camera.cancel()
        await asyncio.gather(offerer.close(), answerer.close())


def protected(viewer: End, *packets: Any) -> bytes:
    """Return a datagram as the viewer sends it."""
    dtls = viewer.link.pc.getTransceivers()[0].sender.transport
    return bytes(dtls._tx_srtp.protect_rtcp(b"".join(bytes(packet) for packet in packets)))


async def test_reports_about_pictures_are_taken_as_they_come() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp, entrance = rtp_sender(sender), sender.link.pc.rtcp
        received = rtp.transport._RTCDtlsTransport__rx_packets
        datagram = protected(viewer, report(rtp._ssrc, lost=77))

        assert entrance.take_early(datagram)

        assert stand_in(sender)._last_report.block.lost == 77
        assert rtp.transport._RTCDtlsTransport__rx_packets == received + 1
        stand_in(sender)._last_report = None
        assert entrance.take_early(datagram)  # a replay, which SRTP refuses (RFC 3711 section 3.3.2)
        assert stand_in(sender)._last_report is None


async def test_what_others_may_want_goes_their_way() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp, entrance = rtp_sender(sender), sender.link.pc.rtcp
        for datagram in (b"", b"\x80", b"\x80\x60" + bytes(20), b"\x16\xc9" + bytes(20)):
            assert not entrance.take_early(datagram)
        rtp.transport._rtp_router.register_sender(object(), 99)
        assert not entrance.take_early(protected(viewer, report(rtp._ssrc)))
