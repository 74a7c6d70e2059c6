"""Which channel a topic goes to. Pure: filters are matched here as the broker matches them (MQTT 5 section 4.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edged.settings import RouteSettings

_MAX_REMEMBERED = 4096
_MAX_QOS = 1


def matches(topic_filter: str, topic: str) -> bool:
    """Say whether an MQTT topic filter selects a topic."""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted = topic_filter.split("/")
    given = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        # `a/#` selects `a` itself as well.
        if len(given) < len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in {"+", g} for w, g in zip(wanted, given, strict=True))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a reading goes and how its payload is read."""

    channel: str
    payload: str


class Router:
    """First matching route wins. Answers are remembered for the topics seen, up to a bound."""

    def __init__(self, routes: Sequence[RouteSettings], default_channel: str) -> None:
        self._routes = tuple(
            (route.topic, Destination(route.channel or default_channel, route.payload)) for route in routes
        )
        self._remembered: dict[str, Destination | None] = {}

    def destination(self, topic: str) -> Destination | None:
        """Return where a topic goes, or None where no route wants it."""
        try:
            return self._remembered[topic]
        except KeyError:
            found = next((to for pattern, to in self._routes if matches(pattern, topic)), None)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[topic] = found
        return found


def subscriptions(routes: Sequence[RouteSettings]) -> tuple[tuple[str, int], ...]:
    """Return (filter, qos) for the broker, each filter once with the highest qos asked for it.

    QoS 2 is asked for as 1: its handshake cannot wait for the hub's acknowledgement, and a reading has an id
    by which a repeat is known.
    """
    wanted: dict[str, int] = {}
    for route in routes:
        wanted[route.topic] = max(wanted.get(route.topic, 0), min(route.qos, _MAX_QOS))
    return tuple(wanted.items())
