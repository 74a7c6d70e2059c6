from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.browser_video import browser_fault
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h265_sps import H265Sps, parameter_set_id, parse_sps
from metered_realtime.media.video_description import VideoDescription
from tests.sdk.media.h265_samples import pps, sps, vps


def test_a_usual_camera() -> None:
    found = parse_sps(sps())
    assert found == H265Sps(1, 0, 93, 1280, 720, "4:2:0", 8, 0)
    assert (found.profile, found.level, found.has_b_frames) == ("Main", "3.1", False)


def test_the_window_is_cut_out_in_samples_of_colour() -> None:
    found = parse_sps(sps(width=1920, height=1088, window=(0, 0, 0, 4)))
    assert (found.width, found.height) == (1920, 1080)
    found = parse_sps(sps(width=64, height=64, chroma=2, window=(1, 1, 1, 1)))
    assert (found.width, found.height, found.chroma_format) == (60, 62, "4:2:2")


@pytest.mark.parametrize(
    ("options", "reorder"),
    [
        ({"reorder": (2,)}, 2),
        ({"reorder": (0, 1, 3), "sub_layers": ((False, True), (True, True))}, 3),
        ({"reorder": (1,), "sub_layers": ((True, False),), "ordering_for_all": False}, 1),
    ],
)
def test_pictures_in_another_order_are_told_by_the_highest_sub_layer(options: dict[str, Any], reorder: int) -> None:
    found = parse_sps(sps(**options))
    assert (found.max_reorder_pictures, found.has_b_frames) == (reorder, True)
    assert (found.width, found.height) == (1280, 720)


def test_profile_tier_and_level_as_people_write_them() -> None:
    found = parse_sps(sps(profile=2, tier=1, level=153, bit_depth=10))
    assert (found.profile, found.tier, found.level, found.bit_depth) == ("Main 10", 1, "5.1", 10)
    assert parse_sps(sps(profile=0, compatibility=0x20000000)).profile == "Main 10"
    assert parse_sps(sps(profile=11)).profile == "profile 11"


@pytest.mark.parametrize(
    ("nal", "fault"),
    [
        (pps(), "not a sequence parameter set"),
        (sps()[:12], "too early"),
        (b"", "not a sequence parameter set"),
        (sps(chroma=4), "chroma_format_idc"),
        (sps(bit_depth=17), "bits a sample"),
        (sps(width=0), "not possible"),
        (sps(reorder=(17,)), "reorder"),
        (sps(sub_layers=((False, False),) * 7), "sub_layers"),
    ],
)
def test_what_cannot_be_is_refused(nal: bytes, fault: str) -> None:
    with pytest.raises(H264Error, match=fault):
        parse_sps(nal)


def test_every_set_has_its_id() -> None:
    assert [parameter_set_id(nal) for nal in (vps(3), sps(set_id=5), pps(7))] == [3, 5, 7]
    with pytest.raises(H264Error, match="out of range"):
        parameter_set_id(pps(64))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, None),
        ({"bit_depth": 10, "profile": 2}, "choose 8 bits (the Main profile)"),
        ({"chroma": 2}, "choose 4:2:0 (the Main profile)"),
        ({"reorder": (2,)}, "switch them off in the camera"),
        ({"level": 183}, "level 6.1"),
    ],
)
def test_what_no_browser_shows_is_known_from_it(options: dict[str, Any], fault: str | None) -> None:
    found = browser_fault(VideoDescription.of_h265(parse_sps(sps(**options))))
    assert found is None if fault is None else found is not None and fault in found


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (parse_sps, parameter_set_id):
        try:
            read(b"\x42\x01" + data)
        except H264Error:
            continue
