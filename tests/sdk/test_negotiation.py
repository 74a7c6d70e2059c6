"""Perfect negotiation: every rule by itself, and two of them joined by links that delay and lose."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from metered_realtime.description import Section, SessionFacts
from metered_realtime.negotiation import (
    ANSWER_TIMEOUTS_S,
    CHANNEL_GRACE_S,
    FIRST_OFFER_GRACE_S,
    OFFER_BURST,
    Negotiation,
)
from metered_realtime.negotiation_actions import (
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
from metered_realtime.recovery import (
    ATTEMPT_DELAYS_S,
    CLOSED_GRACE_S,
    CONNECT_TIMEOUT_S,
    DELAY_AFTER_LADDER_S,
    MAX_RESTARTS,
    NETWORK_GRACE_S,
    RESTART_TIMEOUT_S,
)


def facts(
    *sections: tuple[str, str], session: str = "a", ufrag: str | None = None, trickles: bool = False
) -> SessionFacts:
    listed = tuple(Section(kind, mid) for kind, mid in sections or (("video", "e1"),))
    return SessionFacts(session if ufrag is None else ufrag, session, listed, trickles)


def remote(sdp: str, *sections: tuple[str, str], session: str = "b", **more: Any) -> RemoteDescription:
    return RemoteDescription(sdp, facts(*sections, session=session, **more))


def offering(core: Negotiation, now_s: float = 0.0) -> SessionFacts:
    """Bring the core to where its first offer has been sent."""
    (create,) = core.want_offer("media", now_s)
    assert isinstance(create, CreateOffer)
    ours = facts()
    actions = core.offer_created(create.token, ours, now_s)
    assert (actions or core.tick(now_s + FIRST_OFFER_GRACE_S)) == [SendOffer()]
    return ours


def settled(core: Negotiation, now_s: float = 0.0) -> None:
    """Bring the core to stable after its own offer."""
    offering(core, now_s)
    answer = remote("answer", ("video", "e1"))
    assert core.remote_answer(answer, now_s) == [ApplyAnswer(answer)]
    assert core.answer_applied(answer, need="nothing", now_s=now_s) == []


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
    assert core.phase == "offered"


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
    assert core.phase == "stable"


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
    assert core.phase == "offered"


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
    assert core.phase == "stable"
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


# Restarts ---------------------------------------------------------------------------------------------


def theirs(ufrag: str = "b", *sections: tuple[str, str], session: str = "b", sdp: str = "") -> RemoteDescription:
    """A description of a peer that trickles."""
    return remote(sdp or f"{session}:{ufrag}", *sections, session=session, ufrag=ufrag, trickles=True)


def joined(*, polite: bool = True) -> Negotiation:
    """A core whose connection to a peer that trickles has been up since 0.0."""
    core = Negotiation(polite=polite)
    offering(core, -1.0)
    core.remote_answer(theirs(), -0.5)
    assert core.answer_applied(theirs(), need="nothing", now_s=-0.5) == []
    assert core.connection_changed("connected", 0.0) == []
    assert core.next_timer() is None
    return core


def restarting(core: Negotiation, now_s: float) -> None:
    """The core loses its path and sends an offer for a new one."""
    (create,) = core.path_lost(now_s)
    assert isinstance(create, CreateOffer)
    assert create.restart
    assert core.offer_created(create.token, facts(ufrag="a2"), now_s) == [SendOffer()]


def test_a_lost_path_is_looked_for_on_the_living_connection() -> None:
    core = joined()
    restarting(core, 5.0)
    answer = theirs("b2")
    assert core.remote_answer(answer, 5.1) == [ApplyAnswer(answer)]
    assert core.answer_applied(answer, need="nothing", now_s=5.1) == []
    assert core.next_timer() == pytest.approx(5.1 + RESTART_TIMEOUT_S)
    assert core.path_found() == []
    assert core.next_timer() is None
    assert core.path_lost(50.0) != []  # another episode begins at once


def test_a_path_is_lost_once() -> None:
    core = joined()
    restarting(core, 5.0)
    assert core.path_lost(5.1) == []


def test_restarts_come_first_and_new_connections_last() -> None:
    core = joined()
    now_s = 5.0
    restarting(core, now_s)
    answered = theirs("b2")
    core.remote_answer(answered, now_s)
    core.answer_applied(answered, need="nothing", now_s=now_s)
    seen = []
    while len(seen) < len(ATTEMPT_DELAYS_S):
        due = core.next_timer()
        assert due is not None
        now_s = due
        for action in core.tick(now_s):
            seen.append(type(action))
            if isinstance(action, CreateOffer):
                core.offer_created(action.token, facts(ufrag=f"a{now_s}"), now_s)
                answered = theirs(f"b{now_s}")
                core.remote_answer(answered, now_s)
                core.answer_applied(answered, need="nothing", now_s=now_s)
            elif isinstance(action, Rebuild):
                assert action.keep_layout
                (create,) = core.rebuilt(need="media", now_s=now_s)
                core.offer_created(create.token, facts(session="n", ufrag=f"n{now_s}"), now_s)
                answered = theirs(f"c{now_s}", session=f"c{now_s}")
                core.remote_answer(answered, now_s)
                core.answer_applied(answered, need="nothing", now_s=now_s)
    rebuilds = len(ATTEMPT_DELAYS_S) - MAX_RESTARTS
    assert seen == [CreateOffer] * (MAX_RESTARTS - 1) + [Rebuild] * rebuilds + [ReportExhausted]


def test_a_peer_that_does_not_say_trickle_gets_a_new_connection_at_once() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("connected", 0.0)
    assert core.path_lost(5.0) == [Rebuild(keep_layout=True)]
    assert core.network_changed(5.0) == []


def test_an_answer_with_another_fingerprint_to_a_restart_leads_to_a_new_connection() -> None:
    core = joined()
    restarting(core, 5.0)
    assert core.remote_answer(theirs("c", session="c"), 5.1) == [Rebuild(keep_layout=True)]


def test_an_answer_to_an_earlier_offer_is_no_answer_to_a_restart() -> None:
    core = joined()
    restarting(core, 5.0)
    assert core.remote_answer(theirs("b", sdp="late"), 5.1) == []
    assert core.phase == "offered"


@pytest.mark.parametrize("polite", [True, False])
def test_a_restart_of_the_other_side_is_answered_in_place(polite: bool) -> None:
    core = joined(polite=polite)
    offer = theirs("b2")
    assert core.remote_offer(offer, 9.0) == [Answer(offer, restart=True)]
    assert core.answered(offer, need="nothing", now_s=9.0) == []
    assert core.next_timer() is None  # the old path still works
    assert core.recovery.is_connected


def test_a_restart_may_bring_new_sections_but_not_other_ones() -> None:
    core = joined()
    more = theirs("b2", ("video", "e1"), ("audio", "1"))
    assert core.remote_offer(more, 9.0) == [Answer(more, restart=True)]
    core.answered(more, need="nothing", now_s=9.0)
    other = theirs("b3", ("audio", "e1"))
    assert core.remote_offer(other, 9.0) == [Answer(other, rebuild=True)]


def test_of_two_restarts_that_cross_the_impolite_one_happens() -> None:
    impolite = joined(polite=False)
    restarting(impolite, 5.0)
    assert impolite.remote_offer(theirs("b2"), 5.1) == []
    polite = joined()
    restarting(polite, 5.0)
    offer = theirs("b2")
    assert polite.remote_offer(offer, 5.1) == [TakeBackOffer(), Answer(offer, restart=True)]
    assert polite.answered(offer, need="nothing", now_s=5.1) == []
    assert polite.next_timer() == pytest.approx(5.1 + RESTART_TIMEOUT_S)


def test_a_restart_that_gave_way_to_another_offer_is_made_after_it() -> None:
    core = joined()
    restarting(core, 5.0)
    offer = theirs("b", ("video", "e1"), ("audio", "1"), sdp="a new track")
    assert core.remote_offer(offer, 5.1) == [TakeBackOffer(), Answer(offer)]
    (create,) = core.answered(offer, need="nothing", now_s=5.1)
    assert create.restart


def test_a_path_lost_while_an_offer_waits_is_looked_for_after_its_answer() -> None:
    core = joined()
    (create,) = core.want_offer("media", 4.0)
    assert not create.restart
    core.offer_created(create.token, facts(), 4.0)
    assert core.path_lost(5.0) == []
    answer = theirs()
    core.remote_answer(answer, 5.1)
    (create,) = core.answer_applied(answer, need="nothing", now_s=5.1)
    assert create.restart


def test_a_restart_without_an_answer_is_tried_again_without_complaint() -> None:
    core = joined()
    restarting(core, 5.0)
    now_s = 5.0
    for timeout_s in ANSWER_TIMEOUTS_S[:-1]:
        now_s += timeout_s
        assert core.tick(now_s) == [SendOffer()]
    now_s += ANSWER_TIMEOUTS_S[-1]
    assert core.tick(now_s) == [TakeBackOffer()]
    (create,) = core.tick(now_s + ATTEMPT_DELAYS_S[1])
    assert create.restart


def test_an_answer_to_a_restart_taken_back_is_followed_by_another_restart() -> None:
    core = joined()
    (create,) = core.want_offer("media", 4.0)
    core.offer_created(create.token, facts(), 4.0)
    answer = theirs("b2")
    assert core.remote_answer(answer, 4.1) == [ApplyAnswer(answer)]
    (create,) = core.answer_applied(answer, need="nothing", now_s=4.1)
    assert create.restart


def test_a_path_that_comes_back_by_itself_ends_the_episode() -> None:
    core = joined()
    restarting(core, 5.0)
    core.path_found()
    assert core.recovery.is_connected
    answer = theirs("b2")
    core.remote_answer(answer, 5.1)
    assert core.answer_applied(answer, need="nothing", now_s=5.1) == []
    assert core.next_timer() is None


def test_a_change_of_the_network_restarts_once_it_has_settled_and_the_path_counts_as_good() -> None:
    core = joined()
    for now_s in (10.0, 10.1, 10.15):
        assert core.network_changed(now_s) == []
    assert core.next_timer() == pytest.approx(10.0 + NETWORK_GRACE_S)
    (create,) = core.tick(10.0 + NETWORK_GRACE_S)
    assert create.restart
    assert core.recovery.is_connected


def test_a_network_that_flaps_costs_an_offer_every_few_seconds() -> None:
    core = joined()
    offers, now_s = 0, 10.0
    while now_s < 40.0:
        core.network_changed(now_s)
        for action in core.tick(now_s):
            assert isinstance(action, CreateOffer)
            offers += 1
            core.offer_created(action.token, facts(ufrag=f"a{offers}"), now_s)
            answer = theirs(f"b{offers}")
            core.remote_answer(answer, now_s)
            core.answer_applied(answer, need="nothing", now_s=now_s)
        now_s += 0.25
    assert 8 <= offers <= 11


def test_a_change_of_the_network_hurries_a_recovery() -> None:
    core = joined()
    restarting(core, 5.0)
    answer = theirs("b2")
    core.remote_answer(answer, 5.1)
    core.answer_applied(answer, need="nothing", now_s=5.1)
    core.tick(5.1 + RESTART_TIMEOUT_S)  # the second attempt waits
    core.network_changed(13.2)
    (create,) = core.tick(13.2 + NETWORK_GRACE_S)
    assert create.restart


def test_nothing_is_tried_while_the_service_is_away_and_everything_when_it_is_back() -> None:
    core = joined()
    core.signalling_lost()
    assert core.path_lost(5.0) == []
    assert core.next_timer() is None
    assert core.tick(500.0) == []
    assert core.signalling_up(600.0) == []
    due = core.next_timer()
    assert due is not None
    assert due <= 600.0 + CLOSED_GRACE_S
    (create,) = core.tick(due)
    assert create.restart


def test_a_restart_on_its_way_when_the_service_went_is_sent_again() -> None:
    core = joined()
    restarting(core, 5.0)
    core.signalling_lost()
    assert core.signalling_up(9.0) == [SendOffer()]


def test_a_service_that_is_back_gives_a_slow_recovery_a_fresh_start() -> None:
    core = Negotiation(polite=True)
    settled(core)
    for attempt in range(len(ATTEMPT_DELAYS_S) + 1):
        core.connection_changed("failed", attempt * 1000.0)
        core.tick(attempt * 1000.0 + 999) if attempt < len(ATTEMPT_DELAYS_S) else None
    assert core.next_timer() == pytest.approx(9000.0 + DELAY_AFTER_LADDER_S)
    core.signalling_up(9001.0)
    assert core.next_timer() == pytest.approx(9001.0 + CLOSED_GRACE_S)


def test_an_offer_for_a_restart_that_cannot_be_made_is_not_the_end() -> None:
    core = joined()
    (create,) = core.path_lost(5.0)
    (report,) = core.offer_failed(create.token, "why", 5.0)
    assert isinstance(report, Report)
    (again,) = core.tick(6.0)
    assert again.restart


def test_a_restart_leaves_a_channel_of_the_impolite_side_to_the_next_offer() -> None:
    core = joined(polite=False)
    assert core.want_offer("channel", 4.95) == []
    (create,) = core.path_lost(5.0)
    assert (create.restart, create.with_channel) == (True, False)


def test_a_dead_connection_is_not_restarted() -> None:
    core = joined()
    assert core.connection_changed("failed", 5.0) == [Rebuild(keep_layout=True)]
    core = joined()
    core.connection_changed("closed", 5.0)
    core.path_found()
    offer = theirs("b2")
    assert core.remote_offer(offer, 5.1) == [Answer(offer, rebuild=True)]


# Two of them ------------------------------------------------------------------------------------------


@dataclass
class Pc:
    """What of a peer connection matters here: sections both sides hold, those only wanted, and ICE generations.

    `told`: the sections of the last description, which the other side may hold without our knowing. `network`: which of
    its side's networks each generation was gathered on.
    """

    session: str
    generation: int = 0
    network: dict[str, int] = field(default_factory=dict)
    agreed: list[tuple[str, str]] = field(default_factory=list)
    layout: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    peer_session: str = ""
    peer_ufrag: str = ""
    is_new: bool = True

    @property
    def ufrag(self) -> str:
        return f"{self.session}.{self.generation}"


@dataclass(frozen=True)
class Sent:
    """A description under way."""

    kind: str
    sdp: str
    sections: tuple[tuple[str, str], ...]
    session: str
    ufrag: str
    trickles: bool

    @property
    def description(self) -> RemoteDescription:
        return remote(self.sdp, *self.sections, session=self.session, ufrag=self.ufrag, trickles=self.trickles)


class Side:
    """A core with a model of its shell: a peer connection, tracks to send, a network, a row of inputs."""

    _numbers = itertools.count()

    def __init__(self, *, polite: bool) -> None:
        self.core = Negotiation(polite=polite)
        self.name = "p" if polite else "i"
        self.trickles = True
        self.wanted = 0
        self.network = 0
        self.pc = self._new_pc()
        self.pending: list[tuple[str, str]] = []
        self.generation_before: int | None = None
        self.offer: Sent | None = None
        self.answer: Sent | None = None
        self.outgoing: deque[Sent] = deque()
        self.later: deque[CreateOffer] = deque()
        self.offers = self.answers = 0
        self.closed_sessions: list[str] = []

    def _new_pc(self, layout: list[tuple[str, str]] | None = None) -> Pc:
        pc = Pc(f"{self.name}{next(self._numbers)}", layout=layout or [])
        pc.network[pc.ufrag] = self.network
        return pc

    def _replace_pc(self, *, keep_layout: bool) -> None:
        self.closed_sessions.append(self.pc.session)
        told = self.pc.told if self.pc.told[: len(self.held)] == self.held else self.held
        self.pc = self._new_pc(told if keep_layout else [])

    def _restart(self) -> None:
        self.pc.generation = next(self._numbers)
        self.pc.network[self.pc.ufrag] = self.network

    @property
    def held(self) -> list[tuple[str, str]]:
        return self.pc.agreed or self.pc.layout

    @property
    def mine(self) -> int:
        return sum(mid.startswith(self.name) for _, mid in self.held)

    @property
    def need(self) -> str:
        layout_is_open = bool(self.pc.layout) and not self.pc.agreed
        return "media" if layout_is_open or self.mine < self.wanted else "nothing"

    def perform(self, actions: list, now_s: float) -> None:
        row = deque(actions)
        while row:
            row.extend(self._perform(row.popleft(), now_s))

    def _perform(self, action: object, now_s: float) -> list:
        match action:
            case CreateOffer():
                return self._create_offer(action)
            case SendOffer():
                assert self.offer is not None
                self.offers += 1
                self.pc.told = list(self.offer.sections)
                self.outgoing.append(self.offer)
            case TakeBackOffer():
                self.pending = []
                if self.generation_before is not None:
                    self.pc.generation, self.generation_before = self.generation_before, None
            case Answer():
                return self._answer(action, now_s)
            case SendAnswer():
                assert self.answer is not None
                self.outgoing.append(self.answer)
            case ApplyAnswer():
                assert action.answer.facts.layout == tuple(self.pending)
                self.pc.agreed, self.pending = list(self.pending), []
                self.pc.peer_session = action.answer.facts.fingerprint
                if self.generation_before is not None or not self.pc.peer_ufrag:
                    self.pc.peer_ufrag = action.answer.facts.ufrag
                self.generation_before = None
                return self.core.answer_applied(action.answer, need=self.need, now_s=now_s)
            case Rebuild():
                self.generation_before = None
                self._replace_pc(keep_layout=action.keep_layout)
                return self.core.rebuilt(need=self.need, now_s=now_s)
        return []

    def _create_offer(self, action: CreateOffer) -> list:
        new = [("video", f"{self.name}{self.mine + n}") for n in range(self.wanted - self.mine)]
        self.pending = [*self.held, *new]
        if not self.pending:
            assert not action.restart
            return self.core.nothing_to_offer(action.token)
        if action.restart:
            self.generation_before = self.pc.generation
            self._restart()
        sdp = f"{self.pc.ufrag}:{self.pending}"
        self.offer = Sent("offer", sdp, tuple(self.pending), self.pc.session, self.pc.ufrag, self.trickles)
        self.later.append(action)
        return []

    def _answer(self, action: Answer, now_s: float) -> list:
        self.answers += 1
        if action.rebuild or self.pc.layout:
            self._replace_pc(keep_layout=False)
        elif action.restart:
            self._restart()
        # No browser takes an offer whose sections are others, or in another order, than those it holds.
        assert list(action.offer.facts.layout[: len(self.pc.agreed)]) == self.pc.agreed
        self.pc.peer_session = action.offer.facts.fingerprint
        self.pc.peer_ufrag = action.offer.facts.ufrag
        self.pc.agreed = self.pc.told = list(action.offer.facts.layout)
        sdp = f"{self.pc.ufrag}>{action.offer.sdp}"
        self.answer = Sent("answer", sdp, tuple(self.pc.agreed), self.pc.session, self.pc.ufrag, self.trickles)
        self.outgoing.append(self.answer)
        return self.core.answered(action.offer, need=self.need, now_s=now_s)

    def receive(self, message: Sent, now_s: float) -> None:
        heard = self.core.remote_offer if message.kind == "offer" else self.core.remote_answer
        self.perform(heard(message.description, now_s), now_s)

    def finish_creating(self, now_s: float) -> None:
        while self.later:
            create = self.later.popleft()
            made = facts(*self.pending, session=self.pc.session, ufrag=self.pc.ufrag, trickles=self.trickles)
            self.perform(self.core.offer_created(create.token, made, now_s), now_s)


class TwoSides(RuleBasedStateMachine):
    """Ordered links that may lose everything under way, as a dropped signalling connection does, and two networks.

    A path needs credentials that both sides hold of each other, gathered where each side now is. Once there it
    carries on over restarts, until a side moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.polite, self.impolite = Side(polite=True), Side(polite=False)
        self.changes = 1
        self.path: tuple[str, int, str, int] | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.polite, self.impolite

    def other(self, side: Side) -> Side:
        return self.impolite if side is self.polite else self.polite

    @initialize(polite_tracks=st.integers(0, 2), impolite_tracks=st.integers(0, 2), trickling=st.sampled_from("yyyn"))
    def join(self, polite_tracks: int, impolite_tracks: int, trickling: str) -> None:
        for side, tracks in zip(self.sides, (polite_tracks, impolite_tracks), strict=True):
            side.trickles = trickling == "y"
            if tracks:
                self._add(side, tracks)

    def _add(self, side: Side, tracks: int) -> None:
        side.wanted += tracks
        self.changes += 1
        side.perform(side.core.want_offer(side.need, self.now_s), self.now_s)

    @rule(polite=st.booleans())
    def add_a_track(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.wanted < 6:
            self._add(side, 1)

    @rule(polite=st.booleans())
    def deliver_one(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.outgoing:
            self.other(side).receive(side.outgoing.popleft(), self.now_s)

    @rule(polite=st.booleans())
    def finish_creating(self, polite: bool) -> None:
        self.sides[not polite].finish_creating(self.now_s)

    @rule(wait_s=st.sampled_from([0.01, 0.05, 1.0, 5.0, 20.0]))
    def wait(self, wait_s: float) -> None:
        self.now_s += wait_s
        for side in self.sides:
            side.perform(side.core.tick(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def drop_signalling(self, polite: bool) -> None:
        side = self.sides[not polite]
        side.outgoing.clear()
        self.other(side).outgoing.clear()
        self.changes += 1
        side.perform(side.core.signalling_up(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans(), away_s=st.sampled_from([1.0, 10.0, 100.0]))
    def lose_signalling_for_a_while(self, polite: bool, away_s: float) -> None:
        side = self.sides[not polite]
        side.perform(side.core.signalling_lost(), self.now_s)
        self.notice_paths()
        self.now_s += away_s
        self.drop_signalling(polite)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans(), is_seen=st.booleans())
    def move(self, polite: bool, is_seen: bool) -> None:
        """A side gets other addresses; `is_seen`: its kernel says so."""
        side = self.sides[not polite]
        side.network += 1
        self.changes += 1
        if is_seen:
            side.perform(side.core.network_changed(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def see_a_harmless_change(self, polite: bool) -> None:
        side = self.sides[not polite]
        self.changes += 1
        side.perform(side.core.network_changed(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def lose_the_connection(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.pc.agreed:
            self.changes += 1
            side.perform(side.core.connection_changed("failed", self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def start_over(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.pc.agreed:
            self.changes += 1
            side.perform(side.core.renew(self.now_s), self.now_s)

    @rule()
    def notice(self) -> None:
        self.notice_closed_connections()

    @rule()
    def check_paths(self) -> None:
        self.notice_paths()

    def notice_paths(self) -> bool:
        """ICE finds a path where there is one, and misses one that is gone."""
        ends = [(side.pc.session, side.network) for side in self.sides]
        now = (*ends[0], *ends[1])
        found = all(
            side.pc.peer_ufrag == self.other(side).pc.ufrag and side.pc.network.get(side.pc.ufrag) == side.network
            for side in self.sides
        )
        if found:
            self.path = now
        is_there = self.path == now
        noticed = False
        for side in self.sides:
            knows = side.core.recovery.is_connected
            if is_there and not knows and side.core.phase == "stable" and not side.core.recovery.is_dead:
                noticed = True
                changed = [] if not side.pc.is_new else side.core.connection_changed("connected", self.now_s)
                side.pc.is_new = False
                side.perform(changed + side.core.path_found(), self.now_s)
            elif not is_there and knows:
                noticed = True
                side.perform(side.core.path_lost(self.now_s), self.now_s)
        return noticed

    def notice_closed_connections(self) -> bool:
        """DTLS tells the other side of every connection that was replaced."""
        noticed = False
        for side in self.sides:
            closed, side.closed_sessions = side.closed_sessions, []
            other = self.other(side)
            if other.pc.peer_session in closed and other.pc.agreed:
                noticed = True
                other.perform(other.core.connection_changed("closed", self.now_s), self.now_s)
        return noticed

    @invariant()
    def offers_are_bounded(self) -> None:
        for side in self.sides:
            # Each change may be offered, collide, and be sent again three times, after each of a few attempts.
            assert side.offers + side.answers <= 60 * self.changes

    def teardown(self) -> None:
        """Whatever happened: with links that work, both come to rest with everything agreed, and connected."""
        for _ in range(600):
            busy = False
            for side in self.sides:
                side.finish_creating(self.now_s)
                while side.outgoing:
                    busy = True
                    self.other(side).receive(side.outgoing.popleft(), self.now_s)
            if busy or self.notice_paths() or self.notice_closed_connections():
                continue
            timers = [at for side in self.sides if (at := side.core.next_timer()) is not None]
            if not timers:
                break
            self.now_s = max(self.now_s, min(timers))
            for side in self.sides:
                side.perform(side.core.tick(self.now_s), self.now_s)
        else:
            raise AssertionError("the two sides never come to rest")
        for side in self.sides:
            if side.need != "nothing":
                # A side that gave up for want of an answer goes on at the next occasion.
                side.perform(side.core.signalling_up(self.now_s), self.now_s)
        if any(side.outgoing or side.later for side in self.sides):
            self.teardown()
            return
        self._check_at_rest()

    def _check_at_rest(self) -> None:
        for side in self.sides:
            assert side.core.phase == "stable"
            assert side.need == "nothing"
        if any(side.wanted for side in self.sides):
            assert self.polite.pc.agreed == self.impolite.pc.agreed
            assert all(side.core.recovery.is_connected for side in self.sides)


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
