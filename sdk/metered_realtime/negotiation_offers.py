"""What `negotiation` knows of offers: ours, from the wish to its answer, and those of the other side. Pure."""

from __future__ import annotations

from typing import Literal

from metered_realtime.description import SessionFacts
from metered_realtime.negotiation_actions import RemoteDescription

ANSWER_TIMEOUTS_S = (4.0, 8.0, 16.0)
OFFER_BURST = 20
OFFER_REFILL_PER_S = 1.0


class OwnOffer:
    """The one offer of ours that is being made, waits to be sent, or waits for its answer."""

    def __init__(self) -> None:
        self.phase: Literal["stable", "creating", "offered"] = "stable"
        self.facts: SessionFacts | None = None
        self.is_restart = False
        self.rescues_channel = False
        self._token = 0
        self._send_at: float | None = None
        self._answer_by: float | None = None
        self._timeouts = 0

    def begin(self, *, is_restart: bool, rescues_channel: bool) -> int:
        """An offer is being made; returns the token that tells it from those before."""
        self.phase = "creating"
        self.is_restart, self.rescues_channel = is_restart, rescues_channel
        self._token += 1
        return self._token

    def is_awaited(self, token: int) -> bool:
        """Tell whether this is the offer that is being made, and not one that was given up meanwhile."""
        return self.phase == "creating" and token == self._token

    def created(self, facts: SessionFacts, send_at: float) -> None:
        """The offer is there, and goes out at this time."""
        self.facts, self._send_at = facts, send_at

    def sent(self, now_s: float) -> None:
        """The offer goes out, for the first time or over a new connection to the service."""
        self.phase = "offered"
        self._send_at, self._timeouts = None, 0
        self._answer_by = now_s + ANSWER_TIMEOUTS_S[0]

    def is_due(self, now_s: float) -> bool:
        """Tell whether it is time to send it."""
        return self._send_at is not None and now_s >= self._send_at

    def is_overdue(self, now_s: float) -> bool:
        """Tell whether its answer should be here."""
        return self._answer_by is not None and now_s >= self._answer_by

    def wait_again(self, now_s: float) -> bool:
        """No answer in time: give it more. False: it had that often enough."""
        self._timeouts += 1
        if self._timeouts == len(ANSWER_TIMEOUTS_S):
            return False
        self._answer_by = now_s + ANSWER_TIMEOUTS_S[self._timeouts]
        return True

    def next_timer(self) -> float | None:
        """Return when it is to be sent, or has waited long enough."""
        return self._send_at if self._send_at is not None else self._answer_by

    def end(self) -> None:
        """It was answered, or given up."""
        self.phase = "stable"
        self.facts = None
        self.is_restart = self.rescues_channel = False
        self._send_at = self._answer_by = None


class TheirOffers:
    """The offers of the other side: the last one answered, one that has to wait, one that gave way to ours."""

    def __init__(self) -> None:
        self.answered_sdp: str | None = None
        self.answer_is_lost = False
        self.held: RemoteDescription | None = None
        self.passed_over: RemoteDescription | None = None
        self._left = float(OFFER_BURST)
        self._at = 0.0

    def may_answer(self, now_s: float) -> bool:
        """Take one of the answers there are for now, if any is left."""
        refill = (now_s - self._at) * OFFER_REFILL_PER_S
        self._left = min(float(OFFER_BURST), self._left + max(0.0, refill))
        self._at = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def next_timer(self) -> float | None:
        """Return when the offer that has to wait may be answered."""
        return self._at + (1.0 - self._left) / OFFER_REFILL_PER_S if self.held is not None else None

    def answered(self, offer: RemoteDescription) -> None:
        """This one was answered."""
        self.answered_sdp, self.answer_is_lost = offer.sdp, False

    def take_lost_answer(self) -> bool:
        """Tell, once, whether our last answer is to be sent again."""
        was_lost, self.answer_is_lost = self.answer_is_lost, False
        return was_lost

    def forget_answer(self) -> None:
        """What was answered belongs to a connection that is gone."""
        self.answered_sdp, self.answer_is_lost = None, False
