"""Which way a topic goes: its route, and the channel that the route's template gives for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edged.json_paths import Steps, parse
from edged.settings import RouteSettings
from edged.settings_checks import required_channel_fault
from edged.telemetry.reading import HIGH, LOW, NORMAL
from edged.telemetry.sampling import Rules, rules_of
from edged.topic_filters import matches
from edged.topic_patterns import Pattern, fill
from edged.topic_patterns import parse as parse_pattern

MAX_CHANNELS = 100
"""The service allows a connection so many."""
CHANNEL_IDLE_MS = 3_600_000
_MAX_CHANNEL_BYTES = 256
_MAX_REMEMBERED_TOPIC = 512
"""A stranger may send very many topics of 64 KiB; of longer ones than this the way is looked for each time."""
_MAX_QOS = 1
_LANES = {"low": LOW, "normal": NORMAL, "high": HIGH}


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of `telemetry.routes`, made ready."""

    index: int
    settings: RouteSettings
    pattern: Pattern
    rules: Rules | None
    value: Steps
    fields: tuple[tuple[str, Steps], ...]
    time: Steps
    lane: int


def route_of(index: int, settings: RouteSettings) -> Route:
    """Make a route ready."""
    fields = tuple((name, parse(path)) for name, path in settings.fields.items())
    return Route(
        index,
        settings,
        parse_pattern(settings.topic),
        rules_of(settings),
        parse(settings.value),
        fields,
        parse(settings.time),
        _LANES[settings.priority],
    )


@dataclass(frozen=True, slots=True)
class Way:
    """Where the messages of one topic go. `fault`: why the channel that the template gives cannot be."""

    route: Route
    channel: str
    fault: str = ""
    is_made: bool = False
    """The channel was made from the topic: there may be many."""
    is_own: bool = False
    """The gateway itself publishes there."""


class Router:
    """First matching route wins. Answers are remembered for the topics seen, up to a bound."""

    def __init__(
        self,
        routes: Sequence[RouteSettings],
        default_channel: str,
        *,
        max_topics: int = 20_000,
        own_topics: Sequence[str] = (),
    ) -> None:
        self.routes = tuple(route_of(index, settings) for index, settings in enumerate(routes))
        # One for all topics of a route whose channel does not depend on them.
        self._ways = tuple(Way(route, route.settings.channel or default_channel) for route in self.routes)
        self._max_topics = max_topics
        self._own_topics = tuple(own_topics)
        self._remembered: dict[str, Way | None] = {}

    def way(self, topic: str) -> Way | None:
        """Return where a topic goes, or None where no route wants it."""
        try:
            return self._remembered[topic]
        except KeyError:
            found = next(
                (self._way(route, topic) for route in self.routes if matches(route.pattern.filter, topic)), None
            )
        if len(topic) <= _MAX_REMEMBERED_TOPIC:
            if len(self._remembered) >= self._max_topics:
                # All at once: to look for the oldest each time costs more than to find the ways again.
                self._remembered.clear()
            self._remembered[topic] = found
        return found

    def _way(self, route: Route, topic: str) -> Way:
        if any(matches(own, topic) for own in self._own_topics):
            return Way(route, "", is_own=True)
        template = route.settings.channel
        if "{" not in template:
            return self._ways[route.index]
        channel = fill(template, route.pattern.captured(topic))
        fault = required_channel_fault(channel)
        if not fault and len(channel.encode()) > _MAX_CHANNEL_BYTES:
            fault = f"a channel name has at most {_MAX_CHANNEL_BYTES} bytes"
        return Way(route, channel, fault, is_made=True)


class MadeChannels:
    """Bounds how many channels topics can make. One that nothing was sent to for an hour makes room for another."""

    def __init__(self, routes: Sequence[RouteSettings]) -> None:
        fixed = {route.channel for route in routes if "{" not in route.channel}
        self._room = max(1, MAX_CHANNELS - len(fixed))
        self._used_at_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._used_at_ms)

    def admit(self, channel: str, now_ms: int) -> bool:
        """Note that a channel is used, or refuse it. `now_ms` is uptime."""
        if self._used_at_ms.pop(channel, None) is None and len(self._used_at_ms) >= self._room:
            oldest = next(iter(self._used_at_ms))
            if now_ms - self._used_at_ms[oldest] < CHANNEL_IDLE_MS:
                return False
            del self._used_at_ms[oldest]
        self._used_at_ms[channel] = now_ms
        return True


def subscriptions(routes: Sequence[RouteSettings]) -> tuple[tuple[str, int], ...]:
    """Return (filter, qos) for the broker, each filter once with the highest qos asked for it.

    QoS 2 is asked for as 1: its handshake cannot wait for the hub's acknowledgement, and a reading has an id
    by which a repeat is known.
    """
    wanted: dict[str, int] = {}
    for route in routes:
        topic_filter = parse_pattern(route.topic).filter
        wanted[topic_filter] = max(wanted.get(topic_filter, 0), min(route.qos, _MAX_QOS))
    return tuple(wanted.items())
