"""Perfect negotiation, every rule by itself: who offers, who answers, who gives way."""

from __future__ import annotations

import pytest

from metered_realtime.description import SessionFacts
from metered_realtime.negotiation import (
    CHANNEL_GRACE_S,
    FIRST_OFFER_GRACE_S,
    Negotiation,
)
from metered_realtime.negotiation_actions import (
    Action,
    Answer,
    ApplyAnswer,
    CreateOffer,
    Rebuild,
    RemoteDescription,
    Report,
    ReportExhausted,
    SendAnswer,
    SendOffer,
    TakeBackOffer,
)
from metered_realtime.negotiation_offers import ANSWER_TIMEOUTS_S, OFFER_BURST
from metered_realtime.recovery import (
    ATTEMPT_DELAYS_S,
    CLOSED_GRACE_S,
    CONNECT_TIMEOUT_S,
    DELAY_AFTER_LADDER_S,
    MAX_RESTARTS,
)
from tests.sdk.negotiating import facts, offering, remote, settled


def test_polite_side_sends_its_first_offer_at_once() -> None:
    core = Negotiation(polite=True)
    (create,) = core.want_offer("media", 5.0)
    assert core.offer_created(create.token, facts(), 5.0) == [SendOffer()]


def test_impolite_side_leaves_a_browser_time_to_offer_first() -> None:
    core = Negotiation(polite=False)
    (create,) = core.want_offer("media", 5.0)
    assert core.offer_created(create.token, facts(), 5.01) == []
    assert core.next_timer() == pytest.approx(5.0 + FIRST_OFFER_GRACE_S)
    assert core.tick(5.0 + FIRST_OFFER_GRACE_S) == [SendOffer()]


def test_an_offer_not_sent_yet_gives_way_even_on_the_impolite_side() -> None:
    core = Negotiation(polite=False)
    (create,) = core.want_offer("media", 0.0)
    offer = remote("o", ("video", "0"))
    assert core.remote_offer(offer, 0.0) == [TakeBackOffer(), Answer(offer)]
    again = core.answered(offer, need="media", now_s=0.0)
    assert again == [CreateOffer(create.token + 1, None, with_channel=False)]
    assert core.offer_created(create.token, facts(), 0.0) == []  # of the offer taken back


def test_impolite_side_ignores_a_colliding_offer() -> None:
    core = Negotiation(polite=False)
    offering(core)
    assert core.remote_offer(remote("o", ("video", "0")), 0.1) == []
    assert not core.is_stable


def test_polite_side_takes_its_offer_back_answers_and_offers_again() -> None:
    core = Negotiation(polite=True)
    offering(core)
    offer = remote("o", ("video", "0"))
    assert core.remote_offer(offer, 0.1) == [TakeBackOffer(), Answer(offer)]
    (create,) = core.answered(offer, need="media", now_s=0.1)
    assert isinstance(create, CreateOffer)


def test_nothing_follows_an_answer_when_nothing_is_left_to_say() -> None:
    core = Negotiation(polite=True)
    offer = remote("o")
    assert core.remote_offer(offer, 0.0) == [Answer(offer)]
    assert core.answered(offer, need="nothing", now_s=0.0) == []
    assert core.is_stable


def test_a_data_channel_the_other_side_lost_in_a_collision_is_offered_under_its_mid() -> None:
    core = Negotiation(polite=False)
    ours = offering(core)
    assert core.remote_offer(remote("o", ("application", "0")), 0.1) == []
    answer = RemoteDescription("a", SessionFacts("b", "b", ours.sections))
    assert core.remote_answer(answer, 0.2) == [ApplyAnswer(answer)]
    (create,) = core.answer_applied(answer, need="nothing", now_s=0.2)
    assert (create.channel_mid, create.with_channel) == ("0", True)
    # Chromium offers for ever without its channel until ours arrives: those offers are left alone.
    assert core.remote_offer(remote("o2", ("video", "e1")), 0.2) == []
    assert core.offer_created(create.token, facts(("video", "e1"), ("application", "0")), 0.21) == [SendOffer()]


