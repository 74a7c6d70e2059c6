"""When a token is renewed: by its own life, the service's clock, and never too often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.renewal import HOLD_S, LAST_CHANCE_S, LEAD_S, MIN_INTERVAL_S, Renewal, token_life_s

NOW = 1_700_000_000
NEVER = float("inf")


def planned(life_s: float, luck: float = 0.5) -> float | None:
    renewal = Renewal(lambda: luck)
    renewal.plan(int(NOW + life_s), NOW * 1000, 50.0)
    due = renewal.next_timer()
    return None if due == NEVER else due - 50.0


@pytest.mark.parametrize(("luck", "share"), [(0.0, 0.8), (0.5, 0.85), (1.0, 0.9)])
def test_a_token_is_renewed_late_in_its_life_but_not_by_all_at_once(luck, share):
    assert planned(3600, luck) == pytest.approx(3600 * share)


def test_a_short_token_is_renewed_some_seconds_before_its_end():
    assert planned(10) == pytest.approx(10 - LEAD_S)


@pytest.mark.parametrize("life_s", [-5, 0, 1, 5, 401 * 86_400])
def test_a_token_too_short_or_absurdly_long_is_left_to_its_end(life_s):
    assert planned(life_s) is None


@pytest.mark.parametrize(
    ("expires_at", "server_time", "life_s"),
    [
        (None, NOW * 1000, None),
        (NOW + 60, NOW * 1000, 60.0),
        (NOW + 60, NOW, 60.0),
        (NOW + 60, NOW * 1000 + 500, 59.5),
        (NOW + 60, 0, None),
        (NOW + 60, -NOW, None),
        (NOW + 60, 1, None),
        (0, NOW, None),
        (10**400, NOW, None),
        (NOW, 10**400, None),
    ],
)
def test_the_life_of_a_token_is_told_by_the_clock_of_the_service(expires_at, server_time, life_s):
    assert token_life_s(expires_at, server_time) == life_s


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_renewals_are_never_close_together_nor_too_late(life_s, luck):
    after_s = planned(life_s, luck)
    if after_s is not None:
        assert MIN_INTERVAL_S <= after_s <= life_s - LAST_CHANCE_S


def test_a_renewal_goes_through_its_phases():
    renewal = Renewal(lambda: 0.5)
    renewal.plan(NOW + 100, NOW, 0.0)
    assert not renewal.is_due(84.9)
    assert renewal.is_due(85.1)
    renewal.ask()
    assert (renewal.phase, renewal.next_timer()) == ("asking", NEVER)
    renewal.dial(86.0)
    assert (renewal.phase, renewal.next_timer()) == ("dialling", 86.0 + HOLD_S)
    renewal.welcome_by_s = 87.0
    assert renewal.next_timer() == 87.0
    renewal.plan(NOW + 186, NOW + 86, 87.0)
    assert (renewal.phase, renewal.next_timer()) == ("idle", pytest.approx(87.0 + 85.0))


def renewing(life_s: int) -> Renewal:
    renewal = Renewal(lambda: 0.5)
    renewal.plan(NOW + life_s, NOW, 0.0)
    renewal.ask()
    return renewal


def test_a_failed_renewal_is_tried_again_ever_more_slowly_until_the_token_ends():
    renewal = renewing(3600)
    now_s, waits = 3060.0, []
    while True:
        renewal.failed(now_s)
        due = renewal.next_timer()
        if due == NEVER:
            break
        waits.append(due - now_s)
        now_s = due
        renewal.ask()
    assert waits[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert max(waits) == 60.0
    assert 3600 - 61 < now_s <= 3600 - LAST_CHANCE_S
    assert renewal.failures == len(waits) + 1


def test_a_renewal_that_gained_nothing_is_not_followed_by_another():
    renewal = renewing(100)
    renewal.dial(85.0)
    renewal.plan(NOW + 101, NOW + 85, 85.0)
    assert renewal.next_timer() == NEVER


def test_a_token_without_an_end_ends_the_renewals():
    renewal = renewing(100)
    renewal.dial(85.0)
    renewal.plan(None, NOW + 85, 85.0)
    assert renewal.next_timer() == NEVER


def test_a_renewal_can_be_called_off():
    renewal = renewing(100)
    renewal.cancel()
    assert (renewal.phase, renewal.next_timer()) == ("idle", NEVER)
