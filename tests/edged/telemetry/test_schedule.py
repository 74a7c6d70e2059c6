from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.schedule import ASSUMED_PER_S, ONE_IN, LaneTurns, LinkRate, LiveShare


def test_a_lane_alone_always_goes():
    turns = LaneTurns(3)
    assert [turns.pick([0]) for _ in range(20)] == [0] * 20


def test_higher_lanes_go_first_and_lower_ones_once_in_eight():
    turns = LaneTurns(3)
    picks = [turns.pick([0, 1, 2]) for _ in range(800)]
    assert picks[:6] == [2] * 6
    assert picks.count(2) > 590
    assert picks.count(0) >= 100
    assert picks.count(1) >= 100


WORK = [list(lanes) for size in (1, 2, 3) for lanes in combinations(range(3), size)]


@given(st.lists(st.sampled_from(WORK), min_size=50, max_size=120))
def test_no_lane_with_work_waits_for_more_than_seven_messages(work):
    turns = LaneTurns(3)
    waited = [0, 0, 0]
    for lanes in work:
        picked = turns.pick(lanes)
        assert picked in lanes
        for lane in range(3):
            waited[lane] = (
                waited[lane] + 1 if lane in lanes and lane != picked else 0 if lane == picked else waited[lane]
            )
            assert lane == 2 or waited[lane] < ONE_IN


@pytest.mark.parametrize(("share", "live"), [(0.0, 0), (0.25, 25), (0.5, 50), (1.0, 100)])
def test_live_readings_get_their_share(share, live):
    shares = LiveShare(share)
    assert sum(shares.is_live_next() for _ in range(100)) == live


def test_the_rate_of_the_link_is_learnt_while_more_waits_than_fits():
    rate = LinkRate()
    assert rate.per_s == ASSUMED_PER_S
    now_s = 0.0
    for _ in range(400):
        now_s += 0.1
        rate.settled(10, now_s, is_busy=True)
    assert rate.per_s == pytest.approx(100, rel=0.05)
    for _ in range(400):
        now_s += 1
        rate.settled(1, now_s, is_busy=False)
    assert rate.per_s == pytest.approx(100, rel=0.05)


def test_an_outage_says_nothing_about_the_rate():
    rate = LinkRate()
    rate.settled(10, 0.0, is_busy=True)
    rate.interrupted()
    rate.settled(10, 1000.0, is_busy=True)
    assert rate.per_s == ASSUMED_PER_S