def test_no_second_channel_is_offered_where_the_answer_has_one() -> None:
    core = Negotiation(polite=False)
    (create,) = core.want_offer("channel", 0.0) or core.tick(CHANNEL_GRACE_S)
    ours = facts(("application", "0"))
    assert core.offer_created(create.token, ours, 1.0) == [SendOffer()]
    core.remote_offer(remote("o", ("application", "0")), 1.1)
    answer = remote("a", ("application", "0"))
    assert core.remote_answer(answer, 1.2) == [ApplyAnswer(answer)]
    assert core.answer_applied(answer, need="nothing", now_s=1.2) == []


def test_impolite_side_offers_media_first_and_a_channel_after_a_moment() -> None:
    core = Negotiation(polite=False)
    (create,) = core.want_offer("media", 0.0)
    assert not create.with_channel
    core.offer_created(create.token, facts(), 1.0)
    answer = remote("a", ("video", "e1"))
    core.remote_answer(answer, 1.0)
    assert core.answer_applied(answer, need="channel", now_s=1.0) == []
    assert core.next_timer() == pytest.approx(1.0 + CHANNEL_GRACE_S)
    (later,) = core.tick(1.0 + CHANNEL_GRACE_S)
    assert later.with_channel


def test_a_channel_wish_that_ends_stops_its_timer() -> None:
    core = Negotiation(polite=False)
    assert core.want_offer("channel", 0.0) == []
    assert core.want_offer("nothing", 0.0) == []
    assert core.next_timer() is None


def test_polite_side_opens_a_channel_at_once() -> None:
    (create,) = Negotiation(polite=True).want_offer("channel", 0.0)
    assert create.with_channel


def test_an_unanswered_offer_is_sent_again_and_finally_taken_back() -> None:
    core = Negotiation(polite=True)
    offering(core)
    now_s = 0.0
    for timeout_s in ANSWER_TIMEOUTS_S[:-1]:
        now_s += timeout_s
        assert core.next_timer() == pytest.approx(now_s)
        assert core.tick(now_s) == [SendOffer()]
    now_s += ANSWER_TIMEOUTS_S[-1]
    assert [type(action) for action in core.tick(now_s)] == [TakeBackOffer, Report]
    assert core.next_timer() is None
    assert core.tick(now_s + 1000) == []
    assert isinstance(core.want_offer("media", now_s)[0], CreateOffer)  # the next change


def test_the_same_offer_again_gets_the_same_answer_again() -> None:
    core = Negotiation(polite=False)
    offer = remote("o")
    core.remote_offer(offer, 0.0)
    core.answered(offer, need="nothing", now_s=0.0)
    assert core.remote_offer(remote("o"), 4.0) == [SendAnswer()]


def test_the_same_offer_for_ever_is_answered_only_as_fast_as_any_other() -> None:
    core = Negotiation(polite=True)
    core.remote_offer(remote("o"), 0.0)
    core.answered(remote("o"), need="nothing", now_s=0.0)
    answers = sum(core.remote_offer(remote("o"), 0.0) == [SendAnswer()] for _ in range(100))
    assert answers == OFFER_BURST - 1
    assert core.remote_offer(remote("o"), 1.0) == [SendAnswer()]


def test_what_was_under_way_is_sent_again_with_the_next_session() -> None:
    core = Negotiation(polite=True)
    offering(core)
    assert core.signalling_up(10.0) == [SendOffer()]
    assert core.next_timer() == pytest.approx(10.0 + ANSWER_TIMEOUTS_S[0])


def test_a_lost_answer_is_sent_again_once() -> None:
    core = Negotiation(polite=True)
    offer = remote("o")
    core.remote_offer(offer, 0.0)
    core.answered(offer, need="nothing", now_s=0.0)
    assert core.answer_lost() == []
    assert core.signalling_up(1.0) == [SendAnswer()]
    assert core.signalling_up(2.0) == []


def test_an_answer_that_belongs_to_no_pending_offer_is_dropped() -> None:
    core = Negotiation(polite=True)
    assert core.remote_answer(remote("a"), 0.0) == []
    offering(core)
    assert core.remote_answer(remote("a", ("video", "e1"), ("audio", "e2")), 0.0) == []
    assert not core.is_stable


