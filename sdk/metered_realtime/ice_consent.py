"""Consent freshness of one path (RFC 7675): when to ask, when it counts as lost, when sending must end. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# A path without an answer for so long is reported as lost; sending goes on until consent expires.
CONSENT_LOST_S = 4.5
# RFC 7675 section 5.1: without consent for 30 s nothing more may be sent.
CONSENT_EXPIRES_S = 30.0
_LEAST_UNANSWERED = 3


@dataclass(frozen=True, slots=True)
class ConsentTimings:
    """How often consent is asked for, and how long it is missed; seconds."""

    interval_s: float = 2.5
    """Between checks while they are answered, varied by a fifth either way."""
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
        self._confirmed_s = now_s
        self._next_ask_s = now_s + self._varied_interval_s()
        self._unanswered = 0
        self.is_lost = False
        self.is_expired = False

    def step(self, now_s: float) -> ConsentStep:
        """Return what is due at `now_s`; to be called again after `wait_s`.

        Besides time it takes some unanswered checks, so that a process that did not run for a while (a stalled
        loop, a stopped process) does not take its own sleep for a dead path.
        """
        ask = just_lost = just_expired = False
        if not self.is_expired:
            silent_s = now_s - self._confirmed_s
            enough = self._unanswered >= _LEAST_UNANSWERED
            if enough and not self.is_lost and silent_s >= self._timings.lost_s:
                self.is_lost = just_lost = True
            if enough and silent_s >= self._timings.expires_s:
                self.is_expired = just_expired = True
            elif now_s >= self._next_ask_s:
                ask = True
                self._unanswered += 1
                self._next_ask_s = now_s + self._timings.retry_s
        return ConsentStep(ask, just_lost, just_expired, self._wait_s(now_s))

    def confirm(self, now_s: float) -> bool:
        """Take note of an answer. Returns whether the path had been lost and is back; an expired one stays expired."""
        if self.is_expired:
            return False
        was_lost, self.is_lost = self.is_lost, False
        self._confirmed_s = now_s
        self._unanswered = 0
        self._next_ask_s = now_s + self._varied_interval_s()
        return was_lost

    def _wait_s(self, now_s: float) -> float:
        due_s = self._next_ask_s
        if self._unanswered >= _LEAST_UNANSWERED and not self.is_lost:
            due_s = min(due_s, self._confirmed_s + self._timings.lost_s)
        return max(due_s - now_s, 0.0)

    def _varied_interval_s(self) -> float:
        return self._timings.interval_s * random.uniform(0.8, 1.2)
