"""Consent freshness of one path (RFC 7675): when to ask, when it counts as lost, when sending must end. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# A path over which nothing came for so long, and no answer, is reported as lost; sending goes on until consent expires.
CONSENT_LOST_S = 4.5
# RFC 7675 section 5.1: without consent for 30 s nothing more may be sent.
CONSENT_EXPIRES_S = 30.0
_LEAST_UNANSWERED = 3


@dataclass(frozen=True, slots=True)
class ConsentTimings:
    """How often consent is asked for (intervals are varied by a fifth), and how long it is missed; seconds."""

    interval_s: float = 2.5
    """Between checks while they are answered and nothing else comes in."""
    heard_interval_s: float = 5.0
    """Between them while reports or media come in as well, which tells sooner whether the path is alive."""
    retry_s: float = 0.5
    """Between checks while one is unanswered."""
    lost_s: float = CONSENT_LOST_S
    expires_s: float = CONSENT_EXPIRES_S


@dataclass(frozen=True, slots=True)
class ConsentStep:
    """What to do now, and when to ask again what to do."""

    ask: bool
    just_lost: bool
    just_expired: bool
    wait_s: float


class Consent:
    """The consent of one path. Begins confirmed: a path is selected after a check of it succeeded."""

    def __init__(self, now_s: float, timings: ConsentTimings) -> None:
        self._timings = timings
        self._confirmed_s = self._alive_s = now_s
        self._variation = random.uniform(0.8, 1.2)
        self._next_ask_s = now_s + timings.interval_s * self._variation
        self._unanswered = 0
        self.is_lost = False
        self.is_expired = False

    def step(self, now_s: float, heard_s: float = float("-inf")) -> ConsentStep:
        """Return what is due at `now_s`; to be called again after `wait_s`. `heard_s`: when something last came in.

        Besides time it takes some unanswered checks, so that a process that did not run for a while (a stalled
        loop, a stopped process) does not take its own sleep for a dead path.
        """
        ask = just_lost = just_expired = False
        if not self.is_expired:
            enough = self._unanswered >= _LEAST_UNANSWERED
            if enough and not self.is_lost and now_s - self._alive_s >= self._timings.lost_s:
                self.is_lost = just_lost = True
            if enough and now_s - self._confirmed_s >= self._timings.expires_s:
                self.is_expired = just_expired = True
            elif now_s >= self._due_s(heard_s):
                ask = True
                if not self._unanswered:
                    # What is heard may come over a path that is dead in the other direction: it counts up to a point.
                    heard_before_s = min(heard_s, now_s - self._timings.interval_s * self._variation)
                    self._alive_s = max(self._confirmed_s, heard_before_s)
                self._unanswered += 1
                self._next_ask_s = now_s + self._timings.retry_s
        return ConsentStep(ask, just_lost, just_expired, self.wait_s(now_s))

    def confirm(self, now_s: float) -> bool:
        """Take note of an answer. Returns whether the path had been lost and is back; an expired one stays expired."""
        if self.is_expired:
            return False
        was_lost, self.is_lost = self.is_lost, False
        self._confirmed_s = self._alive_s = now_s
        self._unanswered = 0
        self._variation = random.uniform(0.8, 1.2)
        self._next_ask_s = now_s + self._timings.interval_s * self._variation
        return was_lost

    def wait_s(self, now_s: float) -> float:
        """Return after what time `step` has something to do."""
        due_s = self._next_ask_s
        if self._unanswered >= _LEAST_UNANSWERED and not self.is_lost:
            due_s = min(due_s, self._alive_s + self._timings.lost_s)
        return max(due_s - now_s, 0.0)

    def _due_s(self, heard_s: float) -> float:
        """When to ask: what is heard puts it off, up to a point, but not a question that is open."""
        if not self._unanswered and heard_s > self._confirmed_s:
            at_latest_s = self._confirmed_s + self._timings.heard_interval_s * self._variation
            heard_due_s = heard_s + self._timings.interval_s * self._variation
            self._next_ask_s = max(self._next_ask_s, min(heard_due_s, at_latest_s))
        return self._next_ask_s