def test_an_offer_from_a_new_connection_is_answered_from_a_new_connection() -> None:
    core = Negotiation(polite=False)
    settled(core)
    core.connection_changed("connected", 0.5)
    offer = remote("o", ("video", "0"), session="c")
    assert core.remote_offer(offer, 1.0) == [Answer(offer, rebuild=True)]


def test_an_offer_whose_sections_are_not_where_they_were_is_answered_from_a_new_connection() -> None:
    core = Negotiation(polite=False)
    settled(core)
    core.connection_changed("connected", 0.5)
    ours_is_unknown = remote("o", ("video", "theirs"), ("video", "e1"))
    assert core.remote_offer(ours_is_unknown, 1.0) == [Answer(ours_is_unknown, rebuild=True)]


def test_an_answer_from_a_new_connection_makes_us_start_over() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("connected", 0.5)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.remote_answer(remote("a", ("video", "e1"), session="c"), 1.1) == [Rebuild(keep_layout=True)]


def test_a_failed_connection_is_rebuilt_in_the_same_layout_at_growing_intervals() -> None:
    core = Negotiation(polite=True)
    settled(core)
    now_s = 0.0
    for delay_s in (*ATTEMPT_DELAYS_S, DELAY_AFTER_LADDER_S):
        actions = core.connection_changed("failed", now_s)
        if delay_s:
            assert actions == ([ReportExhausted(9)] if delay_s == DELAY_AFTER_LADDER_S else [])
            now_s += delay_s
            actions = core.tick(now_s)
        assert actions == [Rebuild(keep_layout=True)]
        core.rebuilt(need="nothing", now_s=now_s)


def test_the_end_of_the_ladder_is_reported_once() -> None:
    core = Negotiation(polite=True)
    settled(core)
    reports = 0
    for attempt in range(len(ATTEMPT_DELAYS_S) + 3):
        actions = core.connection_changed("failed", attempt * 1000.0) + core.tick(attempt * 1000.0 + 999)
        reports += sum(isinstance(action, ReportExhausted) for action in actions)
        core.rebuilt(need="nothing", now_s=attempt * 1000.0)
    assert reports == 1


def test_a_connection_gives_a_fresh_ladder() -> None:
    core = Negotiation(polite=True)
    settled(core)
    for now_s in (0.0, 10.0):
        assert core.connection_changed("failed", now_s) == [Rebuild(keep_layout=True)]
        core.rebuilt(need="nothing", now_s=now_s)
        core.connection_changed("connected", now_s)


def test_a_connection_on_its_way_asks_for_nothing() -> None:
    core = Negotiation(polite=True)
    settled(core)
    assert core.connection_changed("connecting", 0.1) == []
    assert core.next_timer() == pytest.approx(CONNECT_TIMEOUT_S)


def test_a_closed_connection_waits_for_word_that_the_peer_left_and_forgets_its_layout() -> None:
    core = Negotiation(polite=True)
    settled(core)
    assert core.connection_changed("closed", 1.0) == []
    assert core.next_timer() == pytest.approx(1.0 + CLOSED_GRACE_S)
    assert core.tick(1.0 + CLOSED_GRACE_S) == [Rebuild(keep_layout=False)]


def test_closed_after_failed_forgets_the_layout_as_well() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("failed", 0.0)
    core.rebuilt(need="nothing", now_s=0.0)
    core.connection_changed("failed", 0.0)
    core.connection_changed("closed", 0.1)
    assert core.tick(100.0) == [Rebuild(keep_layout=False)]


def test_an_offer_that_comes_while_a_closed_connection_waits_is_answered_from_a_new_one() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("closed", 1.0)
    offer = remote("o", ("video", "0"), session="c")
    assert core.remote_offer(offer, 1.1) == [Answer(offer, rebuild=True)]
    assert core.tick(10.0) == []


def test_no_connection_in_time_after_an_answer_counts_as_failed() -> None:
    core = Negotiation(polite=True)
    settled(core)
    assert core.next_timer() == pytest.approx(CONNECT_TIMEOUT_S)
    assert core.tick(CONNECT_TIMEOUT_S) == [Rebuild(keep_layout=True)]


