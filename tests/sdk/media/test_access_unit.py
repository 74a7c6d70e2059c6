from __future__ import annotations

import dataclasses

import pytest

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit


def test_size_is_that_of_the_data() -> None:
    assert AccessUnit(b"12345", 0, is_key=True).size_bytes == 5


def test_units_are_values() -> None:
    unit = AccessUnit(b"1", CLOCK_RATE, is_key=False)
    assert unit == AccessUnit(b"1", 90_000, is_key=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        unit.pts_90k = 1  # type: ignore[misc]
