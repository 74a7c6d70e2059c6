"""Who offers, who answers, who gives way: perfect negotiation for one remote peer, without WebRTC, clock or task. Pure.

The shell (`connection`) feeds in what happened and the time, and carries out the returned actions one after the other.
Protocol sections 14 and 16; where both official clients wait for ever or loop, this one does not. `recovery` says when
a path that does not work is tried again.

Rules that are not obvious:
* An offer that is made but not yet sent gives way to any offer that arrives meanwhile, whoever is polite; except
  where it rescues a data channel (below).
* A sent offer without an answer is sent again, unchanged; the same offer twice gets the same answer twice.
* A browser that has to take back an offer with a data channel in it cannot offer that channel again (Chromium; it
  then offers for ever). The side that won offers the section itself, under the mid the browser still has for it.
  Under another mid that browser's connection is lost beyond repair. So the impolite side offers media first, and
  waits a moment for the other's offer before it opens a section for data channels.
* Worse, Chromium never gathers candidates if it has to take back an offer it has only just set (4 in 10 times within
  a millisecond or two, for good: neither an ICE restart nor a new connection of ours helps it, only a new one of its
  own). So the impolite side's first offer waits until a browser's own has had time to come.
* Offers beyond a small budget are answered at a slower pace, so that no fault of a peer becomes a loop.
* An ICE restart is an offer with new credentials under the same fingerprint, and is answered in place. Only a peer
  that says `trickle` is asked for one: the official Python client takes new credentials for a new connection.
"""

from __future__ import annotations

from metered_realtime.description import SessionFacts
from metered_realtime.negotiation_actions import (
    Action,
    Answer,
    ApplyAnswer,
    CreateOffer,
    Need,
    PcState,
    Rebuild,
    RemoteDescription,
    Report,
    ReportExhausted,
    SendAnswer,
    SendOffer,
    TakeBackOffer,
)
from metered_realtime.negotiation_offers import ANSWER_TIMEOUTS_S, OwnOffer, TheirOffers
from metered_realtime.recovery import ATTEMPT_DELAYS_S, Recovery

CHANNEL_GRACE_S = 0.15
# From the first wish to offer. On a LAN 9 of 10 browsers that have something to offer have done so by then.
FIRST_OFFER_GRACE_S = 0.03