def test_renewal_starts_over_at_once() -> None:
    core = Negotiation(polite=True)
    settled(core)
    assert core.renew(1.0) == [Rebuild(keep_layout=False)]
    assert core.rebuilt(need="media", now_s=1.0) == [CreateOffer(2, None, with_channel=True)]


def test_offers_beyond_the_budget_are_answered_at_a_slower_pace_and_only_the_newest() -> None:
    core = Negotiation(polite=False)
    for number in range(OFFER_BURST):
        offer = remote(f"o{number}", ("video", "0"))
        assert core.remote_offer(offer, 0.0) == [Answer(offer)]
        core.answered(offer, need="nothing", now_s=0.0)
    assert core.remote_offer(remote("late", ("video", "0")), 0.0) == []
    newest = remote("newest", ("video", "0"))
    assert core.remote_offer(newest, 0.1) == []
    due = core.next_timer()
    assert due is not None
    assert due == pytest.approx(1.0, abs=0.1)
    assert core.tick(due) == [Answer(newest)]
    assert core.want_offer("media", due)[0] == CreateOffer(1, None, with_channel=False)


def test_our_offer_waits_behind_one_that_is_held() -> None:
    core = Negotiation(polite=True)
    for number in range(OFFER_BURST):
        core.remote_offer(remote(f"o{number}"), 0.0)
        core.answered(remote(f"o{number}"), need="nothing", now_s=0.0)
    core.remote_offer(remote("held"), 0.0)
    assert core.want_offer("media", 0.0) == []


def test_an_offer_that_cannot_be_made_is_reported_and_not_repeated_by_itself() -> None:
    core = Negotiation(polite=True)
    (create,) = core.want_offer("media", 0.0)
    (report,) = core.offer_failed(create.token, "why", 0.0)
    assert "why" in report.sentence
    assert core.tick(1000.0) == []
    assert core.offer_failed(create.token, "again", 0.0) == []


def test_nothing_to_offer_returns_to_stable_in_silence() -> None:
    core = Negotiation(polite=True)
    (create,) = core.want_offer("media", 0.0)
    assert core.nothing_to_offer(create.token) == []
    assert core.is_stable
    assert core.nothing_to_offer(create.token) == []


def test_an_unusable_offer_is_reported_and_ours_still_goes_out() -> None:
    core = Negotiation(polite=True)
    offering(core)
    core.remote_offer(remote("o", ("video", "0")), 0.0)
    report, create = core.offer_refused("why", 0.0)
    assert isinstance(report, Report)
    assert isinstance(create, CreateOffer)


def test_an_unusable_answer_is_reported_and_the_offer_taken_back() -> None:
    core = Negotiation(polite=True)
    offering(core)
    assert [type(action) for action in core.answer_refused("why", 0.0)] == [TakeBackOffer, Report]
    assert core.tick(1000.0) == []


# Offers that nobody takes back ------------------------------------------------------------------------


def test_an_offer_passed_over_is_answered_where_its_sender_does_not_give_way() -> None:
    core = Negotiation(polite=False)
    offering(core)
    offer = remote("o", ("video", "0"))
    assert core.remote_offer(offer, FIRST_OFFER_GRACE_S + 0.1) == []
    due = core.next_timer()
    assert due == pytest.approx(FIRST_OFFER_GRACE_S + ANSWER_TIMEOUTS_S[0])
    assert core.tick(due) == [TakeBackOffer(), Answer(offer)]
    (create,) = core.answered(offer, need="media", now_s=due)
    assert isinstance(create, CreateOffer)


def test_an_offer_whose_sender_gave_way_is_not_answered_later() -> None:
    core = Negotiation(polite=False)
    offering(core)
    core.remote_offer(remote("o", ("video", "0")), 0.1)
    answer = remote("a", ("video", "e1"))
    core.remote_answer(answer, 0.2)
    core.answer_applied(answer, need="nothing", now_s=0.2)
    core.connection_changed("connected", 0.3)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.tick(1.0 + ANSWER_TIMEOUTS_S[0]) == [SendOffer()]


def answered_another(core: Negotiation) -> list[Action]:
    """The other side answers an offer of two sections, which was given up, while one of one section waits."""
    settled(core)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    return core.remote_answer(remote("a", ("video", "e1"), ("audio", "e2"), session="b"), 1.1)


