from __future__ import annotations

import math
from itertools import pairwise

import av
import pytest

from edged.cameras.opus import OpusConverter
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit


def test_g711_becomes_opus_of_20_ms_on_its_own_line_of_time() -> None:
    taken: list[AudioUnit] = []
    converter = OpusConverter(AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 1), taken.append)
    tone = bytes(128 + round(60 * math.sin(number / 4)) for number in range(160))
    for number in range(20):
        converter.push(AudioUnit(tone, 80_000 + number * 160))
    assert len(taken) >= 15
    assert [unit.pts for unit in taken] == [480_000 + number * 960 for number in range(len(taken))]
    decoder = av.CodecContext.create("libopus", "r")
    frames = [frame for unit in taken for frame in decoder.decode(av.Packet(unit.data))]
    assert {(frame.sample_rate, frame.samples) for frame in frames[1:]} == {(48_000, 960)}


def test_damaged_sound_is_left_out() -> None:
    taken: list[AudioUnit] = []
    converter = OpusConverter(AudioFormat("AAC", "aac", 48_000, 48_000, 2, config=b"\x11\x90"), taken.append)
    converter.push(AudioUnit(b"\xff" * 40, 0))
    assert taken == []


def converted(units: list[AudioUnit]) -> list[AudioUnit]:
    taken: list[AudioUnit] = []
    converter = OpusConverter(AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 1), taken.append)
    for unit in units:
        converter.push(unit)
    return taken


def test_what_comes_out_says_when_it_was_taken() -> None:
    units = converted([AudioUnit(bytes(160), number * 160, 70.0 + number * 0.02) for number in range(20)])
    assert all(unit.taken_s is not None and unit.pts is not None for unit in units)
    assert [(unit.taken_s or 0) - (unit.pts or 0) / 48_000 for unit in units] == pytest.approx([70.0] * len(units))


def test_a_gap_in_what_comes_in_is_one_in_what_comes_out() -> None:
    before = [AudioUnit(bytes(160), number * 160) for number in range(10)]
    after = [AudioUnit(bytes(160), 80_000 + number * 160) for number in range(10)]
    stamps = [unit.pts or 0 for unit in converted([*before, *after])]
    steps = [later - earlier for earlier, later in pairwise(stamps)]
    assert steps.count(960) == len(steps) - 1
    assert max(steps) == pytest.approx((80_000 - 1_440) * 6, abs=960)


def test_sound_that_comes_faster_than_it_is_played_is_left_out_and_then_goes_on() -> None:
    now_s = [50.0]
    taken: list[AudioUnit] = []
    converter = OpusConverter(AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 1), taken.append, clock=lambda: now_s[0])
    for number in range(500):  # ten seconds at once, after a stall
        converter.push(AudioUnit(bytes(160), number * 160))
    assert len(taken) == pytest.approx(100, abs=3)
    assert converter.dropped_units == pytest.approx(400, abs=3)
    before = len(taken)
    for number in range(500, 550):
        now_s[0] += 0.02
        converter.push(AudioUnit(bytes(160), number * 160))
    assert len(taken) == pytest.approx(before + 50, abs=2)
    assert (taken[-1].pts or 0) == pytest.approx(549 * 960, abs=4 * 960)
