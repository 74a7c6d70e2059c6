"""Offers as state: whose turn, until when, and how many of the other side are answered."""

from __future__ import annotations

import pytest

from metered_realtime.negotiation_offers import (
    ANSWER_TIMEOUTS_S,
    OFFER_BURST,
    OFFER_REFILL_PER_S,
    OwnOffer,
    TheirOffers,
)
from tests.sdk.negotiating import facts, remote


def test_our_offer_is_made_sent_and_answered() -> None:
    own = OwnOffer()
    assert own.next_timer() is None
    token = own.begin(is_restart=True, rescues_channel=False)
    assert own.is_awaited(token)
    own.created(facts(), 1.0)
    assert own.next_timer() == 1.0
    assert (own.is_due(0.9), own.is_due(1.0)) == (False, True)
    own.sent(1.0)
    assert not own.is_awaited(token)
    assert own.next_timer() == 1.0 + ANSWER_TIMEOUTS_S[0]
    assert own.is_restart
    own.end()
    assert (own.phase, own.facts, own.is_restart, own.next_timer()) == ("stable", None, False, None)


def test_an_offer_given_up_is_told_from_the_next_one() -> None:
    own = OwnOffer()
    given_up = own.begin(is_restart=False, rescues_channel=True)
    own.end()
    assert not own.is_awaited(given_up)
    next_one = own.begin(is_restart=False, rescues_channel=False)
    assert (own.is_awaited(given_up), own.is_awaited(next_one), own.rescues_channel) == (False, True, False)


def test_an_answer_is_awaited_ever_longer_and_anew_with_the_next_session() -> None:
    own = OwnOffer()
    own.begin(is_restart=False, rescues_channel=False)
    own.sent(0.0)
    assert (own.is_overdue(3.9), own.is_overdue(4.0)) == (False, True)
    assert own.wait_again(4.0)
    assert own.next_timer() == 4.0 + ANSWER_TIMEOUTS_S[1]
    own.sent(5.0)
    assert own.next_timer() == 5.0 + ANSWER_TIMEOUTS_S[0]
    assert [own.wait_again(9.0) for _ in ANSWER_TIMEOUTS_S] == [True] * (len(ANSWER_TIMEOUTS_S) - 1) + [False]


def test_answers_are_given_in_a_burst_and_then_at_a_pace() -> None:
    theirs = TheirOffers()
    assert [theirs.may_answer(0.0) for _ in range(OFFER_BURST + 1)] == [True] * OFFER_BURST + [False]
    assert theirs.next_timer() is None
    theirs.held = remote("o")
    assert theirs.next_timer() == pytest.approx(1 / OFFER_REFILL_PER_S)
    assert theirs.may_answer(1 / OFFER_REFILL_PER_S)
    assert not theirs.may_answer(1 / OFFER_REFILL_PER_S)
    assert [theirs.may_answer(10_000.0) for _ in range(OFFER_BURST + 1)] == [True] * OFFER_BURST + [False]


def test_a_lost_answer_is_sent_again_once_and_not_after_its_connection() -> None:
    theirs = TheirOffers()
    theirs.answered(remote("o"))
    assert (theirs.answered_sdp, theirs.take_lost_answer()) == ("o", False)
    theirs.answer_is_lost = True
    assert [theirs.take_lost_answer(), theirs.take_lost_answer()] == [True, False]
    theirs.answer_is_lost = True
    theirs.forget_answer()
    assert (theirs.answered_sdp, theirs.take_lost_answer()) == (None, False)
