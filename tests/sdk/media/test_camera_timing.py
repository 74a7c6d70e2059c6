from __future__ import annotations

import struct

import pytest

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.camera_timing import CameraTiming
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from metered_realtime.media.rtsp_handshake import AudioTrack

PICTURE = AccessUnit(b"p", 0, is_key=True)
SOUND = AudioUnit(b"s", 0)
TRACK = AudioTrack("rtsp://camera/live/track2", 8, AudioFormat("PCMA", "pcm_alaw", 8000, 8000, 1))


def report(seconds: float, stamp: int) -> bytes:
    """Return a sender report; its time of day is `seconds` after some day in 2026."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, 7, round((3_989_000_000 + seconds) * (1 << 32)), stamp, 0, 0)


def test_each_is_told_when_it_was_taken() -> None:
    timing = CameraTiming(8000)
    picture = timing.picture(PICTURE, 5_000, 100.0)
    assert (picture.data, picture.taken_s) == (b"p", 100.0)
    assert timing.sound(SOUND, (70, 0), 100.3).taken_s == 100.3
    timing.report("video", report(0.0, 5_000), 100.31)
    timing.report("audio", report(0.0, 70), 100.31)
    assert timing.sound_late_s == pytest.approx(0.3)
    later = timing.sound(AudioUnit(b"s", 160), (230, 160), 100.32)
    assert (later.data, later.pts) == (b"s", 160)
    assert later.taken_s == pytest.approx(100.02)


def test_sound_without_a_stamp_follows_the_one_before() -> None:
    unit = AudioUnit(b"second of a packet", None)
    assert CameraTiming(8000).sound(unit, (70, 0), 100.0) is unit


@pytest.mark.parametrize("where", ["rtsp://camera/live/track2", "track2", "live/track2", "/live/track2"])
def test_where_the_streams_began_is_read_however_they_are_named(where: str) -> None:
    timing = CameraTiming(8000)
    header = f"url=rtsp://camera/live/track1;seq=1;rtptime=4550,url={where};seq=9;rtptime=30"
    timing.began(header, video="rtsp://camera/live/track1", audio=TRACK)
    timing.picture(PICTURE, 5_000, 100.0)
    timing.sound(SOUND, (70, 0), 100.2)
    assert timing.sound_late_s == pytest.approx(0.2)


@pytest.mark.parametrize("header", ["", "url=track1;rtptime=4550", "url=;rtptime=4550,url=;rtptime=30"])
def test_a_camera_that_does_not_say_where_they_began_is_read_by_arrivals(header: str) -> None:
    timing = CameraTiming(8000)
    timing.began(header, video="rtsp://camera/live/track1", audio=TRACK)
    timing.began(header, video="rtsp://camera/live/track1", audio=None)
    timing.picture(PICTURE, 5_000, 100.0)
    assert timing.sound(SOUND, (70, 0), 100.2).taken_s == 100.2
