"""How fast messages may leave: the service closes a connection that sends too many (protocol section 2). Pure."""

from __future__ import annotations


class Pace:
    """A token bucket. Readings that wait for a token gather into larger batches, so no throughput is lost."""

    def __init__(self, messages_per_s: float, burst: int) -> None:
        self._per_s = messages_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at_s: float | None = None

    def take(self, now_s: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
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
