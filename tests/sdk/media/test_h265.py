from __future__ import annotations

import pytest

from metered_realtime.media import h265
from metered_realtime.media.access_unit import AccessUnit
from tests.sdk.media.h264_samples import annex_b
from tests.sdk.media.h265_samples import cra, idr, pps, slice_nal, sps, vps


def test_the_type_is_in_the_first_of_two_bytes() -> None:
    assert [h265.nal_type(nal) for nal in (vps(), sps(), pps(), idr(), cra())] == [32, 33, 34, 19, 21]
    assert h265.nal_type(b"\x40") == h265.nal_type(b"") == 63


@pytest.mark.parametrize("kind", [0, 1, 8, 9, 16, 19, 20, 21])
def test_slices_are_what_pictures_are_made_of(kind: int) -> None:
    assert h265.is_slice(kind)
    assert h265.is_key_slice(kind) is (kind >= 16)


@pytest.mark.parametrize("kind", [10, 15, 22, 32, 35, 39, 48])
def test_nothing_else_is_a_slice(kind: int) -> None:
    assert not h265.is_slice(kind)


def test_a_picture_begins_with_its_first_slice_segment() -> None:
    assert h265.begins_picture(idr())
    assert not h265.begins_picture(idr(first=False))
    assert not h265.begins_picture(b"\x26\x01")


def test_only_the_base_layer_is_for_everybody() -> None:
    assert h265.is_base_layer(slice_nal())
    assert not h265.is_base_layer(slice_nal(layer=1))
    assert not h265.is_base_layer(slice_nal(layer=32))
    assert not h265.is_base_layer(b"\x02")


def test_a_picture_knows_whether_decoding_may_start_with_it() -> None:
    key, delta = annex_b(vps(), sps(), pps(), cra()), annex_b(slice_nal())
    assert [AccessUnit.from_annex_b(data, 0, "video/H265").is_key for data in (key, delta)] == [True, False]
