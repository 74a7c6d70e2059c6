"""Who offers, who answers, who gives way: perfect negotiation for one remote peer, without WebRTC, clock or task. Pure.

The shell (`connection`) feeds in what happened and the time, and carries out the returned actions one after the other.
Protocol sections 14 and 16; where both official clients wait for ever or loop, this one does not.

Rules that are not obvious:
* An offer that is made but not yet sent gives way to any offer that arrives meanwhile, whoever is polite; except
  where it rescues a data channel (below).
* A sent offer without an answer is sent again, unchanged; the same offer twice gets the same answer twice.
* A browser that has to take back an offer with a data channel in it cannot offer that channel again (Chromium; it
  then offers for ever). The side that won offers the section itself, under the mid the browser still has for it.
  Under another mid that browser's connection is lost beyond repair. So the impolite side offers media first, and
  waits a moment for the other's offer before it opens a section for data channels.
* Worse, Chromium never gathers candidates if it has to take back an offer it has only just set (4 in 10 times within
  a millisecond or two, for good). So the impolite side's first offer waits until a browser's own has had time to come.
* Offers beyond a small budget are answered at a slower pace, so that no fault of a peer becomes a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metered_realtime.description import SessionFacts

ANSWER_TIMEOUTS_S = (4.0, 8.0, 16.0)
CONNECT_TIMEOUT_S = 15.0
REBUILD_DELAYS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)
# Every attempt costs both sides messages of their plan; a peer that cannot be reached is still tried now and then.
REBUILD_DELAY_AFTER_LADDER_S = 300.0
# The presence frame that says the peer left comes right behind its closing alert; no connection is worth making then.
CLOSED_GRACE_S = 0.25
CHANNEL_GRACE_S = 0.15
# From the first wish to offer. On a LAN 9 of 10 browsers that have something to offer have done so by then.
FIRST_OFFER_GRACE_S = 0.03
OFFER_BURST = 20
OFFER_REFILL_PER_S = 1.0

# What the other side has not been told yet; `media` may include a channel.
Need = Literal["nothing", "channel", "media"]
PcState = Literal["new", "connecting", "connected", "failed", "closed"]


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """A description from the other side, with what was read from it."""

    sdp: str
    facts: SessionFacts


@dataclass(frozen=True, slots=True)
class CreateOffer:
    """Make a local offer, report `offer_created(token)` behind whatever arrived meanwhile.

    `channel_mid`: it must contain a section for data channels under this mid. `with_channel` False: it must not
    open one.
    """

    token: int
    channel_mid: str | None = None
    with_channel: bool = True


@dataclass(frozen=True, slots=True)
class SendOffer:
    """Send the pending local offer."""


@dataclass(frozen=True, slots=True)
class TakeBackOffer:
    """Return the connection to stable, as if the pending local offer had not been made."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Apply this offer, answer it and report `answered`; on a new connection if `rebuild`."""

    offer: RemoteDescription
    rebuild: bool = False


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """Send the last answer again."""


@dataclass(frozen=True, slots=True)
class ApplyAnswer:
    """Apply this answer to the pending offer and report `answer_applied`."""

    answer: RemoteDescription


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Replace the connection and report `rebuilt`; with the same sections if the other side may still hold its own."""

    keep_layout: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the application that negotiation failed; the sentence says how it goes on."""

    sentence: str


Action = CreateOffer | SendOffer | TakeBackOffer | Answer | SendAnswer | ApplyAnswer | Rebuild | Report


