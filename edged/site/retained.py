"""Which retained messages have to be sent now: those that changed, not too often, and never one twice. Pure.

The broker is told what is wanted topic by topic. What it may still hold of earlier and nobody wants any more is removed
with an empty message.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

REMOVE = b""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a topic should hold. A change of `news` is told soon, any other with the next interval."""

    payload: bytes
    news: Hashable = None


@dataclass(frozen=True, slots=True)
class _Sent:
    wish: Wish
    at_s: float


class Retained:
    """Decides; who sends tells `sent` and `refused`. Time is an argument."""

    def __init__(self, *, interval_s: float, soon_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._soon_s = soon_s
        self._wishes: dict[str, Wish] = {}
        self._sent: dict[str, _Sent] = {}
        self._held: set[str] = set()
        self._refused: set[str] = set()

    @property
    def topics(self) -> frozenset[str]:
        """Every topic the broker holds, or will, or may."""
        return frozenset(self._held | self._wishes.keys())

    def remember(self, topics: Iterable[str]) -> None:
        """The broker may hold these of an earlier life."""
        self._held.update(topics)

    def want(self, wishes: Mapping[str, Wish]) -> None:
        """Say what all topics should hold."""
        self._wishes = dict(wishes)

    def again(self) -> None:
        """The broker, or a reader, may have forgotten everything: all is sent anew."""
        self._sent.clear()
        self._refused.clear()

    def due(self, now_s: float) -> list[tuple[str, Wish]]:
        """Return what has to be sent now, in the order it was wished for; removals last."""
        found = [(topic, wish) for topic, wish in self._wishes.items() if self._due_s(topic, wish, now_s) <= now_s]
        gone = sorted(self._held - self._wishes.keys() - self._refused)
        return found + [(topic, Wish(REMOVE)) for topic in gone]

    def next_s(self, now_s: float) -> float | None:
        """Return when something that is known of now will be due; None for never."""
        times = [self._due_s(topic, wish, now_s) for topic, wish in self._wishes.items()]
        return min((time_s for time_s in times if time_s != _NEVER), default=None)

    def sent(self, topic: str, wish: Wish, now_s: float) -> None:
        """The broker has it."""
        if wish.payload == REMOVE:
            self._held.discard(topic)
            self._sent.pop(topic, None)
        else:
            self._held.add(topic)
            self._sent[topic] = _Sent(wish, now_s)

    def refused(self, topic: str) -> None:
        """The broker does not take it from us: not asked again before `again`."""
        self._refused.add(topic)

    def _due_s(self, topic: str, wish: Wish, now_s: float) -> float:
        if topic in self._refused:
            return _NEVER
        last = self._sent.get(topic)
        if last is None:
            return now_s
        if last.wish.payload == wish.payload:
            return _NEVER
        return last.at_s + (self._soon_s if last.wish.news != wish.news else self._interval_s)


_NEVER = float("inf")
