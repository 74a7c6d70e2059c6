"""How long a message may have waited before we saw it: in our socket, or in a link that stood still. Pure.

The hub sends us what it gets at once and in order, and nothing of it says when. But a question to the hub proves
something: whatever comes after its answer was sent after the question was asked. So as long as questions are answered
in time nothing has waited longer than that; once they are not, anything may have waited since the last one that was.
When the process itself stood still (stopped, suspended, out of CPU), anything may have waited since then, until a
question asked afterwards is answered. Times are seconds of a clock that counts while the machine sleeps.
"""

from __future__ import annotations

ANSWER_ALLOWANCE_S = 2.0
"""How long an answer may take on a link that is slow, yet alive."""
TICK_S = 0.5
STANDSTILL_S = 1.0
"""A tick that comes this much too late was held up."""


class Freshness:
    """One connection's knowledge, from the moment before it is opened. `tick` is to be called every TICK_S."""

    def __init__(self, check_s: float, now_s: float) -> None:
        self._tolerated_s = check_s + ANSWER_ALLOWANCE_S
        self._proven_s = now_s
        self._ticked_s = now_s
        self._stood_from_s: float | None = None
        self._stood_until_s = now_s

    def tick(self, now_s: float) -> bool:
        """We are running. Returns whether we were not for a while, so that a question should be asked now."""
        stood = now_s - self._ticked_s > TICK_S + STANDSTILL_S
        if stood:
            self._stood_from_s = self._ticked_s if self._stood_from_s is None else self._stood_from_s
            self._stood_until_s = now_s
        self._ticked_s = now_s
        return stood

    def answered(self, asked_s: float) -> None:
        """The hub has answered a question that was asked at `asked_s`."""
        self._proven_s = max(self._proven_s, asked_s)
        if asked_s >= self._stood_until_s:
            self._stood_from_s = None

    def waited_s(self, now_s: float) -> float:
        """Return how long a message that is here now may have waited; 0 where nothing speaks for a delay."""
        self.tick(now_s)
        unproven_s = now_s - self._proven_s
        if self._stood_from_s is not None:
            return max(now_s - self._stood_from_s, unproven_s if unproven_s > self._tolerated_s else 0.0)
        return unproven_s if unproven_s > self._tolerated_s else 0.0
