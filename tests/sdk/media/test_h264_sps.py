from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h264 import split_annex_b
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sps import parse_sps
from tests.sdk.media.h264_samples import BitWriter, sps


def encoded_sps(width: int, height: int, profile: str, pix_fmt: str, **options: str) -> bytes:
    """Return the SPS that a real encoder writes."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, pix_fmt
    codec.time_base, codec.framerate = Fraction(1, 30), Fraction(30)
    codec.profile = profile
    codec.options = {"preset": "veryfast", **options}
    frame = av.VideoFrame(width, height, pix_fmt)
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    return next(nal for nal in split_annex_b(data) if nal[0] & 0x1F == 7)


@pytest.mark.parametrize(
    ("width", "height", "profile", "pix_fmt", "options", "name", "chroma", "reorder"),
    [
        (1280, 720, "Baseline", "yuv420p", {"tune": "zerolatency"}, "Constrained Baseline", "4:2:0", 0),
        (1920, 1080, "Main", "yuv420p", {"bf": "0"}, "Main", "4:2:0", 0),
        (640, 358, "Main", "yuv420p", {"bf": "2", "b-pyramid": "none"}, "Main", "4:2:0", 1),
        (642, 362, "High", "yuv420p", {"bf": "3", "b-pyramid": "normal"}, "High", "4:2:0", 2),
        (320, 240, "High 4:2:2", "yuv422p", {"tune": "zerolatency"}, "High 4:2:2", "4:2:2", 0),
        (322, 242, "High 4:4:4 Predictive", "yuv444p", {"tune": "zerolatency"}, "High 4:4:4", "4:4:4", 0),
        (720, 576, "High", "yuv420p", {"bf": "0", "x264-params": "interlaced=1"}, "High", "4:2:0", 0),
    ],
)
def test_agrees_with_a_real_encoder(
    width: int, height: int, profile: str, pix_fmt: str, options: dict[str, str], name: str, chroma: str, reorder: int
) -> None:
    found = parse_sps(encoded_sps(width, height, profile, pix_fmt, **options))
    assert (found.width, found.height) == (width, height)
    assert found.profile == name
    assert found.chroma_format == chroma
    assert found.max_reorder_frames == reorder
    assert found.has_b_frames is (reorder > 0)


def test_names_level_and_profile_as_sdp_and_people_do() -> None:
    found = parse_sps(sps(profile=66, constraints=0xC0, level=31))
    assert (found.level, found.profile_level_id) == ("3.1", "42c01f")
    assert parse_sps(sps(profile=66, constraints=0)).profile == "Baseline"
    assert parse_sps(sps(profile=99, constraints=0)).profile == "profile 99"


def test_cropping_is_in_chroma_units() -> None:
    assert parse_sps(sps(width_mbs=120, height_mbs=68, crop=(0, 0, 0, 4))).height == 1080
    assert parse_sps(sps(width_mbs=2, height_mbs=2, crop=(1, 2, 0, 0))).width == 26
    interlaced = parse_sps(sps(profile=77, constraints=0, height_mbs=34, interlaced=True, crop=(0, 0, 0, 2)))
    assert interlaced.height == 1080


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"profile": 66}, False),
        ({"profile": 77}, None),
        ({"profile": 77, "order_type": 2}, False),
        ({"profile": 77, "order_type": 1}, None),
        ({"profile": 77, "reorder": 0}, False),
        ({"profile": 100, "reorder": 2}, True),
        ({"profile": 100, "constraints": 0x10}, False),
        ({"profile": 100, "reorder": 99}, None),
        ({"profile": 77, "references": 1}, False),
        ({"profile": 77, "references": 1, "reorder": 2}, True),
        ({"profile": 77, "level": 31, "width_mbs": 120, "height_mbs": 68}, None),
        ({"profile": 77, "level": 22, "width_mbs": 120, "height_mbs": 68}, False),
        ({"profile": 77, "level": 11, "constraints": 0x10, "width_mbs": 22, "height_mbs": 18}, False),
        ({"profile": 77, "level": 99}, None),
    ],
)
def test_b_frame_verdict(options: dict[str, int], verdict: bool | None) -> None:
    assert parse_sps(sps(**{"constraints": 0, **options})).has_b_frames is verdict


def test_the_depth_of_the_colours_is_read() -> None:
    assert parse_sps(sps(profile=110, constraints=0, bit_depth=10)).bit_depth == 10
    assert parse_sps(sps()).bit_depth == 8
    with pytest.raises(H264Error, match="15 bits"):
        parse_sps(sps(profile=110, constraints=0, bit_depth=15))


def test_usability_information_cut_short_leaves_the_picture_described() -> None:
    whole = sps(profile=77, constraints=0, reorder=2)
    found = parse_sps(whole[:-3])
    assert (found.width, found.height, found.has_b_frames) == (1280, 720, None)


def test_a_decoder_model_without_end_leaves_the_picture_described() -> None:
    bits = BitWriter().u(8, 77).u(8, 0).u(8, 40).ue_v(0).ue_v(0).ue_v(0).ue_v(0).ue_v(2).u(1, 0).ue_v(9).ue_v(9)
    bits.u(1, 1).u(1, 1).u(1, 0).u(1, 1).u(5, 0).u(1, 1).ue_v(4000)
    found = parse_sps(b"\x67" + bits.rbsp())
    assert (found.width, found.has_b_frames) == (160, None)


def test_the_whole_usability_information_is_read() -> None:
    bits = (
        BitWriter()
        .u(8, 77)
        .u(8, 0)
        .u(8, 40)
        .ue_v(0)
        .ue_v(0)
        .ue_v(0)
        .ue_v(0)
        .ue_v(1)
        .u(1, 0)
        .ue_v(9)
        .ue_v(9)
        .u(1, 1)
        .u(1, 1)
    )
    bits.u(1, 0).u(1, 1)  # no cropping; usability information follows
    bits.u(1, 1).u(8, 255).u(16, 4).u(16, 3)  # aspect ratio
    bits.u(1, 1).u(1, 0)  # overscan
    bits.u(1, 1).u(3, 5).u(1, 0).u(1, 1).u(24, 1)  # signal type with colour description
    bits.u(1, 1).ue_v(0).ue_v(0)  # chroma location
    bits.u(1, 1).u(32, 1).u(32, 60).u(1, 1)  # timing
    for _ in range(2):  # both decoder models
        bits.u(1, 1).ue_v(1).u(4, 0).u(4, 0)
        for _ in range(2):
            bits.ue_v(100).ue_v(100).u(1, 0)
        bits.u(20, 0)
    bits.u(1, 0).u(1, 1)
    bits.u(1, 1).u(1, 1).ue_v(0).ue_v(0).ue_v(10).ue_v(10).ue_v(3).ue_v(4)
    assert parse_sps(b"\x67" + bits.rbsp()).max_reorder_frames == 3


def test_scaling_lists_are_passed_over() -> None:
    bits = BitWriter().u(8, 100).u(8, 0).u(8, 40).ue_v(0).ue_v(1).ue_v(0).ue_v(0).u(1, 0).u(1, 1)
    for index in range(8):
        bits.u(1, 1 if index in (0, 6) else 0)
        if index == 0:
            for _ in range(16):
                bits.se_v(1)
        if index == 6:
            bits.se_v(-8)  # the rest repeats
    bits.ue_v(0).ue_v(2).ue_v(1).u(1, 0).ue_v(19).ue_v(14).u(1, 1).u(1, 1).u(1, 0).u(1, 0)
    found = parse_sps(b"\x67" + bits.rbsp())
    assert (found.width, found.height, found.has_b_frames) == (320, 240, False)


@pytest.mark.parametrize(
    "nal",
    [
        b"",
        b"\x67\x42\xc0",
        b"\x68\x42\xc0\x1f\x00",
        b"\x67" + bytes(5000),
        b"\x67" + BitWriter().u(24, 0x640028).ue_v(0).ue_v(4).rbsp(),
        b"\x67" + BitWriter().u(24, 0x42C01F).ue_v(0).ue_v(0).ue_v(3).rbsp(),
        b"\x67" + BitWriter().u(24, 0x42C01F).ue_v(0).ue_v(0).ue_v(1).u(1, 0).se_v(0).se_v(0).ue_v(256).rbsp(),
        sps(width_mbs=2, crop=(50, 50, 0, 0)),
        sps(width_mbs=2, crop=(0, 0, 400, 0)),
        sps(width_mbs=5000),
        sps()[:8],
    ],
)
def test_what_is_no_sps_is_the_one_error(nal: bytes) -> None:
    with pytest.raises(H264Error):
        parse_sps(nal)


@given(st.binary(max_size=120), st.sampled_from([66, 77, 100, 110, 122, 244, 0]))
def test_any_bytes_give_an_sps_or_the_one_error(data: bytes, profile: int) -> None:
    try:
        found = parse_sps(bytes((0x67, profile)) + data)
    except H264Error:
        return
    assert 0 < found.width <= 16384
    assert 0 < found.height <= 16384
