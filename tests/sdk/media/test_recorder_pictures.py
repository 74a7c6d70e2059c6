from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.recorder_pictures import PictureIntake
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.pictures import RED, solid


def packets(count: int, *, size: tuple[int, int] = (64, 48), first: int = 0) -> list[Any]:
    encoder = VideoEncoder(EncoderSettings())
    out = []
    for number in range(first, first + count):
        for unit in encoder.encode(solid(RED, *size), number * 3000):
            packet: Any = av.Packet(unit.data)
            packet.pts, packet.time_base, packet.is_keyframe = unit.pts_90k, Fraction(1, 90_000), unit.is_key
            out.append(packet)
    return out


def frame(number: int, size: tuple[int, int] = (64, 48)) -> Any:
    picture = solid(RED, *size)
    picture.pts, picture.time_base = number * 3000, Fraction(1, 90_000)
    return picture


def test_encoded_pictures_are_kept_as_they_came() -> None:
    intake = PictureIntake(2, EncoderSettings())
    sent = packets(4)
    samples = [s for n, packet in enumerate(sent) for s in intake.take(packet, 5.0 + n / 30, "H264")]
    assert [sample.data for sample in samples] == [bytes(packet) for packet in sent]
    assert [sample.is_key for sample in samples] == [True, False, False, False]
    assert samples[0].ticks == 5 * 90_000
    assert {sample.duration_ticks for sample in samples} == {3000}
    assert {(s.slot, s.format.codec, s.format.width, s.format.height) for s in samples} == {(2, "h264", 64, 48)}


def test_before_the_first_key_frame_there_is_nothing() -> None:
    intake = PictureIntake(0, EncoderSettings())
    sent = packets(3)
    assert intake.take(sent[1], 0.0, "H264") == []
    assert len(intake.take(sent[0], 0.1, "H264")) == 1


def test_raw_pictures_are_encoded_and_a_key_frame_comes_when_it_is_wanted() -> None:
    intake = PictureIntake(0, EncoderSettings())
    keys = []
    for number in range(4):
        if number == 2:
            intake.force_key_frame()
        keys += [sample.is_key for sample in intake.take(frame(number), number / 30, "H264")]
    assert keys == [True, False, True, False]
    intake.close()


def test_a_new_size_is_a_new_format() -> None:
    intake = PictureIntake(0, EncoderSettings())
    formats = [s.format for n, size in enumerate([(64, 48), (96, 48)]) for s in intake.take(frame(n, size), n, "H264")]
    assert [(each.width, each.height) for each in formats] == [(64, 48), (96, 48)]


def test_a_track_that_takes_over_begins_with_a_key_frame_at_its_own_time() -> None:
    intake = PictureIntake(0, EncoderSettings())
    sent = packets(2)
    samples = intake.take(sent[0], 1.0, "H264")
    intake.restart()
    assert intake.take(sent[1], 2.0, "H264") == []
    intake.restart()
    samples += intake.take(sent[0], 3.0, "H264")
    assert [sample.ticks for sample in samples] == [90_000, 270_000]


def test_raw_pictures_and_encoded_ones_may_follow_each_other() -> None:
    intake = PictureIntake(0, EncoderSettings())
    sent = packets(2, first=2)
    samples = intake.take(frame(0), 0.0, "H264") + intake.take(frame(1), 0.03, "H264")
    assert intake.take(sent[1], 0.06, "H264") == [], "nothing to decode it from"
    samples += intake.take(sent[0], 0.1, "H264") + intake.take(frame(5), 0.2, "H264")
    assert [sample.is_key for sample in samples] == [True, False, True, True]
    assert [sample.ticks for sample in samples] == sorted(sample.ticks for sample in samples)
