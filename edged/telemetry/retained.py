"""What the broker has retained comes again with every subscription, all at once. Which of it is news? Pure."""

from __future__ import annotations

_BURST = 1000
_PER_MS = 0.1


class Retained:
    """Remembers the last retained value of each topic, up to a bound, as fingerprints."""

    def __init__(self, max_topics: int) -> None:
        self._max_topics = max_topics
        self._seen: dict[int, int] = {}
        self._room = float(_BURST)
        self._at_ms = 0

    def is_repeat(self, topic: str, payload: bytes) -> bool:
        """Say whether this very value was seen before, and remember it."""
        key, value = hash(topic), hash(payload)
        if self._seen.get(key) == value:
            return True
        if key not in self._seen and len(self._seen) >= self._max_topics:
            # All at once: they come in the same order each time, the oldest would be forgotten just before it comes.
            self._seen.clear()
        self._seen[key] = value
        return False

    def is_flood(self, now_ms: int) -> bool:
        """Say whether so many came lately that this one should wait for live readings. `now_ms` is uptime."""
        self._room = min(float(_BURST), self._room + (now_ms - self._at_ms) * _PER_MS)
        self._at_ms = now_ms
        if self._room < 1:
            return True
        self._room -= 1
        return False
