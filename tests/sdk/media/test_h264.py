from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media import h264
from metered_realtime.media.h264_bits import H264Error
from tests.sdk.media.h264_samples import BitWriter, annex_b, idr, pps, sei, slice_nal, sps


def test_nal_type_of_nothing_is_zero() -> None:
    assert h264.nal_type(b"") == 0
    assert h264.nal_type(b"\x65\x88") == h264.NAL_IDR


def test_annex_b_is_split_at_short_and_long_start_codes() -> None:
    assert h264.split_annex_b(b"\x00\x00\x01\x67\x01\x00\x00\x00\x01\x68\x02\x00\x00\x00\x00\x01\x65\x03") == [
        b"\x67\x01", b"\x68\x02", b"\x65\x03",
    ]  # fmt: skip


def test_bytes_before_the_first_start_code_are_a_unit() -> None:
    assert h264.split_annex_b(b"\x67\x42\x00\x00\x00\x01\x68") == [b"\x67\x42", b"\x68"]
    assert h264.split_annex_b(b"\x00\x00\x01") == []


def test_joining_and_splitting_agree() -> None:
    nals = [sps(), pps(), idr()]
    assert h264.join_annex_b(nals) == annex_b(*nals)
    assert h264.split_annex_b(h264.join_annex_b(nals)) == nals
    assert h264.has_start_code(annex_b(*nals))
    assert not any(h264.has_start_code(nal) for nal in nals)


def test_parameter_sets_tell_their_ids() -> None:
    assert h264.parameter_set_id(sps(set_id=5)) == 5
    assert h264.parameter_set_id(pps(set_id=200)) == 200
    with pytest.raises(H264Error, match="32 is out of range"):
        h264.parameter_set_id(sps(set_id=32))
    with pytest.raises(H264Error, match="256 is out of range"):
        h264.parameter_set_id(pps(set_id=256))
    with pytest.raises(H264Error):
        h264.parameter_set_id(b"\x67\x42")


def test_slices_tell_where_they_begin_and_what_they_are() -> None:
    assert h264.slice_head(slice_nal(first_mb=0, slice_type=5)) == (0, 5)
    assert h264.slice_head(slice_nal(first_mb=1800, slice_type=1)) == (1800, 1)
    for slice_type in range(20):  # up to 14 the first byte says it all
        assert h264.slice_head(slice_nal(first_mb=0, slice_type=slice_type)) == (0, slice_type)
        assert h264.slice_head(slice_nal(first_mb=1, slice_type=slice_type)) == (1, slice_type)
    assert h264.is_b_slice(1)
    assert h264.is_b_slice(6)
    assert not h264.is_b_slice(0)


def test_only_an_exact_recovery_point_is_a_place_to_start() -> None:
    exact = BitWriter().ue_v(0).u(1, 1).u(1, 0).u(2, 0).rbsp()
    later = BitWriter().ue_v(15).u(1, 1).u(1, 0).u(2, 0).rbsp()
    assert h264.is_exact_recovery_point(sei(6, exact))
    assert not h264.is_exact_recovery_point(sei(6, later))
    assert not h264.is_exact_recovery_point(sei(5, exact))
    assert not h264.is_exact_recovery_point(b"\x06\x06\x01\x00")
    assert not h264.is_exact_recovery_point(b"\x06")


@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer_or_the_one_error(data: bytes) -> None:
    h264.split_annex_b(data)
    h264.is_exact_recovery_point(data)
    for read in (h264.parameter_set_id, h264.slice_head):
        try:
            read(data)
        except H264Error:
            continue