def test_an_answer_to_an_offer_that_was_given_up_says_which_sections_its_author_holds() -> None:
    core = Negotiation(polite=True)
    assert answered_another(core) == [Rebuild(keep_layout=True, layout=(("video", "e1"), ("audio", "e2")))]


def test_a_working_connection_is_not_given_up_for_an_answer_to_another_offer() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("connected", 0.5)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.remote_answer(remote("a", ("video", "e1"), ("audio", "e2")), 1.1) == []
    assert not core.is_stable


def test_an_answer_with_fewer_sections_than_both_hold_says_nothing() -> None:
    core = Negotiation(polite=True)
    settled(core)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.remote_answer(remote("a", ("audio", "e1")), 1.1) == []
    assert not core.is_stable


def test_the_sections_of_such_an_answer_are_forgotten_once_both_sides_agree() -> None:
    core = Negotiation(polite=True)
    settled(core)
    for attempt in range(MAX_RESTARTS):  # so that the next attempt has to wait
        core.connection_changed("failed", 0.0)
        core.tick(1000.0)
        (create,) = core.rebuilt(need="media", now_s=0.0)
        core.offer_created(create.token, facts(), 0.0)
        answer = remote(f"a{attempt}", ("video", "e1"))
        core.remote_answer(answer, 0.0)
        core.answer_applied(answer, need="nothing", now_s=0.0)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.remote_answer(remote("a", ("video", "e1"), ("audio", "e2")), 1.1) == []
    offer = remote("o", ("video", "0"), session="c")
    assert core.remote_offer(offer, 1.2) == [TakeBackOffer(), Answer(offer, rebuild=True)]
    core.answered(offer, need="nothing", now_s=1.2)
    core.connection_changed("connected", 1.3)
    assert core.connection_changed("failed", 100.0) == [Rebuild(keep_layout=True)]


def test_a_rescue_that_finds_nothing_to_offer_hears_the_next_offer() -> None:
    core = Negotiation(polite=False)
    offering(core)
    core.remote_offer(remote("o", ("application", "0")), 0.1)
    answer = remote("a", ("video", "e1"))
    core.remote_answer(answer, 0.2)
    (create,) = core.answer_applied(answer, need="nothing", now_s=0.2)
    assert create.channel_mid == "0"
    core.nothing_to_offer(create.token)
    offer = remote("o2", ("video", "e1"), ("application", "0"))
    assert core.remote_offer(offer, 0.3) == [Answer(offer)]


def test_a_channel_that_waits_for_a_new_connection_asks_for_no_call_meanwhile() -> None:
    core = Negotiation(polite=False)
    settled(core)
    core.connection_changed("failed", 0.0)
    core.rebuilt(need="nothing", now_s=0.0)
    assert core.want_offer("channel", 0.0) == []
    core.connection_changed("failed", 0.1)  # the second attempt waits
    for now_s in (0.1 + CHANNEL_GRACE_S, 0.5):
        assert core.tick(now_s) == []
        assert core.next_timer() == pytest.approx(0.1 + ATTEMPT_DELAYS_S[1])
    assert core.tick(0.1 + ATTEMPT_DELAYS_S[1]) == [Rebuild(keep_layout=True)]


def test_a_channel_that_waits_behind_an_offer_asks_for_no_call_meanwhile() -> None:
    core = Negotiation(polite=False)
    for number in range(OFFER_BURST):
        core.remote_offer(remote(f"o{number}", ("video", "0")), 0.0)
        core.answered(remote(f"o{number}", ("video", "0")), need="nothing", now_s=0.0)
    assert core.want_offer("channel", 0.0) == []
    held = remote("held", ("video", "0"))
    assert core.remote_offer(held, 0.1) == []
    assert core.tick(0.2) == []
    assert core.next_timer() == pytest.approx(1.0)
    assert core.tick(1.0) == [Answer(held)]
    assert core.answered(held, need="channel", now_s=1.0) == []
    (create,) = core.tick(1.0 + CHANNEL_GRACE_S)
    assert create.with_channel
