"""How fast messages may leave: the service closes a connection that sends too many (protocol section 2). Pure."""

from __future__ import annotations

_FLOOR_PER_S = 1.0
_QUIET_S = 60.0
_STEPS = 20


class Pace:
    """A token bucket. Readings that wait for a token gather into larger batches, so no throughput is lost.

    When the service complains the rate is halved, down to 1/s; every quiet minute gives a twentieth of it back.
    """

    def __init__(self, messages_per_s: float, burst: int) -> None:
        self._full_per_s = messages_per_s
        self._full_burst = float(burst)
        self._per_s = messages_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at_s: float | None = None
        self._changed_at_s = 0.0

    @property
    def per_s(self) -> float:
        """Messages per second that may leave in the long run."""
        return self._per_s

    @property
    def is_slowed(self) -> bool:
        """The service has complained, and the rate is not what it was."""
        return self._per_s < self._full_per_s

    def take(self, now_s: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self._recover(now_s)
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_s
        self._tokens -= 1
        return 0.0

    def give_back(self) -> None:
        """Return a token that was not needed."""
        self._tokens = min(self._burst, self._tokens + 1)

    def too_fast(self, now_s: float) -> None:
        """The service says that we send too fast."""
        self._set(max(self._per_s / 2, min(_FLOOR_PER_S, self._full_per_s)), now_s)
        self._tokens = 0.0

    def _recover(self, now_s: float) -> None:
        while self.is_slowed and now_s - self._changed_at_s >= _QUIET_S:
            step = self._full_per_s / _STEPS
            self._set(min(self._per_s + step, self._full_per_s), self._changed_at_s + _QUIET_S)

    def _set(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = max(1.0, self._full_burst * per_s / self._full_per_s)
        self._tokens = min(self._tokens, self._burst)
        self._changed_at_s = now_s
