"""Access units and encoded sound to frames; what is damaged is counted and passed over."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.decoding import AudioDecoder, VideoDecoder
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from metered_realtime.media.taken import taken_s
from tests.sdk.media.tracks import picture, sound


def encoded_pictures(count: int) -> list[AccessUnit]:
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuv420p", Fraction(1, 90_000)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency"}
    packets = [packet for number in range(count) for packet in codec.encode(picture(3000 * number))]
    return [AccessUnit(bytes(packet), int(packet.pts), packet.is_keyframe) for packet in packets]


def test_one_unit_in_one_picture_out() -> None:
    decoder = VideoDecoder()
    for unit in encoded_pictures(4):
        (frame,) = decoder.decode(unit)
        assert (frame.width, frame.height) == (64, 48)
        assert frame.pts * frame.time_base == Fraction(unit.pts_90k, 90_000)
    assert decoder.damaged_units == 0


def test_a_damaged_unit_is_counted_and_the_next_key_frame_decodes() -> None:
    decoder = VideoDecoder()
    assert decoder.decode(AccessUnit(b"\x00\x00\x00\x01\x65\xff\xff", 0, True)) == []
    assert decoder.damaged_units == 1
    assert len(decoder.decode(encoded_pictures(1)[0])) == 1


@pytest.mark.parametrize(
    ("audio", "data", "samples"),
    [
        (AudioFormat("PCMA", "pcm_alaw", 8000, 8000, 1), bytes(160), 160),
        (AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 2), bytes(320), 160),
        (AudioFormat("L16", "pcm_s16be", 16_000, 16_000, 1), bytes(640), 320),
        (AudioFormat("G722", "g722", 8000, 16_000, 1), bytes(160), 320),
    ],
)
def test_plain_sound(audio: AudioFormat, data: bytes, samples: int) -> None:
    decoder = AudioDecoder(audio)
    frames = [frame for number in (0, 160) for frame in decoder.decode(AudioUnit(data, 4000 + number))]
    assert [frame.samples for frame in frames] == [samples, samples]
    assert [frame.pts for frame in frames] == [4000, 4160]
    assert frames[0].sample_rate == audio.sample_rate
    assert len(frames[0].layout.channels) == audio.channels


def test_aac_and_frames_that_follow_each_other() -> None:
    codec: Any = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, "stereo", "fltp"
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48_000, frame_size=1024)
    resampled = [frame for n in range(8) for frame in resampler.resample(sound(1024 * n, samples=1024))]
    units = [bytes(packet) for frame in resampled for packet in codec.encode(frame)]
    decoder = AudioDecoder(AudioFormat("AAC", "aac", 48_000, 48_000, 2, bytes(codec.extradata), 13, 3))
    stamps: list[int | None] = [7000, *([None] * (len(units) - 1))]
    told = zip(units, stamps, [50.0, *([None] * (len(units) - 1))], strict=True)
    frames = [frame for data, pts, at_s in told for frame in decoder.decode(AudioUnit(data, pts, at_s))]
    assert [frame.pts for frame in frames] == [7000 + 1024 * number for number in range(len(frames))]
    assert len(frames) >= 4
    assert [taken_s(frame) for frame in frames] == pytest.approx([50 + n * 1024 / 48_000 for n in range(len(frames))])
    assert decoder.decode(AudioUnit(b"\xff" * 30, None)) == []
    assert decoder.damaged_units == 1
