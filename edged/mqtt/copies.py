"""A broker may deliver one message once for each of our overlapping filters. Which of them are copies? Pure.

MQTT 5 marks each delivery with the subscription it is for. Copies follow each other with the same content and different
marks; two messages that happen to be equal come with the same mark again. So no real message is ever taken for a copy.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_MAX_IDENTIFIER = 268_435_455


def identifier(topic_filter: str) -> int:
    """Return the mark of a filter: the same in every life of the gateway, whatever its other filters are."""
    return zlib.crc32(topic_filter.encode()) % _MAX_IDENTIFIER + 1


class Copies:
    """Remembers the last message and the subscriptions it has been delivered for."""

    def __init__(self, filters: Iterable[str]) -> None:
        self._ours = {identifier(topic_filter) for topic_filter in filters}
        self._last: tuple[str, bytes, bool] | None = None
        self._delivered_for: set[int] = set()

    def is_copy(self, topic: str, payload: bytes, *, retain: bool, marks: Iterable[int]) -> bool:
        """Say whether this delivery repeats the last one for another subscription."""
        now = set(marks)
        if len(self._ours) < 2 or not now or not now <= self._ours:
            self._last = None
            return False
        content = (topic, payload, retain)
        if content == self._last and not now & self._delivered_for:
            self._delivered_for |= now
            return True
        self._last = content
        self._delivered_for = now
        return False
