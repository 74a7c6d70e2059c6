"""Ages and times of what was taken in before and after the clock was set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.moments import FLOOR_MS, NO_MOMENT, ClockSigns, Moment, is_trusted

WALL_MS = 1_790_000_000_000
moments = st.builds(
    Moment,
    st.sampled_from(["", "a", "b"]),
    st.integers(0, 10**12),
    st.integers(0, 4 * 10**12),
    st.booleans(),
)


def test_within_one_boot_the_age_is_the_uptime_that_passed_whatever_the_wall_clock_did():
    taken = Moment("a", 5_000, 0, False)
    assert taken.age_s(Moment("a", 8_500, WALL_MS, True)) == 3.5


def test_across_boots_the_age_is_the_wall_clocks_difference_if_both_were_set():
    taken = Moment("a", 5_000, WALL_MS, True)
    assert taken.age_s(Moment("b", 10, WALL_MS + 60_000, True)) == 60.0
    assert taken.age_s(Moment("b", 10, WALL_MS - 60_000, True)) == 0.0


@pytest.mark.parametrize(("was_set", "is_set"), [(False, True), (True, False), (False, False)])
def test_across_boots_with_a_clock_that_was_not_set_nobody_knows_the_age(was_set, is_set):
    assert Moment("a", 1, WALL_MS, was_set).age_s(Moment("b", 2, WALL_MS, is_set)) is None


def test_two_unknown_boots_are_not_the_same_one():
    assert Moment("", 1, 0, False).age_s(Moment("", 2, 0, False)) is None
    assert NO_MOMENT.corrected_ms(Moment("", 2, WALL_MS, True)) is None


def test_a_time_from_a_set_clock_is_kept():
    assert Moment("a", 1, WALL_MS, True).corrected_ms(Moment("b", 1, 0, False)) == WALL_MS


def test_a_time_from_before_the_clock_was_set_is_worked_out_once_it_is():
    taken = Moment("a", 5_000, 86_400_000, False)
    assert taken.corrected_ms(Moment("a", 65_000, WALL_MS, True)) == WALL_MS - 60_000
    assert taken.corrected_ms(Moment("a", 65_000, 86_460_000, False)) is None
    assert taken.corrected_ms(Moment("b", 65_000, WALL_MS, True)) is None


@given(moments, moments)
def test_an_age_is_never_negative_and_known_wherever_the_time_of_both_is(taken, now):
    age_s = taken.age_s(now)
    assert age_s is None or age_s >= 0
    if now.is_set and taken.corrected_ms(now) is not None:
        assert age_s is not None


def test_a_clock_below_the_floor_is_not_set_whoever_says_so():
    assert not is_trusted(FLOOR_MS - 1, ClockSigns(True, FLOOR_MS, False))


@pytest.mark.parametrize(
    ("signs", "trusted"),
    [
        (ClockSigns(True, None, True), True),
        (ClockSigns(False, None, True), False),  # A Raspberry Pi that was booted without a network.
        (ClockSigns(False, None, False), True),  # A container or a virtual machine: the host's clock.
        (ClockSigns(False, WALL_MS - 1000, True), True),
        (ClockSigns(False, WALL_MS + 10 * 3_600_000, False), True),  # It runs in local time.
        (ClockSigns(False, 600_000, True), False),  # It has no battery and has started in 1970.
        (ClockSigns(False, 946_684_800_000, False), False),
    ],
)
def test_a_clock_is_trusted_by_a_time_service_a_battery_or_the_host(signs, trusted):
    assert is_trusted(WALL_MS, signs) is trusted
