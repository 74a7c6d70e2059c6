"""Consent: asked for at its times, lost and expired at theirs, whatever comes in between."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from metered_realtime.ice_consent import CONSENT_EXPIRES_S, CONSENT_LOST_S, Consent, ConsentTimings

TIMINGS = ConsentTimings()


def run(consent, now_s, until_s):
    """Step a consent nobody answers; return when it asked, when it was lost, when it expired."""
    asked, lost, expired = [], [], []
    while now_s < until_s:
        step = consent.step(now_s)
        asked += [now_s] * step.ask
        lost += [now_s] * step.just_lost
        expired += [now_s] * step.just_expired
        if consent.is_expired:
            break
        now_s += max(step.wait_s, 0.001)
    return asked, lost, expired


def test_a_dead_path_is_lost_within_five_seconds_and_expires_after_thirty():
    asked, lost, expired = run(Consent(100.0, TIMINGS), 100.0, 200.0)
    assert 102 <= asked[0] <= 103
    assert len(lost) == len(expired) == 1
    assert 100 + CONSENT_LOST_S <= lost[0] <= 105
    assert 100 + CONSENT_EXPIRES_S <= expired[0] <= 131
    assert all(0.4 < later - earlier < 0.6 for earlier, later in itertools.pairwise(asked))


def test_an_answered_path_is_asked_seldom():
    consent, now_s, asks = Consent(0.0, TIMINGS), 0.0, 0
    while now_s < 100:
        step = consent.step(now_s)
        if step.ask:
            asks += 1
            assert consent.confirm(now_s + 0.05) is False
        now_s += max(step.wait_s, 0.06) if not step.ask else 0.06
    assert 30 < asks < 55
    assert not consent.is_lost


def test_an_answer_brings_a_lost_path_back():
    consent = Consent(0.0, TIMINGS)
    run(consent, 0.0, 10.0)
    assert consent.is_lost
    assert consent.confirm(10.0) is True
    assert not consent.is_lost
    assert run(consent, 10.0, 20.0)[1][0] >= 10 + CONSENT_LOST_S


def test_an_expired_path_stays_so():
    consent = Consent(0.0, TIMINGS)
    run(consent, 0.0, 40.0)
    assert consent.confirm(40.0) is False
    assert consent.is_expired
    assert not consent.step(41.0).ask


def test_a_process_that_slept_asks_before_it_takes_the_path_for_lost():
    consent = Consent(0.0, TIMINGS)
    step = consent.step(1000.0)
    assert step.ask
    assert not step.just_lost
    assert not consent.is_expired


class AnyLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now_s = 0.0
        self.answered_s = 0.0
        self.consent = Consent(0.0, TIMINGS)
        self.wait_s = 0.0

    @rule(late_s=st.floats(0, 3))
    def wake(self, late_s):
        self.now_s += self.wait_s + late_s
        was_lost = self.consent.is_lost
        step = self.consent.step(self.now_s)
        self.wait_s = step.wait_s
        assert not (step.just_lost and was_lost)
        assert not (step.just_lost and self.now_s - self.answered_s < TIMINGS.lost_s)
        assert not (step.just_expired and self.now_s - self.answered_s < TIMINGS.expires_s)

    @precondition(lambda self: not self.consent.is_expired)
    @rule()
    def answer(self):
        was_lost = self.consent.is_lost
        assert self.consent.confirm(self.now_s) is was_lost
        self.answered_s = self.now_s

    @invariant()
    def it_never_sleeps_too_long(self):
        assert 0 <= self.wait_s <= TIMINGS.interval_s * 1.2 + 1e-9


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def asks_while_heard(hear):
    """Step for 100 s a consent that is answered; `hear(now_s)` tells when something last came in. Return the asks."""
    consent, now_s, asks = Consent(0.0, TIMINGS), 0.0, []
    while now_s < 100:
        step = consent.step(now_s, hear(now_s))
        if step.ask:
            asks.append(now_s)
            consent.confirm(now_s + 0.05)
        now_s += max(step.wait_s, 0.06)
    return asks


def test_a_path_over_which_reports_come_is_asked_as_seldom_as_the_standard_says():
    asks = asks_while_heard(lambda now_s: now_s - now_s % 1.0)
    assert 15 < len(asks) < 27
    assert all(3.9 < later - earlier < 6.3 for earlier, later in itertools.pairwise(asks))


def test_a_path_that_falls_silent_is_lost_as_soon_as_one_that_always_was():
    for silent_s in (0.5, 2.0, 3.7, 4.9):
        consent = Consent(0.0, TIMINGS)
        lost, now_s = None, 0.0
        while lost is None:
            step = consent.step(now_s, min(now_s, silent_s))
            lost = now_s if step.just_lost else None
            now_s += max(step.wait_s, 0.001)
        assert silent_s + 1.4 <= lost <= silent_s + CONSENT_LOST_S + 0.51


def test_what_comes_in_is_no_consent():
    consent, now_s = Consent(0.0, TIMINGS), 0.0
    while not consent.is_expired:
        now_s += max(consent.step(now_s, now_s).wait_s, 0.001)
    assert CONSENT_EXPIRES_S <= now_s <= CONSENT_EXPIRES_S + 1


def test_a_path_that_is_dead_in_one_direction_is_lost_two_seconds_after_it_was_asked():
    consent, now_s, asked_s, lost_s = Consent(0.0, TIMINGS), 0.0, None, None
    while lost_s is None:
        step = consent.step(now_s, now_s)
        asked_s = now_s if step.ask and asked_s is None else asked_s
        lost_s = now_s if step.just_lost else None
        now_s += max(step.wait_s, 0.001)
    assert 4.0 <= asked_s <= 6.0
    assert asked_s + 1.4 <= lost_s <= asked_s + 2.6