class Negotiation:
    """Decides for one connection. `polite` is the side with the smaller peer id (14.1)."""

    def __init__(self, *, polite: bool) -> None:
        self.polite = polite
        self.phase: Literal["stable", "creating", "offered"] = "stable"
        self._need: Need = "nothing"
        self._channel_at: float | None = None
        self._first_wish_at: float | None = None
        self._send_at: float | None = None
        self._paused = False
        self._token = 0
        self._offer: SessionFacts | None = None
        self._remote: SessionFacts | None = None
        self._answered_sdp: str | None = None
        self._answer_is_lost = False
        self._lost_channel_mid: str | None = None
        self._offers_channel = False
        self._timeouts_used = 0
        self._answer_by: float | None = None
        self._connected = False
        self._connect_by: float | None = None
        self._rebuilds = 0
        self._rebuild_at: float | None = None
        self._rebuild_keeps_layout = True
        self._held: RemoteDescription | None = None
        self._budget = float(OFFER_BURST)
        self._budget_at = 0.0

    # What our side wants -------------------------------------------------------------------------

    def want_offer(self, need: Need, now_s: float) -> list[Action]:
        """Something local changed that the other side must be told."""
        self._need = need
        self._paused = False
        self._first_wish_at = now_s if self._first_wish_at is None else self._first_wish_at
        return self._proceed(now_s)

    def offer_created(self, token: int, facts: SessionFacts, now_s: float) -> list[Action]:
        """`CreateOffer` is done, and everything that arrived meanwhile has been handled."""
        if token != self._token or self.phase != "creating":
            return []
        self._offer = facts
        self._send_at = now_s
        if not self.polite and self._remote is None and self._first_wish_at is not None:
            self._send_at = max(now_s, self._first_wish_at + FIRST_OFFER_GRACE_S)
        return self.tick(now_s)

    def _send_offer(self, now_s: float) -> list[Action]:
        self.phase = "offered"
        self._send_at = None
        self._timeouts_used = 0
        self._answer_by = now_s + ANSWER_TIMEOUTS_S[0]
        return [SendOffer()]

    def offer_failed(self, token: int, reason: str) -> list[Action]:
        """`CreateOffer` raised; nothing is tried until something changes."""
        if token != self._token or self.phase != "creating":
            return []
        self.phase = "stable"
        self._paused = True
        return [Report(f"no offer could be made: {reason}")]

    def nothing_to_offer(self, token: int) -> list[Action]:
        """`CreateOffer` found that what was wanted is not wanted any more."""
        if token == self._token and self.phase == "creating":
            self.phase = "stable"
        return []

    # What the other side sent --------------------------------------------------------------------

    def remote_offer(self, offer: RemoteDescription, now_s: float) -> list[Action]:
        """An offer arrived."""
        if offer.sdp == self._answered_sdp:
            return [SendAnswer()] if self._spend(now_s) else []
        if not self.polite and (self.phase == "offered" or self._offers_channel):
            # Its sender gives way to ours. A data channel in it must then be offered by us.
            self._lost_channel_mid = offer.facts.channel_mid or self._lost_channel_mid
            return []
        if not self._spend(now_s):
            self._held = offer
            return []
        return self._take_offer(offer)

    def _take_offer(self, offer: RemoteDescription) -> list[Action]:
        self._held = None
        actions: list[Action] = []
        if self.phase != "stable":
            actions.append(TakeBackOffer())
            self._forget_offer()
            self._need = "media"
        renewed = self._remote is not None and not self._remote.is_same_session(offer.facts)
        closed = self._rebuild_at is not None and not self._rebuild_keeps_layout
        if renewed or closed:
            self._connected = False
            self._connect_by = self._rebuild_at = None
        return [*actions, Answer(offer, rebuild=renewed or closed)]

    def answered(self, offer: RemoteDescription, *, need: Need, now_s: float) -> list[Action]:
        """The offer was applied and the answer is on its way."""
        self._answered_sdp = offer.sdp
        self._answer_is_lost = False
        return self._settled(offer.facts, need=need, now_s=now_s)

    def answer_lost(self) -> list[Action]:
        """The service did not take our answer; it is sent again with the next session."""
        self._answer_is_lost = True
        return []

    def remote_answer(self, answer: RemoteDescription, now_s: float) -> list[Action]:
        """An answer arrived; one that does not belong to the pending offer is dropped."""
        if self.phase != "offered" or self._offer is None or answer.facts.layout != self._offer.layout:
            return []
        if self._remote is not None and not self._remote.is_same_session(answer.facts):
            # The other side has a new connection and took our offer for the start of it: it needs a whole one.
            self._plan_rebuild(now_s, keep_layout=True)
            return self.tick(now_s)
        return [ApplyAnswer(answer)]

    def answer_applied(self, answer: RemoteDescription, *, need: Need, now_s: float) -> list[Action]:
        """The answer to our offer is in force."""
        if answer.facts.channel_mid is not None:
            self._lost_channel_mid = None
        return self._settled(answer.facts, need=need, now_s=now_s)

    def offer_refused(self, reason: str, now_s: float) -> list[Action]:
        """Applying an offer failed; the connection is stable again, and ours may still go out."""
        return [Report(f"an offer of the other side was not usable: {reason}"), *self._proceed(now_s)]

    def answer_refused(self, reason: str) -> list[Action]:
        """Applying the answer failed; offering the same again would fail again."""
        self._forget_offer()
        self._paused = True
        return [TakeBackOffer(), Report(f"the answer of the other side was not usable: {reason}")]

    def _settled(self, remote: SessionFacts, *, need: Need, now_s: float) -> list[Action]:
        self._forget_offer()
        self._remote = remote
        self._need = need
        self._paused = False
        if not self._connected and self._connect_by is None:
            self._connect_by = now_s + CONNECT_TIMEOUT_S
        return self._proceed(now_s)

    # The connection ------------------------------------------------------------------------------

    def connection_changed(self, state: PcState, now_s: float) -> list[Action]:
        """The state of the present connection changed without us closing it."""
        if state == "connected":
            self._connected = True
            self._connect_by = self._rebuild_at = None
            self._rebuilds = 0
        elif state == "failed":
            self._plan_rebuild(now_s, keep_layout=True)
        elif state == "closed":
            self._plan_rebuild(now_s, keep_layout=False)
        return self.tick(now_s)

    def renew(self, now_s: float) -> list[Action]:
        """The other side knows us under a new name, or lost us: start a new connection."""
        self._rebuilds = 0
        self._rebuild_at, self._rebuild_keeps_layout = now_s, False
        return self.tick(now_s)

    def rebuilt(self, *, need: Need, now_s: float) -> list[Action]:
        """`Rebuild` is done."""
        self._need = need
        self._first_wish_at = now_s
        return self._proceed(now_s)

    def _plan_rebuild(self, now_s: float, *, keep_layout: bool) -> None:
        self._connected = False
        self._connect_by = None
        if self._rebuild_at is not None:
            self._rebuild_keeps_layout = self._rebuild_keeps_layout and keep_layout
            return
        on_ladder = self._rebuilds < len(REBUILD_DELAYS_S)
        delay_s = REBUILD_DELAYS_S[self._rebuilds] if on_ladder else REBUILD_DELAY_AFTER_LADDER_S
        self._rebuilds += 1
        self._rebuild_keeps_layout = keep_layout
        self._rebuild_at = now_s + (delay_s if keep_layout else max(delay_s, CLOSED_GRACE_S))

    def signalling_up(self, now_s: float) -> list[Action]:
        """Messages reach the service again; what was under way may be lost."""
        self._paused = False
        if self.phase == "offered":
            self._timeouts_used = 0
            self._answer_by = now_s + ANSWER_TIMEOUTS_S[0]
            return [SendOffer()]
        again: list[Action] = [SendAnswer()] if self._answer_is_lost else []
        self._answer_is_lost = False
        return again + self._proceed(now_s)

    # Time ----------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Return when `tick` wants to be called next."""
        held_until = self._budget_at + (1.0 - self._budget) / OFFER_REFILL_PER_S if self._held else None
        times = (self._send_at, self._answer_by, self._connect_by, self._rebuild_at, self._channel_at, held_until)
        return min((at for at in times if at is not None), default=None)

    def tick(self, now_s: float) -> list[Action]:
        """Do what has become due."""
        if self._connect_by is not None and now_s >= self._connect_by:
            self._plan_rebuild(now_s, keep_layout=True)
        if self._rebuild_at is not None and now_s >= self._rebuild_at:
            return self._rebuild()
        if self._held is not None and self._spend(now_s):
            return self._take_offer(self._held)
        if self._send_at is not None and now_s >= self._send_at:
            return self._send_offer(now_s)
        if self._answer_by is not None and now_s >= self._answer_by:
            return self._answer_timed_out(now_s)
        if self._channel_at is not None and now_s >= self._channel_at:
            return self._proceed(now_s)
        return []

    def _rebuild(self) -> list[Action]:
        self._rebuild_at = self._connect_by = self._channel_at = None
        self._forget_offer()
        self._remote = self._answered_sdp = self._lost_channel_mid = None
        self._connected = self._answer_is_lost = self._paused = False
        rebuild = Rebuild(self._rebuild_keeps_layout)
        if self._rebuilds != len(REBUILD_DELAYS_S):
            return [rebuild]
        slow_s = f"{REBUILD_DELAY_AFTER_LADDER_S:.0f}"
        return [rebuild, Report(f"no connection in {self._rebuilds} attempts; from now on one every {slow_s} s")]

    def _answer_timed_out(self, now_s: float) -> list[Action]:
        self._timeouts_used += 1
        if self._timeouts_used < len(ANSWER_TIMEOUTS_S):
            self._answer_by = now_s + ANSWER_TIMEOUTS_S[self._timeouts_used]
            return [SendOffer()]
        self._forget_offer()
        self._need = "media"
        self._paused = True
        waited_s = sum(ANSWER_TIMEOUTS_S)
        sentence = (
            f"no answer to {len(ANSWER_TIMEOUTS_S)} offers within {waited_s:.0f} s; the next change is offered again"
        )
        return [TakeBackOffer(), Report(sentence)]

    # Inside --------------------------------------------------------------------------------------

    def _proceed(self, now_s: float) -> list[Action]:
        rescues = self._lost_channel_mid is not None
        if self._need == "nothing" and not rescues:
            self._channel_at = None
            return []
        if self._paused or self.phase != "stable" or self._rebuild_at is not None or self._held is not None:
            return []  # a held offer goes first: the other side waits for its answer
        if self._need == "channel" and not rescues and not self.polite:
            self._channel_at = self._channel_at if self._channel_at is not None else now_s + CHANNEL_GRACE_S
            if now_s < self._channel_at:
                return []
        self._channel_at = None
        with_channel = self.polite or rescues or self._need == "channel"
        self.phase = "creating"
        self._need = "nothing"
        self._token += 1
        channel_mid, self._lost_channel_mid = self._lost_channel_mid, None
        self._offers_channel = channel_mid is not None
        return [CreateOffer(self._token, channel_mid, with_channel)]

    def _forget_offer(self) -> None:
        self.phase = "stable"
        self._offer = None
        self._offers_channel = False
        self._answer_by = self._send_at = None

    def _spend(self, now_s: float) -> bool:
        refill = (now_s - self._budget_at) * OFFER_REFILL_PER_S
        self._budget = min(float(OFFER_BURST), self._budget + max(0.0, refill))
        self._budget_at = now_s
        if self._budget < 1.0:
            return False
        self._budget -= 1.0
        return True
