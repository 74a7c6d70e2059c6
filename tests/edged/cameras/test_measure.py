from __future__ import annotations

import pytest

from edged.cameras.measure import Measure, Rates
from metered_realtime.media.access_unit import AccessUnit


def test_rates_and_the_longest_group_of_pictures() -> None:
    measure = Measure()
    for number in range(61):
        measure.push(AccessUnit(bytes(1000), number * 3600, is_key=number in (0, 20, 50)))
    rates = measure.rates()
    assert (rates.fps, rates.kbps) == (pytest.approx(25), pytest.approx(200))
    assert (rates.gop_pictures, rates.gop_s) == (30, 1.2)
    assert (measure.pictures, measure.keys) == (61, 3)


def test_too_few_pictures_tell_nothing() -> None:
    measure = Measure()
    assert measure.rates() == Rates(None, None, None, None)
    measure.push(AccessUnit(b"x", 5, is_key=True))
    measure.push(AccessUnit(b"x", 5, is_key=False))
    assert measure.rates() == Rates(None, None, None, None)


def test_one_key_frame_tells_no_distance() -> None:
    measure = Measure()
    measure.push(AccessUnit(b"x", 0, is_key=True))
    measure.push(AccessUnit(b"x", 3000, is_key=False))
    assert measure.rates().gop_pictures is None
    assert measure.rates().fps == 30