class Negotiation:
    """Decides for one connection. `polite` is the side with the smaller peer id (14.1)."""

    def __init__(self, *, polite: bool) -> None:
        self.polite = polite
        self.recovery = Recovery()
        self._own, self._theirs = OwnOffer(), TheirOffers()
        self._need: Need = "nothing"
        self._channel_at: float | None = None
        self._first_wish_at: float | None = None
        self._paused = False
        self._is_offline = False
        self._wants_restart = False
        self._remote: SessionFacts | None = None
        self._lost_channel_mid: str | None = None
        self._their_layout: tuple[tuple[str, str], ...] = ()

    @property
    def is_stable(self) -> bool:
        """No offer of ours is under way."""
        return self._own.phase == "stable"

    # What our side wants -------------------------------------------------------------------------

    def want_offer(self, need: Need, now_s: float) -> list[Action]:
        """Something local changed that the other side must be told."""
        self._need = need
        self._paused = False
        self._first_wish_at = now_s if self._first_wish_at is None else self._first_wish_at
        return self._proceed(now_s)

    def offer_created(self, token: int, facts: SessionFacts, now_s: float) -> list[Action]:
        """`CreateOffer` is done, and everything that arrived meanwhile has been handled."""
        if not self._own.is_awaited(token):
            return []
        send_at = now_s
        if not self.polite and self._remote is None and self._first_wish_at is not None:
            send_at = max(now_s, self._first_wish_at + FIRST_OFFER_GRACE_S)
        self._own.created(facts, send_at)
        return self.tick(now_s)

    def offer_failed(self, token: int, reason: str, now_s: float) -> list[Action]:
        """`CreateOffer` raised; but for the path's sake nothing is tried until something changes."""
        if not self._own.is_awaited(token):
            return []
        self._forget_offer()
        self._paused = True
        return [Report(f"no offer could be made: {reason}"), *self._path_failed(now_s, if_sought=True)]

    def nothing_to_offer(self, token: int) -> list[Action]:
        """`CreateOffer` found that what was wanted is not wanted any more."""
        if self._own.is_awaited(token):
            self._forget_offer()
        return []

    # What the other side sent --------------------------------------------------------------------

    def remote_offer(self, offer: RemoteDescription, now_s: float) -> list[Action]:
        """An offer arrived."""
        if offer.sdp == self._theirs.answered_sdp:
            return [SendAnswer()] if self._theirs.may_answer(now_s) else []
        if not self.polite and (self._own.phase == "offered" or self._own.rescues_channel):
            # Its sender gives way to ours. A data channel in it must then be offered by us.
            self._lost_channel_mid = offer.facts.channel_mid or self._lost_channel_mid
            self._theirs.passed_over = offer
            return []
        if not self._theirs.may_answer(now_s):
            self._theirs.held = offer
            return []
        return self._take_offer(offer)

    def _take_offer(self, offer: RemoteDescription) -> list[Action]:
        self._theirs.held = None
        actions: list[Action] = []
        if not self.is_stable:
            actions.append(TakeBackOffer())
            self._wants_restart = self._wants_restart or self._own.is_restart
            self._forget_offer()
            self._need = "media"
        before, facts = self._remote, offer.facts
        # Sections that are not where they were: each side holds something else, as after an answer that came too late.
        is_known = before is not None and before.is_same_session(facts) and facts.continues(before)
        restart = before is not None and not self.recovery.is_dead and facts.is_restart_of(before)
        closed = self.recovery.awaits_rebuild and not self.recovery.keeps_layout
        rebuild = closed or (before is not None and not is_known and not restart)
        if rebuild:
            self.recovery.replaced()
        return [*actions, Answer(offer, rebuild=rebuild, restart=restart and not rebuild)]

    def answered(self, offer: RemoteDescription, *, need: Need, now_s: float) -> list[Action]:
        """The offer was applied and the answer is on its way."""
        self._theirs.answered(offer)
        restarted = self._remote is not None and self._remote.ufrag != offer.facts.ufrag
        return self._settled(offer.facts, restarted=restarted, need=need, now_s=now_s)

    def answer_lost(self) -> list[Action]:
        """The service did not take our answer; it is sent again with the next session."""
        self._theirs.answer_is_lost = True
        return []

    def remote_answer(self, answer: RemoteDescription, now_s: float) -> list[Action]:
        """An answer arrived; one that does not belong to the pending offer is dropped."""
        if self._own.phase != "offered" or self._own.facts is None:
            return []
        if answer.facts.layout != self._own.facts.layout:
            return self._answered_another(answer.facts, now_s)
        if self._remote is None or answer.facts.is_restart_of(self._remote):
            return [ApplyAnswer(answer)]
        if not answer.facts.is_same_session(self._remote):
            # The other side has a new connection and took our offer for the start of it: it needs a whole one.
            return self._path_failed(now_s, is_other=True)
        # One with the old credentials belongs to an offer before the one for a restart.
        return [] if self._own.is_restart else [ApplyAnswer(answer)]

    def _answered_another(self, answer: SessionFacts, now_s: float) -> list[Action]:
        """It took an offer that we gave up for one to its new connection; only an offer with its sections suits it."""
        before = self._remote
        if before is None or self.recovery.is_connected or not answer.is_same_session(before):
            return []
        if len(answer.layout) <= len(before.layout):
            return []
        self._their_layout = answer.layout
        return self._path_failed(now_s, is_other=True)

    def answer_applied(self, answer: RemoteDescription, *, need: Need, now_s: float) -> list[Action]:
        """The answer to our offer is in force."""
        if answer.facts.channel_mid is not None:
            self._lost_channel_mid = None
        if self._remote is not None and not self._own.is_restart and answer.facts.ufrag != self._remote.ufrag:
            self._wants_restart = True  # it answered a restart that we have taken back
        return self._settled(answer.facts, restarted=self._own.is_restart, need=need, now_s=now_s)

    def offer_refused(self, reason: str, now_s: float) -> list[Action]:
        """Applying an offer failed; the connection is stable again, and ours may still go out."""
        return [Report(f"an offer of the other side was not usable: {reason}"), *self._proceed(now_s)]

    def answer_refused(self, reason: str, now_s: float) -> list[Action]:
        """Applying the answer failed; offering the same again would fail again."""
        self._forget_offer()
        self._paused = True
        sentence = f"the answer of the other side was not usable: {reason}"
        return [TakeBackOffer(), Report(sentence), *self._path_failed(now_s, if_sought=True)]

    def _settled(self, remote: SessionFacts, *, restarted: bool, need: Need, now_s: float) -> list[Action]:
        self._forget_offer()
        self._wants_restart = self._wants_restart and not restarted
        self._remote = remote
        self._their_layout = ()
        self._need = need
        self._paused = False
        self.recovery.agreed(now_s, restarted=restarted)
        return self._proceed(now_s)

    # The connection ------------------------------------------------------------------------------

    def connection_changed(self, state: PcState, now_s: float) -> list[Action]:
        """The state of the present connection changed without us closing it."""
        if state == "connected":
            self.path_found()
        elif state in ("failed", "closed"):
            self.recovery.is_dead = True
            return self._path_failed(now_s, keep_layout=state == "failed")
        return self.tick(now_s)

    def path_lost(self, now_s: float) -> list[Action]:
        """Nothing comes from the other side any more, though the connection itself lives on."""
        return self._path_failed(now_s) if self.recovery.is_connected else []

    def path_found(self) -> list[Action]:
        """The living connection has a path again."""
        if not self.recovery.is_dead and not self.recovery.is_connected:
            self.recovery.connected()
            self._wants_restart = False
        return []

    def network_changed(self, now_s: float) -> list[Action]:
        """Our own addresses or routes changed."""
        if self._can_restart:
            self.recovery.network_changed(now_s)
        return []

    def returned(self, now_s: float) -> list[Action]:
        """The other side is listed anew. A restart asks who it is, and costs media nothing; some know no restart."""
        if self._can_restart and self.recovery.had_path and not self.recovery.awaits_rebuild:
            self.recovery.network_changed(now_s)
        elif self._remote is not None:
            self._paused = self._is_offline = False
            return self.renew(now_s)
        return self.signalling_up(now_s)

    def renew(self, now_s: float) -> list[Action]:
        """The other side knows us under a new name, or lost us: start a new connection."""
        self.recovery.renew(now_s)
        return self.tick(now_s)

    def rebuilt(self, *, need: Need, now_s: float) -> list[Action]:
        """`Rebuild` is done."""
        self._need = need
        self._first_wish_at = now_s
        return self._proceed(now_s)

    @property
    def _can_restart(self) -> bool:
        return self._remote is not None and self._remote.trickles and not self.recovery.is_dead

    def _path_failed(
        self, now_s: float, *, is_other: bool = False, keep_layout: bool = True, if_sought: bool = False
    ) -> list[Action]:
        """Plan the next attempt. `is_other`: the other side has a new connection already, and waits for ours."""
        if if_sought and not self.recovery.is_under_way:
            return []
        self._paused = self._wants_restart = False
        goes_on = self.recovery.plan(
            now_s, may_restart=self._can_restart and not is_other, keep_layout=keep_layout, at_once=is_other
        )
        exhausted: list[Action] = [] if goes_on else [ReportExhausted(len(ATTEMPT_DELAYS_S))]
        return exhausted + self.tick(now_s)

    def signalling_lost(self) -> list[Action]:
        """Nothing can be said for now; so nothing is tried."""
        self._is_offline = True
        return []

    def signalling_up(self, now_s: float) -> list[Action]:
        """Messages reach the service again; what was under way may be lost."""
        self._paused = self._is_offline = False
        self.recovery.signalling_up(now_s)
        if self._own.phase == "offered":
            self._own.sent(now_s)
            return [SendOffer()]
        again: list[Action] = [SendAnswer()] if self._theirs.take_lost_answer() else []
        return again + self._proceed(now_s)

    # Time ----------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Return when `tick` wants to be called next."""
        if self._is_offline:
            return None
        times = (self._own.next_timer(), self._theirs.next_timer(), self.recovery.next_timer(), self._channel_at)
        return min((at for at in times if at is not None), default=None)

    def tick(self, now_s: float) -> list[Action]:
        """Do what has become due."""
        if self._is_offline:
            return []
        if self.recovery.is_late(now_s):
            return self._path_failed(now_s)
        step = self.recovery.due(now_s)
        if step == "rebuild":
            return self._rebuild()
        if step == "restart":
            self._wants_restart = True
            if actions := self._proceed(now_s):
                return actions  # else it waits for the end of our present offer, which may be due as well
        if self._theirs.held is not None and self._theirs.may_answer(now_s):
            return self._take_offer(self._theirs.held)
        if self._own.is_due(now_s):
            self._own.sent(now_s)
            return [SendOffer()]
        if self._own.is_overdue(now_s):
            return self._answer_timed_out(now_s)
        if self._channel_at is not None and now_s >= self._channel_at:
            return self._proceed(now_s)
        return []

    def _rebuild(self) -> list[Action]:
        keep_layout = self.recovery.keeps_layout
        self.recovery.replaced()
        self._channel_at = None
        self._forget_offer()
        self._theirs.forget_answer()
        self._remote = self._lost_channel_mid = None
        self._paused = self._wants_restart = False
        layout, self._their_layout = self._their_layout, ()
        return [Rebuild(keep_layout, layout if keep_layout else ())]

    def _answer_timed_out(self, now_s: float) -> list[Action]:
        if self._theirs.passed_over is not None and self._theirs.may_answer(now_s):
            # Not everybody can take back an offer (14.4); then it is our turn to.
            return self._take_offer(self._theirs.passed_over)
        if self._own.wait_again(now_s):
            return [SendOffer()]
        self._forget_offer()
        self._need = "media"
        if self.recovery.is_under_way:
            return [TakeBackOffer(), *self._path_failed(now_s)]
        self._paused = True
        waited_s = sum(ANSWER_TIMEOUTS_S)
        sentence = (
            f"no answer to {len(ANSWER_TIMEOUTS_S)} offers within {waited_s:.0f} s; the next change is offered again"
        )
        return [TakeBackOffer(), Report(sentence)]

    # Inside --------------------------------------------------------------------------------------

    def _proceed(self, now_s: float) -> list[Action]:
        rescues = self._lost_channel_mid is not None
        restart = self._wants_restart and self._can_restart
        if self._need == "nothing" and not rescues and not restart:
            self._channel_at = None
            return []
        if self._paused or not self.is_stable or self.recovery.awaits_rebuild or self._theirs.held is not None:
            self._channel_at = None
            return []  # a held offer goes first: the other side waits for its answer
        if self._need == "channel" and not rescues and not restart and not self.polite:
            self._channel_at = self._channel_at if self._channel_at is not None else now_s + CHANNEL_GRACE_S
            if now_s < self._channel_at:
                return []
        self._channel_at = None
        # What a restart leaves out is still needed when it has been answered.
        with_channel = self.polite or rescues or (self._need == "channel" and not restart)
        self._need = "nothing"
        channel_mid, self._lost_channel_mid = self._lost_channel_mid, None
        self._wants_restart = False
        token = self._own.begin(is_restart=restart, rescues_channel=rescues)
        return [CreateOffer(token, channel_mid, with_channel, restart)]

    def _forget_offer(self) -> None:
        self._own.end()
        self._theirs.passed_over = None
