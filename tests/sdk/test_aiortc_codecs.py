"""H.265 in the negotiation of our connections, and in that of nobody else: the contract with aiortc's tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.rtp import RtcpRtpfbPacket

from metered_realtime import aiortc_adapter as adapter
from metered_realtime.aiortc_adapter import PeerConnection
from metered_realtime.aiortc_codecs import UnsupportedCodecError, agreed_codecs, codec_preferences
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_choice import EncodedVideoChoice
from metered_realtime.media.h264_payload import Depacketizer
from metered_realtime.media.h265_payload import H265Depacketizer
from metered_realtime.media.source import SenderTrack
from metered_realtime.sdp_rewrite import pin_numbers
from tests.sdk.media.h265_samples import encoded
from tests.sdk.media.pictures import solid
from tests.sdk.pcs import connected, exchange, mids, until
from tests.sdk.test_aiortc_sender import units

H264, H265 = "video/H264", "video/H265"
RED, BLUE = (200, 30, 30), (30, 30, 200)
# As Chrome 144 writes them on a machine with a decoder.
CHROME = """a=rtpmap:{0} H265/90000\r
a=rtcp-fb:{0} goog-remb\r
a=rtcp-fb:{0} transport-cc\r
a=rtcp-fb:{0} ccm fir\r
a=rtcp-fb:{0} nack\r
a=rtcp-fb:{0} nack pli\r
a=fmtp:{0} level-id=180;profile-id={2};tier-flag=0;tx-mode=SRST\r
a=rtpmap:{1} rtx/90000\r
a=fmtp:{1} apt={0}\r
"""


@pytest.fixture
async def pc() -> PeerConnection:
    return adapter.open_connection([])


def sender_of(pc: PeerConnection, *mime_types: str) -> tuple[Any, SenderTrack]:
    track = SenderTrack("video")
    return adapter.add_sender(pc, track, mime_types[0], mime_types[1:]), track


def codecs_in(sdp: str) -> list[str]:
    return [line.split()[1] for line in sdp.splitlines() if line.startswith("a=rtpmap:")]


def answer_of_chrome(offer: str, *lines: str) -> str:
    """Return an answer that takes the first section with these codecs."""
    numbers = " ".join(line.partition(":")[2].split()[0] for line in "".join(lines).split("\r\n") if "rtpmap" in line)
    kept = [line for line in offer.split("\r\n") if line and not line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb"))]
    text = "\r\n".join(kept).replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
    text = "\r\n".join(
        f"m=video 9 UDP/TLS/RTP/SAVPF {numbers}" if line.startswith("m=video") else line for line in text.split("\r\n")
    )
    return f"{text}\r\n{''.join(lines)}"


async def test_a_section_that_asks_for_it_offers_it_as_rfc_7798_wants(pc: PeerConnection) -> None:
    sender_of(pc, H265)
    sdp = (await pc.createOffer()).sdp
    assert codecs_in(sdp) == ["H265/90000", "rtx/90000"]
    assert "a=fmtp:103 level-id=153;profile-id=1;tier-flag=0;tx-mode=SRST\r\n" in sdp
    assert "a=fmtp:104 apt=103\r\n" in sdp
    await pc.close()


def test_preferences_restrict_to_one_codec_and_its_repair() -> None:
    codecs = {codec.mimeType for codec in codec_preferences("video", "video/h264")}
    assert codecs == {H264, "video/rtx"}
    assert codec_preferences("video", None) == []
    with pytest.raises(UnsupportedCodecError, match="video/AV1"):
        codec_preferences("video", "video/AV1")


async def test_the_order_of_the_offer_is_ours(pc: PeerConnection) -> None:
    sender_of(pc, H264, H265)
    assert codecs_in((await pc.createOffer()).sdp) == [*["H264/90000", "rtx/90000"] * 2, "H265/90000", "rtx/90000"]
    await pc.close()


async def test_whoever_does_not_ask_for_it_neither_offers_nor_takes_it(pc: PeerConnection) -> None:
    adapter.add_receiver(pc, "video")
    assert "H265" not in (await pc.createOffer()).sdp
    answerer, stranger = adapter.open_connection([]), RTCPeerConnection()
    stranger.addTransceiver("video")
    assert "H265" not in (await stranger.createOffer()).sdp
    assert all("H265" not in codec.mimeType for codec in RTCRtpSender.getCapabilities("video").codecs)
    other = adapter.open_connection([])
    sender_of(other, H264, H265)
    await other.setLocalDescription(await other.createOffer())
    await answerer.setRemoteDescription(other.localDescription)
    assert "H265" not in (await answerer.createAnswer()).sdp
    for each in (pc, answerer, stranger, other):
        await each.close()


async def test_the_other_side_may_know_it_by_a_number_below_64_and_at_another_level(pc: PeerConnection) -> None:
    transceiver, _ = sender_of(pc, H264, H265)
    await pc.setLocalDescription(await pc.createOffer())
    answer = answer_of_chrome(pc.localDescription.sdp, CHROME.format(51, 52, 2), CHROME.format(49, 50, 1))
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    assert agreed_codecs(transceiver) == {H265: (49, 50)}
    await pc.close()


@pytest.mark.parametrize("parameters", ["profile-id=2", "tier-flag=1;profile-id=1", "tx-mode=MRST"])
async def test_another_profile_tier_or_mode_is_another_codec(pc: PeerConnection, parameters: str) -> None:
    transceiver, _ = sender_of(pc, H264, H265)
    await pc.setLocalDescription(await pc.createOffer())
    h264 = "a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1;profile-level-id=42001f\r\n"
    h265 = f"a=rtpmap:49 H265/90000\r\na=fmtp:49 {parameters}\r\n"
    answer = answer_of_chrome(pc.localDescription.sdp, h264, h265)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    assert agreed_codecs(transceiver) == {H264: (99, None)}
    await pc.close()


async def test_what_is_left_out_has_the_meaning_of_the_rfc(pc: PeerConnection) -> None:
    transceiver, _ = sender_of(pc, H265)
    await pc.setLocalDescription(await pc.createOffer())
    answer = answer_of_chrome(pc.localDescription.sdp, "a=rtpmap:103 H265/90000\r\n")
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    assert agreed_codecs(transceiver) == {H265: (103, None)}
    await pc.close()


async def test_a_later_offer_keeps_the_numbers_of_the_same_profile(pc: PeerConnection) -> None:
    sender_of(pc, H265)
    offer = (await pc.createOffer()).sdp
    earlier = f"m=video 9 UDP/TLS/RTP/SAVPF 51 52 49 50\r\n{CHROME.format(51, 52, 2)}{CHROME.format(49, 50, 1)}"
    pinned = pin_numbers(offer, [earlier])
    assert "a=rtpmap:49 H265/90000" in pinned
    assert "a=fmtp:50 apt=49" in pinned
    assert "51" not in pinned.split("m=video")[1].split("\r\n")[0].split()
    await pc.close()


async def test_an_offer_under_way_leaves_what_was_agreed_to_a_sender_that_starts_meanwhile(pc: PeerConnection) -> None:
    transceiver, _ = sender_of(pc, H264, H265)
    await pc.setLocalDescription(await pc.createOffer())
    h264 = "a=rtpmap:120 H264/90000\r\na=fmtp:120 packetization-mode=1;profile-level-id=42001f\r\n"
    answer = answer_of_chrome(pc.localDescription.sdp, h264)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    extensions = transceiver._headerExtensions
    pc.addTransceiver("video")
    offer = await pc.createOffer()
    assert codecs_in(offer.sdp).count("H265/90000") == 1
    assert agreed_codecs(transceiver) == {H264: (120, None)}
    assert transceiver._headerExtensions is extensions
    await pc.setLocalDescription(offer)
    assert agreed_codecs(transceiver) == {H264: (120, None)}
    await pc.close()


async def test_beside_a_browser_that_has_used_up_the_numbers_it_gets_others(pc: PeerConnection) -> None:
    sender_of(pc, H264, H265)
    offer = (await pc.createOffer()).sdp
    used = "".join(f"a=rtpmap:{number} X{number}/90000\r\n" for number in range(96, 128))
    pinned = pin_numbers(offer, [f"m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{used}"])
    numbers = [int(number) for number in pinned.split("m=video")[1].split("\r\n")[0].split()[2:]]
    assert len(set(numbers)) == 6
    assert all(35 <= number < 64 for number in numbers)
    assert f"a=rtpmap:{numbers[-2]} H265/90000" in pinned
    assert f"a=fmtp:{numbers[-1]} apt={numbers[-2]}" in pinned
    await pc.close()


async def test_a_member_built_on_plain_aiortc_takes_the_h264_of_the_two(pc: PeerConnection) -> None:
    transceiver, _ = sender_of(pc, H264, H265)
    await pc.setLocalDescription(await pc.createOffer())
    stranger = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await stranger.setRemoteDescription(pc.localDescription)
    await stranger.setLocalDescription(await stranger.createAnswer())
    assert set(codecs_in(stranger.localDescription.sdp)) == {"H264/90000", "rtx/90000"}
    await pc.setRemoteDescription(stranger.localDescription)
    assert agreed_codecs(transceiver) == {H264: (99, 100)}
    for each in (pc, stranger):
        await each.close()


class Viewer:
    """The other side: takes what it is told, keeps the RTP it gets, and decodes it."""

    def __init__(self, pc: PeerConnection, taken: tuple[str, ...]) -> None:
        self.pc = pc
        self.packets: list[Any] = []
        transceiver = pc.addTransceiver("video", direction="recvonly")
        transceiver._preferred_codecs = codec_preferences("video", taken[0], taken[1:])
        transceiver.receiver._handle_rtp_packet = self._take
        adapter.bind_section(transceiver, "e1", 0)

    async def _take(self, packet: Any, arrival_time_ms: int) -> None:
        self.packets.append(packet)

    def pictures(self, payload_type: int) -> list[av.VideoFrame]:
        """Decode what came under this number."""
        is_h265 = payload_type == 103
        unpack = H265Depacketizer(max_bytes=10**6) if is_h265 else Depacketizer(max_bytes=10**6)
        decoder: Any = av.CodecContext.create("hevc" if is_h265 else "h264", "r")
        frames, nals = [], []
        for packet in sorted(self.packets, key=lambda each: each.sequence_number):
            if packet.payload_type == payload_type:
                nals += unpack.push(packet.payload)
                if packet.marker:
                    frames += decoder.decode(av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)))
                    nals = []
        return frames


class Yard:
    """A camera in both codecs; a picture of each every 10 ms."""

    def __init__(self) -> None:
        self.sources = {name: EncodedVideoSource(mime_type=name) for name in (H264, H265)}
        self.choice = EncodedVideoChoice(tuple(self.sources.values()), preferred=H265)
        self._units = {H264: units(RED, 30), H265: encoded([solid(BLUE)] * 30)}

    async def run(self) -> None:
        for number in range(10_000):
            for name, source in self.sources.items():
                unit = self._units[name][number % 30]
                source.push(AccessUnit(unit.data, number * 900, unit.is_key))
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(*taken: str) -> AsyncIterator[tuple[Yard, Viewer, Any]]:
    yard, ours, theirs = Yard(), adapter.open_connection([]), adapter.open_connection([])
    running = asyncio.create_task(yard.run())
    transceiver, track = sender_of(ours, yard.choice.mime_type, *yard.choice.also_as)
    track.switch(yard.choice.open_reader())
    viewer = Viewer(theirs, taken)
    await exchange(ours, theirs, mids())
    await connected(ours, theirs)
    await adapter.start_media(ours)
    try:
        yield yard, viewer, transceiver.sender
    finally:
        running.cancel()
        await asyncio.gather(ours.close(), theirs.close())


@pytest.mark.parametrize(("taken", "number"), [((H265, H264), 103), ((H265,), 103), ((H264,), 99)])
async def test_a_viewer_is_sent_what_it_takes(taken: tuple[str, ...], number: int) -> None:
    async with watching(*taken) as (_, viewer, _sender):
        await until(lambda: len(viewer.packets) > 20)
        assert {packet.payload_type for packet in viewer.packets} == {number}
        assert len(viewer.pictures(number)) > 10


async def test_the_codec_changes_within_one_stream_and_both_are_repaired() -> None:
    async with watching(H264, H265) as (yard, viewer, sender):
        await until(lambda: len(viewer.packets) > 20)
        yard.choice.prefer(H264)
        await until(lambda: sum(packet.payload_type == 99 for packet in viewer.packets) > 20)
        assert len(viewer.pictures(103)) > 10
        assert len(viewer.pictures(99)) > 10
        assert len({packet.ssrc for packet in viewer.packets}) == 1
        in_order = sorted(viewer.packets, key=lambda each: each.sequence_number)
        numbers = [packet.sequence_number for packet in in_order]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        turn = next(place for place, packet in enumerate(in_order) if packet.payload_type == 99)
        assert 0 < (in_order[turn].timestamp - in_order[turn - 1].timestamp) % 2**32 < 90_000
        for lost, repair in ((in_order[turn - 1], 104), (in_order[turn], 100)):
            nack = RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=sender._ssrc, lost=[lost.sequence_number])
            await sender._handle_rtcp_packet(nack)
            await until(lambda repair=repair: any(each.payload_type == repair for each in viewer.packets))
