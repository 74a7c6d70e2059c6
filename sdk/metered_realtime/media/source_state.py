"""The life of a source that may go and come back: what its owner is told, and the pace of the attempts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from metered_realtime.backoff import delays
from metered_realtime.events import Event
from metered_realtime.media.source_errors import SourceError

SourceState = Literal["idle", "connecting", "live", "lost", "ended"]

# A source that was live for this long is tried again at once when it goes, not where the last row of attempts ended.
STEADY_AFTER_S = 5.0
MAX_DELAY_S = 10.0


@dataclass(frozen=True, slots=True)
class SourceStateChange(Event):
    """A source went to `state`; `reason` is one sentence and `err` the typed error while it is "lost".

    "idle": nobody reads, so it is closed; "connecting": it is opened; "live": pictures or sound come; "lost": it is
    tried again until it works, and its tracks wait; "ended": it was stopped.
    """

    state: SourceState
    reason: str = ""
    err: SourceError | None = None


def _delays() -> Iterator[float]:
    return delays(max_s=MAX_DELAY_S)


class SourceLife:
    """State and pace of one source. Each call returns what to tell the owner, None where nothing changed for them.

    A source in trouble stays "lost", with its reason, while it is tried again: only a picture or sound ends it.
    """

    def __init__(self, new_delays: Callable[[], Iterator[float]] = _delays) -> None:
        self.state: SourceState = "idle"
        self.error: SourceError | None = None
        self.failures = 0
        self._new_delays = new_delays
        self._delays = new_delays()
        self._live_since_s = 0.0
        self._not_before_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next attempt."""
        return max(0.0, self._not_before_s - now_s)

    def begin(self) -> SourceStateChange | None:
        """An attempt to open it begins."""
        return self._go("connecting") if self.state == "idle" else None

    def arrived(self, now_s: float) -> SourceStateChange | None:
        """The first picture or sound of this attempt came."""
        if self.state == "live":
            return None
        self._live_since_s = now_s
        self.error = None
        return self._go("live")

    def fail(self, error: SourceError, now_s: float) -> SourceStateChange | None:
        """An attempt failed, or what was live went. `wait_s` tells when to try again."""
        self.failures += 1
        if self.state == "live" and now_s - self._live_since_s >= STEADY_AFTER_S:
            self._delays = self._new_delays()
        self._not_before_s = now_s + max(next(self._delays), error.retry_after_s or 0.0)
        is_news = self.state != "lost" or str(error) != str(self.error)
        self.error = error
        return self._go("lost") if is_news else None

    def rest(self) -> SourceStateChange | None:
        """Nobody reads any more: it is closed. A wait that an error asked for stays in force."""
        self.error = None
        return None if self.state == "idle" else self._go("idle")

    def end(self) -> SourceStateChange | None:
        """It was stopped for good."""
        return None if self.state == "ended" else self._go("ended")

    def _go(self, state: SourceState) -> SourceStateChange:
        self.state = state
        error = self.error if state == "lost" else None
        return SourceStateChange(state, "" if error is None else str(error), error)
