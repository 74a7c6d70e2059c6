from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import av
import pytest

from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.recorder_sound import MAX_SILENCE, SoundEncoder

RATE = 48_000


def tone(at: int | None, samples: int = 960, *, rate: int = RATE, layout: str = "stereo") -> Any:
    channels = 2 if layout == "stereo" else 1
    wave = [int(12_000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(samples) for _ in range(channels)]
    frame = av.AudioFrame(format="s16", layout=layout, samples=samples)
    frame.planes[0].update(struct.pack(f"{len(wave)}h", *wave).ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


def times(samples: list[Sample]) -> list[int]:
    return [sample.ticks for sample in samples]


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_sound_is_one_unbroken_stream_of_pieces(codec: str) -> None:
    encoder = SoundEncoder(3, codec, 64_000)
    out = [sample for n in range(50) for sample in encoder.take(tone(n * 960), 10.0 + n * 0.02)]
    piece = 1024 if codec == "aac" else 960
    assert {b - a for a, b in zip(times(out), times(out)[1:], strict=False)} == {piece}
    assert abs(out[0].ticks - 10 * RATE) <= 1024, "on the clock it came by"
    assert len(out) * piece == pytest.approx(RATE, abs=3 * 1024)
    assert {(sample.slot, sample.is_key, sample.format.codec, sample.rate) for sample in out} == {
        (3, True, codec, RATE)
    }


def test_sound_of_another_rate_and_layout_keeps_time() -> None:
    encoder = SoundEncoder(0, "aac", 64_000)
    out = [s for n in range(50) for s in encoder.take(tone(n * 320, 320, rate=16_000, layout="mono"), n * 0.02)]
    out += [s for n in range(50, 100) for s in encoder.take(tone(n * 960), n * 0.02)]
    assert times(out)[-1] == pytest.approx(2 * RATE, abs=4 * 1024)


def test_the_unrest_of_arrival_is_not_heard() -> None:
    encoder = SoundEncoder(0, "aac", 64_000)
    late = 500
    out = [s for n in range(50) for s in encoder.take(tone(n * 960 + (late if n % 2 else 0)), n * 0.02)]
    assert len(out) * 1024 == pytest.approx(RATE, abs=3 * 1024)


def test_a_gap_becomes_silence() -> None:
    encoder = SoundEncoder(0, "aac", 64_000)
    out = encoder.take(tone(0), 0.0) + encoder.take(tone(2 * RATE), 2.0) + encoder.take(tone(2 * RATE + 960), 2.02)
    assert {b - a for a, b in zip(times(out), times(out)[1:], strict=False)} == {1024}
    assert len(out) * 1024 == pytest.approx(2 * RATE, abs=3 * 1024)


def test_a_long_gap_stays_a_gap() -> None:
    encoder = SoundEncoder(0, "aac", 64_000)
    after = MAX_SILENCE + 2 * RATE
    out = [s for n in range(5) for s in encoder.take(tone(n * 960), n * 0.02)]
    out += [s for n in range(5) for s in encoder.take(tone(after + n * 960), after / RATE + n * 0.02)]
    assert len(out) < 12
    assert out[-1].ticks > after


def test_what_was_heard_already_is_left_out() -> None:
    encoder = SoundEncoder(0, "aac", 64_000)
    out = [s for n in range(50) for s in encoder.take(tone(n * 960), n * 0.02)]
    encoder.restart()
    out += [s for n in range(10) for s in encoder.take(tone(n * 960), 0.5 + n * 0.02)]
    assert len(out) * 1024 == pytest.approx(RATE, abs=4 * 1024)
