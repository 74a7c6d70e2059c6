"""How often somebody may do something: budgets that refill with time, for a bounded number of somebodies. Pure."""

from __future__ import annotations

from collections.abc import Hashable

MAX_KEYS = 4096


class Rates:
    """Budgets by key; the key seen longest ago is forgotten first."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._left: dict[Hashable, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: Hashable, *, per_s: float, burst: float, now_s: float) -> bool:
        """Take one from the key's budget; False where none is left. Time that runs backwards refills nothing."""
        left, since_s = self._left.pop(key, (burst, now_s))
        left = min(burst, left + max(0.0, now_s - since_s) * per_s)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now_s)
        if len(self._left) > self._max_keys:
            del self._left[next(iter(self._left))]
        return allowed
