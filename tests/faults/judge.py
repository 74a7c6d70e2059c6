"""The judge: compares what the sensors were promised by their broker with what came out at the far end. Pure.

It knows topics, numbers, ids and what a message says of itself, and nothing of how edged works. Per topic the sensors
number their messages from 0; the rules are: all that were acknowledged arrive, the first arrivals of a topic are in
order, a repeat carries the id of the first, no id stands for two readings, nothing arrives that nobody sent.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Name = tuple[str, int]
"""A message as the sensors know it: topic and number."""
_SHOWN = 5


class Ledger:
    """What the sensors sent, how often, when, and what of it the broker has acknowledged to them."""

    def __init__(self) -> None:
        self._times: dict[str, bytearray] = {}
        self._acknowledged: dict[str, bytearray] = {}
        self._at_s: dict[str, array[float]] = {}
        self.count = 0

    def sent(self, topic: str, number: int, at_s: float) -> None:
        """A message was written to the broker; again, where the first time was not acknowledged."""
        times = self._times.setdefault(topic, bytearray())
        if number == len(times):
            times.append(1)
            self._acknowledged.setdefault(topic, bytearray()).append(0)
            self._at_s.setdefault(topic, array("d")).append(at_s)
            self.count += 1
        else:
            times[number] += 1

    def acknowledged(self, topic: str, number: int) -> None:
        """The broker has taken a message over."""
        self._acknowledged[topic][number] = 1

    def times_sent(self, name: Name) -> int:
        """Return how often the sensors sent a message; 0: never."""
        topic, number = name
        times = self._times.get(topic, b"")
        return times[number] if 0 <= number < len(times) else 0

    def sent_at_s(self, name: Name) -> float:
        """Return when a message was sent first."""
        return self._at_s[name[0]][name[1]]

    def promised(self) -> Iterator[Name]:
        """Yield all messages that the broker acknowledged."""
        for topic, marks in self._acknowledged.items():
            for number, mark in enumerate(marks):
                if mark:
                    yield topic, number

    def promised_count(self) -> int:
        """Return how many messages the broker acknowledged."""
        return sum(sum(marks) for marks in self._acknowledged.values())


@dataclass
class Handed:
    """What the broker handed to the gateway, seen on the wire between them, where a broker's own losses matter."""

    order: dict[Name, int] = field(default_factory=dict)
    lives: dict[Name, set[int]] = field(default_factory=dict)

    def take(self, name: Name, life: int) -> None:
        """The broker, in its so many-th life, sent a message to the gateway."""
        self.order.setdefault(name, len(self.order))
        self.lives.setdefault(name, set()).add(life)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it went. `faults` is empty where every rule was kept."""

    sent: int
    promised: int
    arrived: int
    lost: int
    lost_by_broker: int
    repeated: int
    reordered: int
    renamed: int
    ids_twice: int
    strange: int
    marked: int
    faults: tuple[str, ...]


class Judge:
    """Hears every reading at the far end in the order of arrival."""

    def __init__(self, ledger: Ledger, *, handed: Handed | None = None, is_backlog_marked: bool = False) -> None:
        self._ledger = ledger
        self._handed = handed
        self._is_backlog_marked = is_backlog_marked
        self._name_of: dict[str, Name] = {}
        self._ids: Counter[Name] = Counter()
        self._newest: dict[tuple[str, bool], int] = {}
        self._counts: Counter[str] = Counter()
        self._examples: list[str] = []
        self.latencies_s = array("d")
        self.live_latencies_s = array("d")

    @property
    def arrived(self) -> int:
        """Messages of which at least one copy has arrived."""
        return len(self._ids)

    @property
    def ids(self) -> int:
        """Readings of different ids that have arrived."""
        return len(self._name_of)

    def take(self, topic: str, number: int, reading_id: str, at_s: float, *, backlog: bool = False) -> None:
        """A reading has arrived."""
        name = (topic, number)
        if not self._ledger.times_sent(name):
            self._note("strange", f"{name} was never sent (id {reading_id})")
            return
        self._counts["marked"] += backlog
        is_new_id = reading_id not in self._name_of
        if self._name_of.setdefault(reading_id, name) != name:
            self._note("ids_twice", f"id {reading_id} is {self._name_of[reading_id]} and {name}")
        elif not is_new_id:
            self._counts["repeated"] += 1
            return
        if name not in self._ids:
            self._first(name, at_s, backlog=backlog)
        self._ids[name] += 1
        if self._ids[name] > self._most_ids(name):
            self._note("renamed", f"{name} came again as {reading_id}")

    def missing(self) -> list[Name]:
        """Return what was promised and has not arrived."""
        return [name for name in self._ledger.promised() if name not in self._ids]

    def verdict(self) -> Verdict:
        """Return how it went so far."""
        missing = self.missing()
        by_broker = [name for name in missing if self._handed is not None and name not in self._handed.order]
        lost = len(missing) - len(by_broker)
        counts = self._counts
        broken = {"lost": lost, **{rule: counts[rule] for rule in ("reordered", "renamed", "ids_twice", "strange")}}
        if not self._is_backlog_marked and counts["marked"]:
            broken["marked as backlog"] = counts["marked"]
        faults = [f"{count} {rule}" for rule, count in broken.items() if count]
        if lost:
            faults.append(f"first lost: {_shown(sorted(set(missing) - set(by_broker)))}")
        return Verdict(
            self._ledger.count,
            self._ledger.promised_count(),
            self.arrived,
            lost,
            len(by_broker),
            counts["repeated"],
            counts["reordered"],
            counts["renamed"],
            counts["ids_twice"],
            counts["strange"],
            counts["marked"],
            (*faults, *self._examples),
        )

    def _first(self, name: Name, at_s: float, *, backlog: bool) -> None:
        topic, number = name
        rank = self._handed.order.get(name, -1) if self._handed is not None else number
        stream = (topic, backlog)
        if rank < self._newest.get(stream, -1):
            self._note("reordered", f"{name} came after rank {self._newest[stream]} (backlog: {backlog})")
        else:
            self._newest[stream] = rank
        latency_s = at_s - self._ledger.sent_at_s(name)
        self.latencies_s.append(latency_s)
        if not backlog:
            self.live_latencies_s.append(latency_s)

    def _most_ids(self, name: Name) -> int:
        """A sensor that sends again, or a broker that forgot that it was answered, makes a new message of an old."""
        lives = len(self._handed.lives.get(name, ())) if self._handed is not None else 0
        return max(self._ledger.times_sent(name), lives)

    def _note(self, rule: str, example: str) -> None:
        self._counts[rule] += 1
        if self._counts[rule] <= _SHOWN:
            self._examples.append(example)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _shown(names: list[Name]) -> str:
    ends = names if len(names) <= 2 * _SHOWN else [*names[:_SHOWN], ("...", 0), *names[-_SHOWN:]]
    return " ".join(topic if topic == "..." else f"{topic}:{number}" for topic, number in ends)
