"""How negotiation finds a lost path again: restarts on the living connection, and what must not lead to one."""

from __future__ import annotations

import pytest

from metered_realtime.negotiation import Negotiation
from metered_realtime.negotiation_actions import (
    Answer,
    ApplyAnswer,
    CreateOffer,
    Rebuild,
    Report,
    ReportExhausted,
    SendOffer,
    TakeBackOffer,
)
from metered_realtime.negotiation_offers import ANSWER_TIMEOUTS_S
from metered_realtime.recovery import (
    ATTEMPT_DELAYS_S,
    CLOSED_GRACE_S,
    DELAY_AFTER_LADDER_S,
    MAX_RESTARTS,
    NETWORK_GRACE_S,
    RESTART_TIMEOUT_S,
)
from tests.sdk.negotiating import facts, offering, settled, theirs


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
    assert not core.is_stable


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


# A member that is there again -------------------------------------------------------------------------


def test_a_member_that_is_there_again_is_asked_who_it_is_while_media_goes_on() -> None:
    core = joined()
    assert core.returned(10.0) == []
    assert core.recovery.is_connected
    (create,) = core.tick(10.0 + NETWORK_GRACE_S)
    assert create.restart
    core.offer_created(create.token, facts(ufrag="a2"), 10.2)
    same = theirs("b2")
    assert core.remote_answer(same, 10.3) == [ApplyAnswer(same)]
    assert core.answer_applied(same, need="nothing", now_s=10.3) == []
    assert core.next_timer() is None


def test_another_program_under_its_id_gets_a_new_connection() -> None:
    core = joined()
    core.returned(10.0)
    (create,) = core.tick(10.0 + NETWORK_GRACE_S)
    core.offer_created(create.token, facts(ufrag="a2"), 10.2)
    assert core.remote_answer(theirs("n", session="new"), 10.3) == [Rebuild(keep_layout=True)]


def test_a_member_that_is_there_again_and_knows_no_restart_gets_a_new_connection_at_once() -> None:
    core = Negotiation(polite=True)
    settled(core)
    core.connection_changed("connected", 0.5)
    assert core.returned(10.0) == [Rebuild(keep_layout=False)]


def test_a_member_that_is_there_again_while_its_path_is_lost_is_looked_for_on_the_living_connection() -> None:
    core = joined()
    restarting(core, 5.0)
    assert core.returned(7.0) == [SendOffer()]  # the first was sent to where it had been
    answer = theirs("b2")
    assert core.remote_answer(answer, 7.1) == [ApplyAnswer(answer)]
    core.answer_applied(answer, need="nothing", now_s=7.1)
    assert core.path_found() == []
    assert core.next_timer() is None


def test_a_member_that_is_there_again_before_it_ever_was_connected_gets_a_new_connection() -> None:
    core = Negotiation(polite=True)
    offering(core)
    core.remote_answer(theirs(), 0.1)
    core.answer_applied(theirs(), need="nothing", now_s=0.1)
    (create,) = core.want_offer("media", 1.0)
    core.offer_created(create.token, facts(), 1.0)
    assert core.returned(1.1) == [Rebuild(keep_layout=False)]  # and not the offer of the old one again


def test_a_member_that_is_there_again_and_has_said_nothing_yet_is_told_again() -> None:
    core = Negotiation(polite=True)
    assert core.returned(0.0) == []
    offering(core)
    assert core.returned(1.0) == [SendOffer()]
    assert core.next_timer() == pytest.approx(1.0 + ANSWER_TIMEOUTS_S[0])
