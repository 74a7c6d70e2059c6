"""Times that sensors give."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.moments import Moment
from edged.telemetry.payload_time import AHEAD_MS, EARLIEST_MS, LATEST_MS, PayloadTimeError, payload_time_ms

WALL_MS = 1_790_000_000_000
NOW = Moment("b", 5_000, WALL_MS, True)
UNSET = Moment("b", 5_000, 1_000, False)


@pytest.mark.parametrize(
    ("value", "unit", "time_ms"),
    [
        (1_789_999_999, "auto", 1_789_999_999_000),
        (1_789_999_999.25, "auto", 1_789_999_999_250),
        (1_789_999_999_123, "auto", 1_789_999_999_123),
        (1_789_999_999_123_456, "auto", 1_789_999_999_123),
        (1_789_999_999_123_456_789, "auto", 1_789_999_999_123),
        ("1789999999", "auto", 1_789_999_999_000),
        (" 1789999999.5 ", "s", 1_789_999_999_500),
        (1_789_999_999, "s", 1_789_999_999_000),
        (1_789_999_999_123, "ms", 1_789_999_999_123),
        (1_789_999_999_123_456, "us", 1_789_999_999_123),
        (1_789_999_999_123_456_789, "ns", 1_789_999_999_123),
        ("2026-09-21T13:33:19.500Z", "auto", 1_789_997_599_500),
        ("2026-09-21T13:33:19+02:00", "iso", 1_789_990_399_000),
        ("2026-09-21 13:33:19", "iso", 1_789_997_599_000),
        ("20260921T133319Z", "iso", 1_789_997_599_000),
        ("2026-09-21", "auto", 1_789_948_800_000),
    ],
)
def test_a_time_is_read(value, unit, time_ms):
    assert payload_time_ms(value, unit, NOW) == time_ms


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (None, "auto"),
        (True, "auto"),
        ([1_789_999_999], "auto"),
        ({}, "iso"),
        (1_789_999_999, "iso"),
        ("", "auto"),
        ("yesterday", "auto"),
        ("yesterday", "s"),
        ("nan", "auto"),
        ("1e999", "s"),
        ("1e308", "s"),
        ("-1e308", "s"),
        ("2026-13-01", "iso"),
        ("1" * 5000, "auto"),
        ("2026-09-21T13:33:19", "ms"),
    ],
)
def test_what_is_no_time_is_not_used(value, unit):
    with pytest.raises(PayloadTimeError, match=r"\Anot_a_time\Z"):
        payload_time_ms(value, unit, NOW)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (0, "auto"),
        (-5, "s"),
        (WALL_MS, "s"),
        (WALL_MS + AHEAD_MS + 1, "ms"),
        ("1970-01-01", "iso"),
        ("9999-12-31T23:59:59-23:59", "iso"),
        ("0001-01-01T00:00:00+23:59", "iso"),
        (EARLIEST_MS - 1, "ms"),
        (10**400, "s"),
        (10**300, "ns"),
    ],
)
def test_a_time_that_cannot_be_is_not_used(value, unit):
    with pytest.raises(PayloadTimeError, match=r"\A(out_of_range|not_a_time)\Z"):
        payload_time_ms(value, unit, NOW)


def test_a_sensors_clock_may_be_a_day_ahead_and_anything_while_ours_is_not_set():
    assert payload_time_ms(WALL_MS + AHEAD_MS, "ms", NOW) == WALL_MS + AHEAD_MS
    assert payload_time_ms(WALL_MS, "ms", UNSET) == WALL_MS
    with pytest.raises(PayloadTimeError, match="out_of_range"):
        payload_time_ms(LATEST_MS + 1, "ms", UNSET)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats().map(repr),
    st.text(max_size=50),
    st.lists(st.integers()),
    st.datetimes().map(str),
)


@given(ANYTHING, st.sampled_from(["auto", "s", "ms", "us", "ns", "iso"]), st.sampled_from([NOW, UNSET]))
def test_anything_is_a_sane_time_or_a_fault(value, unit, now):
    try:
        time_ms = payload_time_ms(value, unit, now)
    except PayloadTimeError:
        return
    assert isinstance(time_ms, int)
    assert EARLIEST_MS <= time_ms <= LATEST_MS


@pytest.mark.parametrize(("value", "fault"), [(math.nan, "not_a_time"), (math.inf, "out_of_range")])
def test_numbers_that_json_has_not_are_no_times(value, fault):
    with pytest.raises(PayloadTimeError, match=fault):
        payload_time_ms(value, "s", NOW)
