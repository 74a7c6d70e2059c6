"""Whether the next message may leave now, and if not, for what it waits and how long. Pure.

Four may object: the hub that takes nothing for now, readings that wait for company, the pace the service allows, and
the month's budget. Whatever waits stays in the outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from edged.settings import TelemetrySettings
from edged.telemetry.budget import Budget
from edged.telemetry.gather import Gather
from edged.telemetry.moments import Moment
from edged.telemetry.pace import Pace
from edged.telemetry.reading import HIGH, LOW, Reading
from edged.telemetry.verdict import Hold
from edged.telemetry.window import MAX_PIECE_BYTES
from metered_realtime import backoff

MAX_BATCH_READINGS = 200
MESSAGES_PER_S = 80.0
BURST = 100
"""The hosted service allows 100 messages/s with a burst of 200 per connection; the rest is for others on the key."""

Delays = Callable[[float, float], Iterator[float]]
"""Takes the first and the longest delay in seconds."""

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: what for, and until when at most."""

    reason: str
    until_s: float = _NEVER


@dataclass(frozen=True, slots=True)
class Go:
    """Now, and counted: readings from `lane` up, but of these channels."""

    lane: int
    not_yet: Container[str]


class Gate:
    """Owns what holds messages back. Time is an argument."""

    def __init__(self, pace: Pace, gather: Gather, budget: Budget, delays: Delays) -> None:
        self._pace = pace
        self._gather = gather
        self.budget = budget
        self._new_delays = delays
        self._hold: Hold | None = None
        self._hold_delays: Iterator[float] = iter(())
        self._held_until_s = 0.0
        self._wait = Wait("readings")

    def arrived(self, reading: Reading, now_s: float) -> bool:
        """A reading came in; returns whether that may change the answer."""
        may_go = self._gather.add(reading, now_s)
        reason, until_s = self._wait.reason, self._wait.until_s
        if reason == "readings":
            return may_go or self._gather.first_due_s < until_s
        if reason == "company":
            return self._gather.is_full
        return reason == "budget" and reading.lane == HIGH

    def ask(self, now_s: float, now: Moment, *, is_behind: bool) -> Go | Wait:
        """Say whether a message may leave. `Go` takes what it costs; `nothing_to_send` gives it back."""
        if is_behind:
            self._gather.flush()
        answer = self._answer(now_s, now)
        if isinstance(answer, Wait):
            self._wait = answer
        return answer

    def link_up(self) -> None:
        """There is a link again: what waits has waited long enough."""
        self._gather.flush()

    def blocked(self, reason: str) -> None:
        """There is no link, or no room on it: no reading changes that."""
        self._wait = Wait(reason)

    def sent(self, now_s: float) -> None:
        """A message left."""
        self._gather.sent(now_s)

    def nothing_to_send(self, go: Go, now: Moment) -> Wait:
        """There was nothing for `go`; returns until when, unless something comes in."""
        self._pace.give_back()
        self.budget.give_back(now)
        if go.lane > LOW:
            return self._wait
        self._gather.emptied()
        self._wait = Wait("readings", self._gather.first_due_s)
        return self._wait

    def hold(self, hold: Hold, now_s: float, now: Moment) -> None:
        """The hub answers, but takes nothing; each probe that fails makes the next one later."""
        self.budget.give_back(now)
        if now_s < self._held_until_s:
            return  # it left before we knew
        if self._hold is None or self._hold.reason != hold.reason:
            self._hold = hold
            self._hold_delays = self._new_delays(hold.first_s, hold.longest_s)
        self._held_until_s = now_s + next(self._hold_delays)

    def taken(self) -> None:
        """The hub took a message: nothing is held any more."""
        self._hold = None
        self._held_until_s = 0.0

    def too_fast(self, now_s: float) -> None:
        """The service ended the connection because we sent too fast."""
        self._pace.too_fast(now_s)

    def figures(self) -> Mapping[str, int | float | str]:
        """Return what the status shows; the budget has figures of its own."""
        return {
            "waits_for": self._wait.reason,
            "held": "" if self._hold is None else self._hold.reason,
            "pace_per_s": round(self._pace.per_s, 2),
            "pace_slowed": int(self._pace.is_slowed),
        }

    def _answer(self, now_s: float, now: Moment) -> Go | Wait:
        if now_s < self._held_until_s:
            return Wait("hub", self._held_until_s)
        not_yet = self._gather.not_yet(now_s)
        if (wait_s := self._gather.wait_s(now_s)) > 0:
            return Wait("company", now_s + wait_s)
        if (wait_s := self._pace.take(now_s)) > 0:
            return Wait("pace", now_s + wait_s)
        wait_s = self.budget.take(now)
        if wait_s <= 0:
            return Go(LOW, not_yet)
        self._wait = Wait("budget", now_s + wait_s)
        if self.budget.take(now, urgent=True) <= 0:
            return Go(HIGH, not_yet)
        self._pace.give_back()
        return self._wait


def _usual_delays(first_s: float, longest_s: float) -> Iterator[float]:
    return backoff.delays(initial_s=first_s, max_s=longest_s)


def make_gate(
    settings: TelemetrySettings, budget_state: str = "", *, pace: Pace | None = None, delays: Delays = _usual_delays
) -> Gate:
    """Return the gate the settings ask for."""
    gather = Gather(settings.gather_s, max_readings=MAX_BATCH_READINGS, max_bytes=MAX_PIECE_BYTES)
    budget = Budget(settings.budget, state=budget_state)
    return Gate(pace or Pace(MESSAGES_PER_S, BURST), gather, budget, delays)
