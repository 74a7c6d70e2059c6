from __future__ import annotations

import dataclasses

import pytest

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from tests.sdk.media.h264_samples import annex_b, idr, pps, slice_nal, sps


def test_size_is_that_of_the_data() -> None:
    assert AccessUnit(b"12345", 0, is_key=True).size_bytes == 5


def test_units_are_values() -> None:
    unit = AccessUnit(b"1", CLOCK_RATE, is_key=False)
    assert unit == AccessUnit(b"1", 90_000, is_key=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        unit.pts_90k = 1  # type: ignore[misc]


def test_a_picture_with_an_idr_slice_is_a_key_unit() -> None:
    key = AccessUnit.from_annex_b(annex_b(sps(), pps(), idr()), 3000)
    assert (key.is_key, key.pts_90k) == (True, 3000)
    assert not AccessUnit.from_annex_b(annex_b(slice_nal()), 6000).is_key
