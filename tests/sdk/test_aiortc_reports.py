"""Sender reports between two real peer connections: the contract with aiortc's private names."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiortc.rtp import RtcpByePacket, RtcpSrPacket

from metered_realtime import report_relation
from metered_realtime.aiortc_reports import ntp_time
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_audio import EncodedAudioSource
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.streams import MediaStream
from tests.sdk.media.h264_samples import idr, pps, sps
from tests.sdk.wired import AudioStreamTrack, End, SmallPictures, wired

STEP_S = 0.02
NTP_EPOCH_S = 2_208_988_800
KEY_FRAME = b"".join(b"\x00\x00\x00\x01" + nal for nal in (sps(), pps(), idr()))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_relation, "FIRST_REPORTS_S", (0.1, 0.1))
    monkeypatch.setattr(report_relation, "REPORT_INTERVAL_S", 0.1)


@dataclass
class Heard:
    """What one receiver got."""

    rate: int
    reports: list[tuple[int, int]] = field(default_factory=list)
    newest: int = 0
    byes: int = 0

    def taken_s(self) -> float:
        """The time of day at which the newest packet was taken, as the last report says."""
        ntp, rtp = self.reports[-1]
        ticks = (self.newest - rtp + (1 << 31)) % (1 << 32) - (1 << 31)
        return ntp / (1 << 32) - NTP_EPOCH_S + ticks / self.rate


def listen(receiver: Any, rate: int) -> Heard:
    heard = Heard(rate)
    take_rtcp, take_rtp = receiver._handle_rtcp_packet, receiver._handle_rtp_packet

    async def rtcp(packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket):
            heard.reports.append((packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp))
        heard.byes += isinstance(packet, RtcpByePacket)
        await take_rtcp(packet)

    async def rtp(packet: Any, *rest: Any, **more: Any) -> None:
        heard.newest = packet.timestamp
        await take_rtp(packet, *rest, **more)

    receiver._handle_rtcp_packet, receiver._handle_rtp_packet = rtcp, rtp
    return heard


def listen_to_all(viewer: End, sound_rate: int) -> tuple[Heard, Heard]:
    by_kind = {each.kind: each.receiver for each in viewer.link.pc.getTransceivers()}
    return listen(by_kind["video"], 90_000), listen(by_kind["audio"], sound_rate)


async def play(
    push_picture: Callable[[AccessUnit], None], push_sound: Callable[[AudioUnit], None], late_s: float
) -> None:
    """A camera whose sound is `late_s` under way, and whose picture is not."""
    for number in itertools.count():
        now_s = time.monotonic()
        push_picture(AccessUnit(KEY_FRAME, number * round(90_000 * STEP_S), is_key=True, taken_s=now_s))
        push_sound(AudioUnit(bytes(160), 700_000 + number * round(8_000 * STEP_S), now_s - late_s))
        await asyncio.sleep(STEP_S)


async def test_reports_say_when_picture_and_sound_were_taken() -> None:
    pictures, sounds = EncodedVideoSource(), EncodedAudioSource("audio/PCMA")
    stream = MediaStream([], id="yard")
    async with wired() as (sender, viewer, _):
        for source in (pictures, sounds):
            sender.add(source, stream)
        playing = asyncio.create_task(play(pictures.push, sounds.push, 0.4))
        await viewer.track(1)
        picture, sound = listen_to_all(viewer, 8_000)
        await viewer.until(lambda: len(picture.reports) > 2 and len(sound.reports) > 2)
        assert time.time() - picture.taken_s() == pytest.approx(0, abs=0.1)
        assert picture.taken_s() - sound.taken_s() == pytest.approx(0.4, abs=0.08)
        playing.cancel()


async def test_frames_without_such_a_time_were_taken_when_they_were_handed_over() -> None:
    async with wired() as (sender, viewer, _):
        sender.add(SmallPictures())
        sender.add(AudioStreamTrack())
        await viewer.track(1)
        picture, sound = listen_to_all(viewer, 48_000)
        await viewer.until(lambda: len(picture.reports) > 2 and len(sound.reports) > 2)
        assert time.time() - picture.taken_s() == pytest.approx(0, abs=0.2)
        assert picture.taken_s() - sound.taken_s() == pytest.approx(0, abs=0.2)


async def test_a_stream_that_has_ended_says_goodbye() -> None:
    async with wired() as (sender, viewer, _):
        sender.add(EncodedAudioSource("audio/opus"))
        await viewer.track()
        heard = listen(viewer.link.pc.getTransceivers()[0].receiver, 48_000)
        await sender.connected()
        await sender.link.pc.getTransceivers()[0].sender.stop()
        await viewer.until(lambda: heard.byes)


def test_the_time_in_reports_wraps_and_takes_no_part_in_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.monotonic()
    before = ntp_time(now_s)
    assert before / (1 << 32) - NTP_EPOCH_S == pytest.approx(time.time(), abs=1.0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert (ntp_time(now_s + 10) - before) / (1 << 32) == pytest.approx(10, abs=0.001)
    assert ntp_time(now_s + 20 * 365 * 86_400) < 1 << 64  # RtcpSenderInfo has no room for more
