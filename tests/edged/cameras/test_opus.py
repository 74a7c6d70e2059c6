from __future__ import annotations

import math

import av

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
