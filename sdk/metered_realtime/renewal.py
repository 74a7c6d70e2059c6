"""When a token is renewed before it expires, and what is held back meanwhile. Pure: times of a monotonic clock.

A live connection cannot be given a new token, so it is replaced by another one with a fresh token: that one is opened
beside it, and the old one closed only when the new one has been welcomed and has subscribed. A service that counts the
connections of a peer id shows the others nothing of it; one where the newest wins shows them a return, as after a drop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from metered_realtime.backoff import delays

# Of the token's life, jittered so that clients that started together do not renew together.
EARLIEST_SHARE, LATEST_SHARE = 0.8, 0.9
# Before the end: the service closes a connection some 250 ms before its token expires (protocol section 8).
LEAD_S = 3.0
LAST_CHANCE_S = 1.0
# However short a token lives, renewals are at least this far apart.
MIN_INTERVAL_S = 5.0
MAX_LIFE_S = 400 * 86_400
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 60.0
# How long a new connection may take before requests no longer wait for it.
HOLD_S = 3.0

Phase = Literal["idle", "asking", "dialling"]

_MILLISECONDS_FROM = 100_000_000_000
_MAX_TIME = 10**15


class Renewal:
    """The next renewal, if any, and how far the present one is."""

    def __init__(self, random: Callable[[], float]) -> None:
        self.phase: Phase = "idle"
        self.failures = 0
        self.hold_until_s: float | None = None
        self.welcome_by_s: float | None = None
        self._random = random
        self._at_s: float | None = None
        self._expires_s = 0.0
        self._expires_at: int | None = None
        self._retries: Iterator[float] = iter(())

    def plan(self, expires_at: int | None, server_time: int, now_s: float) -> None:
        """A connection was welcomed: `expires_at` Unix seconds of its token, `server_time` by the service's clock.

        A renewal that gained nothing, because the provider keeps a token until it expires, is not followed by another.
        """
        gained = self.phase == "idle" or (expires_at or 0) >= (self._expires_at or 0) + MIN_INTERVAL_S
        self.cancel()
        self._expires_at = expires_at
        life_s = token_life_s(expires_at, server_time)
        if life_s is None or not gained:
            return
        share = EARLIEST_SHARE + (LATEST_SHARE - EARLIEST_SHARE) * self._random()
        after_s = max(MIN_INTERVAL_S, min(share * life_s, life_s - LEAD_S))
        if after_s <= life_s - LAST_CHANCE_S:
            self._at_s = now_s + after_s
            self._expires_s = now_s + life_s
            self._retries = delays(initial_s=RETRY_FIRST_S, max_s=RETRY_MAX_S, random=self._random)

    def cancel(self) -> None:
        """There is nothing to renew."""
        self.phase = "idle"
        self.failures = 0
        self._at_s = self.hold_until_s = self.welcome_by_s = None

    def ask(self) -> None:
        """The token provider is asked."""
        self.phase = "asking"
        self._at_s = None

    def dial(self, now_s: float) -> None:
        """There is a token; requests wait for the new connection, because the old one may end with its coming."""
        self.phase = "dialling"
        self.hold_until_s = now_s + HOLD_S

    def failed(self, now_s: float) -> None:
        """It did not work; it is tried again unless the token ends before."""
        self.phase = "idle"
        self.failures += 1
        self.hold_until_s = self.welcome_by_s = None
        again_s = now_s + next(self._retries)
        self._at_s = again_s if again_s <= self._expires_s - LAST_CHANCE_S else None

    def is_due(self, now_s: float) -> bool:
        """Whether to begin."""
        return self._at_s is not None and now_s >= self._at_s

    def next_timer(self) -> float:
        """Return when something is due. Called for every frame, so it makes no list."""
        due = float("inf") if self._at_s is None else self._at_s
        if self.hold_until_s is not None:
            due = min(due, self.hold_until_s)
        if self.welcome_by_s is not None:
            due = min(due, self.welcome_by_s)
        return due


def token_life_s(expires_at: int | None, server_time: int) -> float | None:
    """Return the seconds a token has left; None where the service does not say, or says nonsense.

    Both times are the service's own: the clock of a small board may be off by years. The unit of `server_time` is not
    documented (protocol section 3): seconds and milliseconds are told apart by their size.
    """
    if expires_at is None or not 0 < expires_at < _MAX_TIME or not 0 < server_time < _MAX_TIME:
        return None
    server_s = server_time / 1000 if server_time >= _MILLISECONDS_FROM else float(server_time)
    life_s = expires_at - server_s
    return life_s if 0 < life_s <= MAX_LIFE_S else None
