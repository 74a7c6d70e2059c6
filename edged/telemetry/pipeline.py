"""From a message of the broker to a reading, or to the reason why there is none. Pure, and used by `edged route test`.

The order: route, retained, size and decoding, selection, time, channel, reading, filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edged.json_paths import MISSING, pick
from edged.settings import TelemetrySettings
from edged.telemetry.moments import Moment
from edged.telemetry.payload import PayloadError, decode_payload, shown
from edged.telemetry.payload_time import PayloadTimeError, payload_time_ms
from edged.telemetry.reading import LOW, Reading, make_reading
from edged.telemetry.retained import Retained
from edged.telemetry.routes import MAX_CHANNELS, MadeChannels, Route, Router, Way
from edged.telemetry.sampling import Sampler

NO_ROUTE = "no_route"
UNEXPECTED = "unexpected"
_FAULTS_OF_OURS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_MIN_RETAINED = 65_536


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A message that is not sent because the settings ask for that. `reason` is the word it is counted under."""

    reason: str


@dataclass(slots=True)
class RouteCounts:
    """What became of the messages of one route."""

    readings: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    missing_fields: Counter[str] = field(default_factory=Counter)
    time_faults: Counter[str] = field(default_factory=Counter)
    last_time_ms: int | None = None
    """When the last reading was taken; None where there is none, or the clock was not set."""


class InboundMessage(Protocol):
    """What is used of a message of the broker."""

    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def retain(self) -> bool: ...


class Pipeline:
    """All routes with what they remember of their topics."""

    def __init__(self, settings: TelemetrySettings, default_channel: str, *, own_topics: Sequence[str] = ()) -> None:
        self._router = Router(settings.routes, default_channel, max_topics=settings.topics, own_topics=own_topics)
        self._sampler = Sampler(settings.topics)
        self._retained = Retained(max(settings.topics, _MIN_RETAINED))
        self._channels = MadeChannels(settings.routes)
        self.counts = tuple(RouteCounts() for _ in settings.routes)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes, in their order."""
        return self._router.routes

    def way(self, topic: str) -> Way | None:
        """Return where the messages of a topic go, or None where no route wants them."""
        return self._router.way(topic)

    def process(
        self, message: InboundMessage, now: Moment, reading_id: str, *, is_owed: bool = False
    ) -> Reading | HeldBack:
        """Return what becomes of a message. Raises PayloadError where it is refused.

        What `is_owed` has passed the filters in an earlier life; they only take note of it.
        """
        way = self._router.way(message.topic)
        if way is None:
            raise PayloadError(NO_ROUTE, f"{shown(message.topic)}: no route wants it")
        counts = self.counts[way.route.index]
        try:
            made = self._process(way, message, now, reading_id, is_owed=is_owed)
        except PayloadError as error:
            counts.refused[error.reason] += 1
            raise
        except _FAULTS_OF_OURS as error:
            # What nobody thought of costs this one message, not all that come after it.
            counts.refused[UNEXPECTED] += 1
            raise PayloadError(
                UNEXPECTED, f"{shown(message.topic)}: a fault of edged, please report it: {error!r}"
            ) from error
        if isinstance(made, HeldBack):
            counts.filtered[made.reason] += 1
        else:
            counts.readings += 1
            counts.last_time_ms = now.wall_ms if now.is_set else None
        return made

    def figures(self) -> Mapping[str, Any]:
        """Return what became of the messages, by route, and how much is remembered."""
        routes = {
            route.settings.topic: {
                "readings": counts.readings,
                "filtered": dict(counts.filtered),
                "refused": dict(counts.refused),
                "missing_fields": dict(counts.missing_fields),
                "time_faults": dict(counts.time_faults),
                "last_time_ms": counts.last_time_ms,
            }
            for route, counts in zip(self.routes, self.counts, strict=True)
        }
        return {"routes": routes, "topics_remembered": self._sampler.topics, "channels_made": len(self._channels)}

    def _process(
        self, way: Way, message: InboundMessage, now: Moment, reading_id: str, *, is_owed: bool
    ) -> Reading | HeldBack:
        route = way.route
        settings = route.settings
        topic = message.topic
        if way.is_own:
            return HeldBack("own_topic")
        if message.retain and (reason := self._retained_reason(settings.retained, message)):
            return HeldBack(reason)
        value = decoded = decode_payload(topic, message.payload, settings.payload, settings.max_payload_bytes)
        if route.value or route.fields:
            value = self._selected(route, topic, decoded)
        time_ms, time_fault = self._time(route, decoded, now)
        if way.is_made:
            self._check_channel(way, topic, now)
        lane = LOW if message.retain and self._retained.is_flood(now.uptime_ms) else route.lane
        reading = make_reading(
            reading_id,
            way.channel,
            topic,
            value,
            time_ms,
            retained=message.retain,
            time_fault=time_fault,
            taken=now,
            lane=lane,
            keep_s=settings.keep_s,
            batch=settings.batch,
        )
        # Last: what is refused has not passed, and holds nothing back.
        if route.rules is not None:
            if is_owed:
                self._sampler.passed(topic, value, route.rules, now.uptime_ms)
            elif reason := self._sampler.why_not(topic, value, route.rules, now.uptime_ms):
                return HeldBack(reason)
        return reading

    def _retained_reason(self, wanted: str, message: InboundMessage) -> str:
        if wanted == "skip":
            return "retained"
        is_repeat = wanted == "once" and self._retained.is_repeat(message.topic, message.payload)
        return "retained_repeat" if is_repeat else ""

    def _time(self, route: Route, decoded: Any, now: Moment) -> tuple[int | None, str]:
        received_ms = now.wall_ms if now.is_set else None
        if not route.time:
            return received_ms, ""
        given = pick(decoded, route.time)
        try:
            return payload_time_ms(given, route.settings.time_unit, now), ""
        except PayloadTimeError as error:
            fault = "missing" if given is MISSING else str(error)
            self.counts[route.index].time_faults[fault] += 1
            return received_ms, fault

    def _selected(self, route: Route, topic: str, decoded: Any) -> Any:
        missing = self.counts[route.index].missing_fields
        if route.value:
            value = pick(decoded, route.value)
            if value is MISSING:
                missing[route.settings.value] += 1
                raise PayloadError("no_value", f"{shown(topic)}: the payload has no {route.settings.value}")
            return value
        picked = {name: pick(decoded, steps) for name, steps in route.fields}
        found = {name: value for name, value in picked.items() if value is not MISSING}
        if len(found) < len(picked):
            missing.update(name for name in picked if name not in found)
            if not found:
                raise PayloadError("no_fields", f"{shown(topic)}: the payload has none of {', '.join(picked)}")
        return found

    def _check_channel(self, way: Way, topic: str, now: Moment) -> None:
        if way.fault:
            raise PayloadError("invalid_channel", f"{shown(topic)} makes the channel {shown(way.channel)}: {way.fault}")
        if not self._channels.admit(way.channel, now.uptime_ms):
            raise PayloadError(
                "too_many_channels",
                f"{shown(topic)} makes the channel {shown(way.channel)}, but there are {MAX_CHANNELS} already; let "
                "routes share channels",
            )
