"""The ladder of one lost path: what is tried, when, and when it is over."""

from __future__ import annotations

import pytest

from metered_realtime.recovery import (
    ATTEMPT_DELAYS_S,
    CLOSED_GRACE_S,
    CONNECT_TIMEOUT_S,
    DELAY_AFTER_LADDER_S,
    MAX_RESTARTS,
    NETWORK_GRACE_S,
    RESTART_SPACING_S,
    RESTART_TIMEOUT_S,
    Recovery,
)


def connected() -> Recovery:
    recovery = Recovery()
    recovery.agreed(0.0, restarted=False)
    assert recovery.is_under_way
    assert recovery.next_timer() == CONNECT_TIMEOUT_S
    recovery.connected()
    assert recovery.next_timer() is None
    assert not recovery.is_under_way
    return recovery


def test_attempts_come_at_growing_intervals_restarts_first_and_the_end_is_told_once() -> None:
    recovery = connected()
    now_s, steps, ends = 0.0, [], []
    for delay_s in (*ATTEMPT_DELAYS_S, DELAY_AFTER_LADDER_S, DELAY_AFTER_LADDER_S):
        ends.append(not recovery.plan(now_s, may_restart=True))
        assert recovery.next_timer() == now_s + delay_s
        assert recovery.due(now_s + delay_s - 0.01) is None or delay_s == 0
        now_s += delay_s
        steps.append(recovery.due(now_s) or "restart")
    assert steps == ["restart"] * MAX_RESTARTS + ["rebuild"] * (len(steps) - MAX_RESTARTS)
    assert ends == [False] * len(ATTEMPT_DELAYS_S) + [True, False]


def test_a_path_gives_a_fresh_ladder() -> None:
    recovery = connected()
    for _ in range(5):
        recovery.plan(0.0, may_restart=True)
        recovery.due(1000.0)
    recovery.connected()
    recovery.plan(5.0, may_restart=True)
    assert recovery.due(5.0) == "restart"


def test_of_two_plans_the_graver_one_counts_and_the_earlier_time() -> None:
    recovery = connected()
    recovery.plan(0.0, may_restart=True)
    recovery.due(0.0)
    recovery.plan(0.0, may_restart=True)
    recovery.plan(0.5, may_restart=False, keep_layout=False)
    assert recovery.awaits_rebuild
    assert not recovery.keeps_layout
    assert recovery.due(ATTEMPT_DELAYS_S[1]) == "rebuild"


def test_a_closed_connection_is_not_replaced_before_word_of_a_departure_could_come() -> None:
    recovery = connected()
    recovery.plan(1.0, may_restart=False, keep_layout=False)
    assert recovery.next_timer() == 1.0 + CLOSED_GRACE_S


def test_what_is_known_to_be_needed_is_done_at_once_a_few_times() -> None:
    recovery = connected()
    delays = []
    for _ in range(MAX_RESTARTS + 1):
        recovery.plan(0.0, may_restart=False, at_once=True)
        delays.append(recovery.next_timer())
        recovery.due(1000.0)
    assert delays == [0.0] * MAX_RESTARTS + [ATTEMPT_DELAYS_S[MAX_RESTARTS]]


def test_a_dead_connection_is_only_replaced() -> None:
    recovery = connected()
    recovery.is_dead = True
    recovery.plan(0.0, may_restart=True)
    assert recovery.due(0.0) == "rebuild"
    recovery.replaced()
    assert not recovery.is_dead
    assert recovery.is_under_way  # the ladder goes on until there is a path


def test_a_restart_has_less_time_than_a_first_connection() -> None:
    recovery = connected()
    recovery.plan(0.0, may_restart=True)
    recovery.due(0.0)
    recovery.agreed(1.0, restarted=True)
    assert recovery.next_timer() == 1.0 + RESTART_TIMEOUT_S
    assert not recovery.is_late(1.0)
    assert recovery.is_late(1.0 + RESTART_TIMEOUT_S)
    fresh = Recovery()
    fresh.agreed(1.0, restarted=True)
    assert fresh.next_timer() == 1.0 + CONNECT_TIMEOUT_S


def test_another_agreement_does_not_put_off_an_attempt_nor_a_deadline() -> None:
    recovery = connected()
    recovery.plan(0.0, may_restart=True)
    recovery.due(0.0)
    recovery.plan(0.0, may_restart=True)
    recovery.agreed(0.5, restarted=False)
    assert recovery.next_timer() == ATTEMPT_DELAYS_S[1]
    fresh = Recovery()
    fresh.agreed(0.0, restarted=False)
    fresh.agreed(5.0, restarted=False)
    assert fresh.next_timer() == CONNECT_TIMEOUT_S


def test_a_change_of_the_network_is_answered_after_a_moment_and_not_too_often() -> None:
    recovery = connected()
    recovery.network_changed(10.0)
    recovery.network_changed(10.1)
    assert recovery.next_timer() == 10.0 + NETWORK_GRACE_S
    assert recovery.due(10.2) == "restart"
    recovery.agreed(10.3, restarted=True)
    assert recovery.next_timer() is None  # the path in use is good until somebody says otherwise
    recovery.network_changed(10.4)
    assert recovery.next_timer() == pytest.approx(10.3 + RESTART_SPACING_S)


def test_a_change_of_the_network_hurries_what_is_under_way() -> None:
    recovery = Recovery()
    recovery.network_changed(0.0)
    assert recovery.next_timer() is None  # nothing is
    recovery.agreed(0.0, restarted=False)
    recovery.network_changed(1.0)
    assert recovery.due(1.0 + NETWORK_GRACE_S) == "restart"
    recovery.plan(2.0, may_restart=False)
    recovery.network_changed(2.0)
    assert recovery.awaits_rebuild


def test_a_network_that_never_rests_does_not_put_off_what_it_hurries() -> None:
    recovery = connected()
    recovery.plan(0.0, may_restart=True)
    recovery.due(0.0)
    recovery.plan(0.0, may_restart=True)
    for tenth in range(1, 5):
        recovery.network_changed(tenth / 10)
    assert recovery.due(0.1 + NETWORK_GRACE_S) == "restart"


def test_with_the_service_back_what_waits_is_done_soon_and_the_ladder_is_fresh() -> None:
    recovery = connected()
    recovery.signalling_up(0.0)
    assert recovery.next_timer() is None
    for _ in range(12):
        recovery.plan(0.0, may_restart=True)
        recovery.due(1000.0)
    recovery.plan(0.0, may_restart=True)
    recovery.signalling_up(2.0)
    assert recovery.next_timer() == 2.0 + CLOSED_GRACE_S
    assert recovery.due(3.0) == "rebuild"
    recovery.plan(3.0, may_restart=True)
    assert recovery.due(4.0) == "restart"


def test_renewal_is_at_once_and_keeps_nothing() -> None:
    recovery = connected()
    recovery.renew(7.0)
    assert recovery.awaits_rebuild
    assert not recovery.keeps_layout
    assert recovery.due(7.0) == "rebuild"
