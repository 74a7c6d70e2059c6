"""Access units out of a camera's own H.264."""

from __future__ import annotations

from metered_realtime.media.annex_b_units import AnnexBUnits
from metered_realtime.media.h264 import join_annex_b, nal_type, split_annex_b
from tests.sdk.media.h264_samples import idr, pps, slice_nal, sps


def kinds(data: bytes) -> list[int]:
    return [nal_type(nal) for nal in split_annex_b(data)]


def test_the_first_unit_is_a_key_frame_with_its_sets_at_0() -> None:
    units = AnnexBUnits()
    assert units.push(join_annex_b([slice_nal()]), 4.9) is None
    unit = units.push(join_annex_b([b"\x09\xf0", sps(), pps(), idr()]), 5.0)
    assert unit is not None
    assert unit.is_key
    assert unit.pts_90k == 0
    assert kinds(unit.data) == [7, 8, 5]
    after = units.push(join_annex_b([slice_nal()]), 5.1)
    assert after is not None
    assert (after.is_key, after.pts_90k, kinds(after.data)) == (False, 9000, [1])
    assert units.dropped_units == 1


def test_sets_sent_once_stand_before_every_key_frame() -> None:
    units = AnnexBUnits()
    assert units.push(join_annex_b([sps(), pps()]), 0.0) is None
    for number in range(3):
        unit = units.push(join_annex_b([idr()]), float(number))
        assert unit is not None
        assert kinds(unit.data) == [7, 8, 5]


def test_a_key_frame_without_sets_cannot_be_shown() -> None:
    units = AnnexBUnits()
    assert units.push(join_annex_b([idr()]), 0.0) is None
    assert units.push(join_annex_b([slice_nal()]), 0.1) is None
    assert units.dropped_units == 2


def test_a_new_size_begins_with_a_key_frame() -> None:
    units = AnnexBUnits()
    assert units.push(join_annex_b([sps(), pps(), idr()]), 0.0) is not None
    assert units.push(join_annex_b([sps(width_mbs=40), pps(), slice_nal()]), 0.1) is None
    assert units.push(join_annex_b([idr()]), 0.2) is not None


def test_stamps_never_go_back() -> None:
    units = AnnexBUnits()
    first, second = (units.push(join_annex_b([sps(), pps(), idr()]), at_s) for at_s in (3.0, 2.0))
    assert first is not None
    assert second is not None
    assert second.pts_90k == first.pts_90k


def test_what_is_no_picture_is_passed_over() -> None:
    units = AnnexBUnits()
    for data in (b"", b"\x00\x00\x00\x01", join_annex_b([b"\x67"]), b"\xff" * 40):
        assert units.push(data, 0.0) is None
    assert units.dropped_units == 4
