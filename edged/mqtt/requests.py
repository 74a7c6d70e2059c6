"""Which message is the reply to which request. Pure.

MQTT 5 lets a reply carry the mark of its request (correlation data); a device that speaks 3.1.1, or does not care,
sends none. Requests that share a reply topic therefore wait for each other, until a reply shows that its sender marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MAX_REMEMBERED = 256


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One question that waits for its answer. `is_reply` looks into a payload where it can tell more than the topic."""

    reply_topic: str
    mark: bytes
    deliver: Callable[[bytes], None]
    is_reply: Callable[[bytes], bool]


class Requests:
    """All requests that wait, by reply topic."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Request]] = {}
        self._marking: dict[str, None] = {}
        self._known: dict[str, None] = {}

    def topics(self) -> Iterator[str]:
        """Return the reply topics that are waited on."""
        return iter(tuple(self._waiting))

    def may_begin(self, reply_topic: str) -> bool:
        """Say whether a further request can be told from those that wait on the topic."""
        return reply_topic not in self._waiting or reply_topic in self._marking

    def is_awaited(self, topic: str) -> bool:
        """Say whether a reply is waited for on the topic."""
        return topic in self._waiting

    def is_known(self, topic: str) -> bool:
        """Say whether the topic is, or was a while ago, one for replies: a late reply is no reading."""
        return topic in self._known

    def begin(self, request: Request) -> None:
        """A request is about to be published."""
        self._waiting.setdefault(request.reply_topic, []).append(request)
        _remember(self._known, request.reply_topic)

    def end(self, request: Request) -> bool:
        """A request waits no longer; return whether nobody waits on its topic any more."""
        waiting = self._waiting.get(request.reply_topic, [])
        if request in waiting:
            waiting.remove(request)
        if waiting:
            return False
        self._waiting.pop(request.reply_topic, None)
        return True

    def take(self, topic: str, payload: bytes, mark: bytes) -> bool:
        """Hand a message to the request it answers; return whether there is one."""
        waiting = self._waiting.get(topic)
        if not waiting:
            return False
        if mark:
            found = next((request for request in waiting if request.mark == mark), None)
            if found is not None:
                _remember(self._marking, topic)
        else:
            # Without a mark, and so with one request at a time: a sender that marked before may have been replaced.
            self._marking.pop(topic, None)
            found = waiting[0] if len(waiting) == 1 else None
        if found is None or not found.is_reply(payload):
            return False
        found.deliver(payload)
        return True


def _remember(known: dict[str, None], topic: str) -> None:
    known.pop(topic, None)
    known[topic] = None
    if len(known) > _MAX_REMEMBERED:
        del known[next(iter(known))]
