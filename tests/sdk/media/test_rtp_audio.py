"""Sound out of RTP: what can be used, and where its frames are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtp_audio import AudioDepacketizer, AudioFormat, AudioUnit, audio_format
from tests.sdk.media.h264_samples import rtp

AAC_FMTP = {"mode": "AAC-hbr", "config": "1190", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
G711 = AudioFormat("PCMA", "pcm_alaw", 8000, 8000, 1)
AAC = AudioFormat("AAC", "aac", 48_000, 48_000, 2, b"\x11\x90", 13, 3)


@pytest.mark.parametrize(
    ("codec", "parameters", "formats", "usable"),
    [
        ("PCMA", "8000", {}, G711),
        ("PCMU", "", {}, AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 1)),
        ("L16", "16000/2", {}, AudioFormat("L16", "pcm_s16be", 16_000, 16_000, 2)),
        ("G722", "8000/1", {}, AudioFormat("G722", "g722", 8000, 16_000, 1)),
        ("OPUS", "48000/2", {}, AudioFormat("OPUS", "opus", 48_000, 48_000, 2)),
        ("MPEG4-GENERIC", "48000/2", AAC_FMTP, AAC),
        ("MPEG4-GENERIC", "48000/2", {**AAC_FMTP, "mode": "CELP-cbr"}, None),
        ("MPEG4-GENERIC", "48000/2", {**AAC_FMTP, "config": "zz"}, None),
        ("MPEG4-GENERIC", "48000/2", {**AAC_FMTP, "config": ""}, None),
        ("MPEG4-GENERIC", "48000/2", {**AAC_FMTP, "sizelength": "99"}, None),
        ("MPEG4-GENERIC", "48000/2", {**AAC_FMTP, "ctsdeltalength": "8"}, None),
        ("G726-32", "8000", {}, None),
        ("PCMA", "much", {}, None),
        ("PCMA", "8000/900", {}, None),
        ("OPUS", "", {}, None),
        ("L16", "1/1", {}, None),
        ("PCMA", "100", {}, None),
    ],
)
def test_what_a_description_says(
    codec: str, parameters: str, formats: dict[str, str], usable: AudioFormat | None
) -> None:
    assert audio_format(codec, parameters, formats) == usable


def test_a_packet_of_g711_is_a_frame() -> None:
    sound = AudioDepacketizer(G711, payload_type=96)
    assert sound.push(rtp(1, 1000, b"abc")) == [AudioUnit(b"abc", 0)]
    assert sound.push(rtp(2, 1160, b"def")) == [AudioUnit(b"def", 160)]
    assert sound.push(rtp(2, 1160, b"def")) == []
    assert sound.push(rtp(5, 1640, b"ghi")) == [AudioUnit(b"ghi", 640)]
    assert sound.lost_packets == 2


def test_seconds_of_sound_in_one_packet_are_none() -> None:
    sound = AudioDepacketizer(G711, payload_type=96)
    assert sound.push(rtp(1, 0, bytes(60_000))) == []
    assert sound.bad_packets == 1
    assert sound.push(rtp(2, 160, bytes(16_384))) == [AudioUnit(bytes(16_384), 0)]


@pytest.mark.parametrize("data", [b"", b"x"])
def test_a_frame_of_endless_fragments_is_given_up(data: bytes) -> None:
    sound = AudioDepacketizer(AAC, payload_type=96)
    for number in range(1_000):
        assert sound.push(rtp(number, 0, headers(8000) + data)) == []
    assert sound.bad_packets == 1_000 // 65
    assert len(sound._fragments) <= 64


def test_time_goes_on_over_the_end_of_its_numbers() -> None:
    sound = AudioDepacketizer(G711, payload_type=96)
    assert [unit.pts for unit in sound.push(rtp(1, 0xFFFF_FFF0, b"a"))] == [0]
    assert [unit.pts for unit in sound.push(rtp(2, 0x90, b"b"))] == [0xA0]


def test_packets_of_nobody_are_passed_over() -> None:
    sound = AudioDepacketizer(G711, payload_type=8)
    assert sound.push(b"short") == []
    assert sound.push(rtp(1, 0, b"comfort noise")) == []
    assert sound.push(rtp(1, 0, b"")) == []
    assert sound.bad_packets == 1


def headers(*sizes: int) -> bytes:
    return (16 * len(sizes)).to_bytes(2) + b"".join((size << 3).to_bytes(2) for size in sizes)


def test_several_frames_of_aac_in_a_packet() -> None:
    sound = AudioDepacketizer(AAC, payload_type=96)
    packet = rtp(1, 0, headers(3, 2) + b"abcde", marker=True)
    assert sound.push(packet) == [AudioUnit(b"abc", 0), AudioUnit(b"de", None)]


def test_one_frame_of_aac_over_several_packets() -> None:
    sound = AudioDepacketizer(AAC, payload_type=96)
    assert sound.push(rtp(1, 0, headers(6) + b"abc")) == []
    assert sound.push(rtp(2, 0, headers(6) + b"def", marker=True)) == [AudioUnit(b"abcdef", 0)]
    # One that lost its middle is no frame, nor does it spoil the next.
    assert sound.push(rtp(3, 1024, headers(9) + b"abc")) == []
    assert sound.push(rtp(5, 1024, headers(9) + b"ghi", marker=True)) == []
    assert sound.push(rtp(6, 2048, headers(1) + b"x", marker=True)) == [AudioUnit(b"x", 2048)]
    assert sound.bad_packets == 1


def test_headers_that_promise_too_much_give_nothing() -> None:
    sound = AudioDepacketizer(AAC, payload_type=96)
    for number, payload in enumerate((b"\xff\xffabc", b"\x00\x20ab", headers(0, 5) + b"abc", b"\x10")):
        assert sound.push(rtp(number, 0, payload)) == []
    assert sound.bad_packets >= 3


def test_a_new_sender_starts_anew() -> None:
    sound = AudioDepacketizer(G711, payload_type=96)
    sound.push(rtp(500, 0, b"a"))
    assert sound.push(rtp(3, 160, b"b", ssrc=77)) == [AudioUnit(b"b", 160)]
    assert sound.lost_packets == 0


@given(st.lists(st.binary(max_size=80), max_size=6), st.booleans())
def test_no_bytes_break_it_or_make_more_than_they_are(payloads: list[bytes], marker: bool) -> None:
    sound = AudioDepacketizer(AAC, payload_type=96)
    units = [unit for n, data in enumerate(payloads) for unit in sound.push(rtp(n, n, data, marker=marker))]
    assert sum(len(unit.data) for unit in units) <= sum(len(data) for data in payloads)
    AudioDepacketizer(AAC, payload_type=96).push(b"".join(payloads))
