"""Encoded pictures past aiortc's sender, between two real peer connections: the contract with its private names."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiortc.rtp import RtcpPsfbPacket, RtcpRtpfbPacket

from metered_realtime import aiortc_adapter as adapter
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.pictures import is_near, solid
from tests.sdk.pcs import connected, exchange, mids, sending
from tests.sdk.wired import End, SmallPictures, wired

RED, BLUE = (200, 30, 30), (30, 30, 200)


def units(rgb: tuple[int, int, int], count: int, start: int = 0) -> list[AccessUnit]:
    """Return pictures of one colour, the first a key frame."""
    encoder = VideoEncoder(EncoderSettings(fps=30))
    frame = solid(rgb)
    return [
        unit
        for number in range(count)
        for unit in encoder.encode(frame, (start + number) * 3000, force_key=number == 0)
    ]


class Camera:
    """A source with a picture every 20 ms until the end."""

    def __init__(self, rgb: tuple[int, int, int], source: EncodedVideoSource | None = None) -> None:
        self.source = source if source is not None else EncodedVideoSource()
        self._units = units(rgb, 50)
        self.pushed: list[AccessUnit] = []

    async def run(self) -> None:
        for number in itertools.count():
            unit = self._units[number % len(self._units)]
            self.pushed.append(AccessUnit(unit.data, number * 1800, unit.is_key))
            self.source.push(self.pushed[-1])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(*cameras: Camera) -> AsyncIterator[tuple[End, End]]:
    """The first camera runs and is sent to the other end."""
    async with wired() as (sender, viewer, _):
        running = [asyncio.create_task(camera.run()) for camera in cameras]
        sender.add(cameras[0].source)
        try:
            yield sender, viewer
        finally:
            for task in running:
                task.cancel()


async def picture_of(viewer: End, rgb: tuple[int, int, int], number: int = 0) -> Any:
    """Read until a picture has this colour."""
    track = (await viewer.track(number)).track
    async with asyncio.timeout(10):
        while not is_near(frame := await track.recv(), rgb):
            pass
    return frame


def rtp_sender(end: End) -> Any:
    return end.link.pc.getTransceivers()[0].sender


async def test_every_private_name_is_there() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        await rtp.getStats()
        for name in ("rtp_started", "rtp_exited", "rtp_header_extensions_map", "rtx_payload_type"):
            assert hasattr(rtp, f"_RTCRtpSender__{name}"), name
        for name in ("packet_count", "octet_count", "rtp_timestamp"):
            assert getattr(rtp, f"_RTCRtpSender__{name}") > 0, name
        dtls = rtp.transport
        assert dtls._RTCDtlsTransport__tx_packets > 0
        assert dtls._tx_srtp._srtp[0]
        assert rtp._RTCRtpSender__rtp_header_extensions_map._HeaderExtensionsMap__ids.abs_send_time


async def test_pictures_arrive_and_no_packet_is_an_object() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        assert rtp_sender(sender)._RTCRtpSender__rtp_history == {}


async def test_a_late_viewer_starts_with_the_picture_that_is_kept() -> None:
    camera = Camera(BLUE)
    running = asyncio.create_task(camera.run())
    while len(camera.pushed) < 20:
        await asyncio.sleep(0.01)
    async with wired() as (sender, viewer, _):
        sender.add(camera.source)
        await picture_of(viewer, BLUE)
    running.cancel()


async def test_lost_packets_are_sent_again() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)
        counts = rtp._run_rtp.__self__._pictures.counts
        newest = (rtp._run_rtp.__self__._pictures._sequence - 1) & 0xFFFF

        await rtp._handle_rtcp_packet(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=rtp._ssrc, lost=[newest]))

        assert counts.resent_packets == 1


async def test_a_receiver_that_cannot_decode_is_given_a_key_frame() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        rtp = rtp_sender(sender)

        async with asyncio.timeout(10):
            # As receivers do, more than once: while the first burst is under way it is answer enough.
            while not next(iter(sender.media)).source.stats().replays:
                await rtp._handle_rtcp_packet(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=rtp._ssrc))
                await asyncio.sleep(0.05)


async def test_a_source_is_asked_for_a_key_frame_when_a_thin_viewer_could_take_one() -> None:
    skipped_s = 0.0
    asked: list[int] = []
    source = EncodedVideoSource(on_key_frame_wanted=lambda: asked.append(1), clock=lambda: time.monotonic() + skipped_s)
    camera = Camera(RED, source)
    async with watching(camera) as (sender, viewer):
        await picture_of(viewer, RED)
        meter = rtp_sender(sender)._run_rtp.__self__._meter
        camera._units = camera._units[1:2]  # no key frame any more
        meter.estimate._troubled_s = meter._clock() + 60.0  # it stays thin
        meter.estimate.limit_bps, meter.is_thinning = 100_000.0, True
        meter.depart("another", lambda packets: iter(()), 20_000, is_key=True)  # more than a second of the link
        before = len(asked)
        await sender.until(lambda: rtp_sender(sender)._run_rtp.__self__.thinned)
        assert len(asked) == before
        meter.forget("another")
        skipped_s += 60.0
        await sender.until(lambda: len(asked) > before)


async def test_frames_in_a_section_for_encoded_pictures_are_encoded() -> None:
    camera = Camera(RED)
    async with watching(camera) as (sender, viewer):
        await picture_of(viewer, RED)
        old = next(iter(sender.media))
        new = sender.media.replace(camera.source, SmallPictures())
        sender.link.track_replaced(old, new)
        first = (await viewer.track()).track
        await sender.until(lambda: rtp_sender(sender).track is not None)
        async with asyncio.timeout(10):
            while is_near(await first.recv(), RED):
                pass


async def test_another_camera_takes_the_place_of_the_first() -> None:
    first, second = Camera(RED), Camera(BLUE)
    async with watching(first, second) as (sender, viewer):
        red = await picture_of(viewer, RED)
        old = next(iter(sender.media))
        new = sender.media.replace(first.source, second.source)
        sender.link.track_replaced(old, new)

        blue = await picture_of(viewer, BLUE)

    assert blue.pts > red.pts


async def test_the_sender_ends_with_its_connection() -> None:
    camera = Camera(RED)
    async with watching(camera) as (_, viewer):
        await picture_of(viewer, RED)
        assert camera.source.viewers == 1
    assert camera.source.viewers == 0


async def test_the_cheapest_protection_is_used_whoever_offers() -> None:
    async with watching(Camera(RED)) as (sender, viewer):
        await picture_of(viewer, RED)
        profile = rtp_sender(sender).transport._ssl.get_selected_srtp_profile()
        assert profile == rtp_sender(sender).transport._srtp_profiles[0].openssl_profile


@pytest.mark.parametrize(("mime_type", "role"), [("video/H264", "server"), (None, "client")])
async def test_who_answers_and_has_pictures_to_send_chooses_the_protection(mime_type: str | None, role: str) -> None:
    offerer, answerer = adapter.open_connection([]), adapter.open_connection([])
    adapter.add_receiver(offerer, "audio")
    sending(answerer, mime_type=mime_type)
    try:
        await exchange(offerer, answerer, mids())
        await connected(offerer, answerer)
        dtls = answerer.getTransceivers()[0].receiver.transport
        assert dtls._role == role
        assert dtls._ssl.get_selected_srtp_profile() == dtls._srtp_profiles[0].openssl_profile
    finally:
        await asyncio.gather(offerer.close(), answerer.close())
