"""What we published ourselves and an older broker brings back to us. Pure.

An MQTT 5 broker is asked not to (no-local). One of 3.1.1 delivers to us whatever our filters select, our own
publications included, and a message that came back into the road it left by would go round for ever.
"""

from __future__ import annotations

from collections import OrderedDict

_MAX_REMEMBERED = 256
_REMEMBERED_S = 30.0

_Content = tuple[str, int, int]


class Echoes:
    """The latest own publications, by topic and payload, with how often each may still come back."""

    def __init__(self) -> None:
        self._expected: OrderedDict[_Content, tuple[int, float]] = OrderedDict()

    def published(self, topic: str, payload: bytes, now_s: float) -> None:
        """We are about to publish what one of our own filters selects."""
        content = _content(topic, payload)
        left, _until_s = self._expected.pop(content, (0, 0.0))
        self._expected[content] = (left + 1, now_s + _REMEMBERED_S)
        while len(self._expected) > _MAX_REMEMBERED:
            self._expected.popitem(last=False)

    def is_echo(self, topic: str, payload: bytes, now_s: float) -> bool:
        """Say whether a message is one of ours, come back. Each is recognised once."""
        if not self._expected:
            return False
        content = _content(topic, payload)
        left, until_s = self._expected.get(content, (0, 0.0))
        if not left:
            return False
        if left == 1 or now_s > until_s:
            del self._expected[content]
        else:
            self._expected[content] = (left - 1, until_s)
        return now_s <= until_s


def _content(topic: str, payload: bytes) -> _Content:
    return topic, len(payload), hash(payload)
