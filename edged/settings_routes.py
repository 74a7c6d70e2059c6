"""The settings of one route: which topics, what of their payload, how often, to which channel. Pure."""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edged import settings_checks as checks
from edged.json_paths import optional_path_fault, path_fault
from edged.settings_fields import required, section, setting
from edged.topic_patterns import parse, pattern_fault, template_fault

MAX_READING_BYTES = 48 * 1024
"""A reading as JSON. The service takes messages of 64 KiB; the rest is for the envelope."""
_RATE = re.compile(r"([1-9]\d{0,5})/(s|min|h)\Z")
_PERIODS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_FIELD_NAME = re.compile(r"[^\x00-\x1f\"]{1,64}\Z")
_MAX_FIELDS = 64


def rate(text: str) -> tuple[int, float]:
    """Return how many in how many seconds a rate like 10/min allows; `rate_fault` has found nothing wrong with it."""
    count, _, period = text.partition("/")
    return int(count), _PERIODS_S[period]


def rate_fault(text: str) -> str:
    """Check a rate that may be left empty."""
    return "" if not text or _RATE.match(text) else f"{text!r} is no rate; write for example 5/s, 10/min or 100/h"


def topic_fault(topic: str) -> str:
    """Check the topic filter of a route, in which levels may have names."""
    return pattern_fault(topic) or checks.topic_filter_fault(parse(topic).filter)


def template_channel_fault(channel: str) -> str:
    """Check a channel that may hold {names}; whether the topic has them is looked at elsewhere."""
    # Each name stands for at least nothing: what is wrong then is wrong with every topic.
    return checks.channel_fault(re.sub(r"\{[^{}]*\}", "", channel))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """How many readings share a message to the hub."""

    delay_s: float = setting(
        0.0, "Seconds a reading may wait for others, to save messages; 0: none.", minimum=0, maximum=3600
    )
    readings: int = setting(0, "Send when so many are there; 0: as many as fit.", minimum=0, maximum=1000)
    bytes: int = setting(0, "Send when so many bytes are there; 0: as many as fit.", minimum=0, maximum=49152)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """From MQTT topics to a channel."""

    topic: str = required(
        "MQTT topic filter; + is one level, # is all that follow, {name} a level that `channel` may use, {name...} all "
        "that follow.",
        check=topic_fault,
    )
    channel: str = setting(
        "",
        "Channel the readings are published to, for example farm-{barn}; empty: `hub.channel`.",
        check=template_channel_fault,
    )
    qos: int = setting(
        1, "Quality of service of the subscription; 0 only where a lost reading does not matter.", minimum=0, maximum=1
    )
    payload: str = setting(
        "auto",
        "How the payload is read: number, json, text, auto (json where it parses, else text), or raw (any bytes: text "
        "if they are UTF-8, else base64).",
        choices=("auto", "json", "number", "text", "raw"),
    )
    value: str = setting(
        "", "Path to the one value in a JSON payload that is sent, as data.temp_c or bat[0].", check=optional_path_fault
    )
    fields: Mapping[str, str] = section(
        lambda: MappingProxyType({}), "Values of a JSON payload that are sent, by new name: {temperature: data.temp_c}."
    )
    time: str = setting(
        "", "Path to the time in a JSON payload; empty: the time of receipt.", check=optional_path_fault
    )
    time_unit: str = setting(
        "auto",
        "What that time is: s, ms, us or ns since 1970, iso (ISO 8601), or auto.",
        choices=("auto", "s", "ms", "us", "ns", "iso"),
    )
    min_interval_s: float = setting(
        0.0, "Of each topic at most one reading in so many seconds; 0: all.", minimum=0, maximum=86400
    )
    max_interval_s: float = setting(
        0.0, "After so many seconds on_change and dead_band let the next one pass; 0: never.", minimum=0, maximum=604800
    )
    on_change: bool = setting(False, "Of each topic only readings whose value differs from the last one sent.")
    dead_band: float = setting(
        0.0, "Of each topic only numbers that differ from the last one sent by at least this; 0: all.", minimum=0
    )
    watch: str = setting(
        "", "Path in the sent value that on_change and dead_band look at; empty: all of it.", check=optional_path_fault
    )
    throttle: str = setting("", "Of each topic at most so many, as 5/s, 10/min or 100/h; empty: all.", check=rate_fault)
    retained: str = setting(
        "once",
        "What the broker has retained: once (each value once while the gateway runs), always, or skip.",
        choices=("once", "always", "skip"),
    )
    max_payload_bytes: int = setting(
        MAX_READING_BYTES, "Messages with a larger payload are refused and counted.", minimum=1, maximum=1048576
    )
    priority: str = setting(
        "normal",
        "Who goes first, and stays longest, when there is more than the link can carry.",
        choices=("low", "normal", "high"),
    )
    keep_s: float = setting(
        0.0, "Readings that wait longer for the hub are dropped and counted; 0: as long as there is room.", minimum=0
    )
    batch: BatchSettings = section(BatchSettings, "How many readings share a message to the hub.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find what does not go together, or is asked of a payload that cannot have it."""
        if problem := template_fault(self.channel, parse(self.topic).names):
            yield "channel", problem
        yield from self._selection_faults()
        if self.watch and not (self.on_change or self.dead_band):
            yield "watch", "is for on_change and dead_band; set one of them, or remove it"
        if self.dead_band and self.payload in {"text", "raw"}:
            yield "dead_band", f"compares numbers, but payload is {self.payload}; set payload: number, or use on_change"
        if self.time_unit != "auto" and not self.time:
            yield "time_unit", "is for the time in the payload; set time: to its path, or remove it"
        if self.dead_band and self.fields and not self.watch:
            yield "dead_band", f"needs one number; set watch: {next(iter(self.fields))}"
        if self.max_interval_s and not (self.on_change or self.dead_band):
            yield "max_interval_s", "lets pass what on_change and dead_band hold back; set one of them, or remove it"
        if 0 < self.max_interval_s < self.min_interval_s:
            yield "max_interval_s", f"is less than min_interval_s; give at least {self.min_interval_s:g}"

    def _selection_faults(self) -> Iterator[tuple[str, str]]:
        if self.value and self.fields:
            yield "value", "given together with fields; keep one of the two"
        if len(self.fields) > _MAX_FIELDS:
            yield "fields", f"has {len(self.fields)} entries; at most {_MAX_FIELDS} are taken"
        for name, path in self.fields.items():
            if not _FIELD_NAME.match(name):
                yield "fields", f"{name!r} is no name for a field; give 1 to 64 characters without quotation marks"
            elif not isinstance(path, str) or (problem := path_fault(path)):
                yield f"fields.{name}", problem if isinstance(path, str) else "is no path; for example data.temp_c"
        if self.payload not in {"auto", "json"}:
            for key in ("value", "fields", "time"):
                if getattr(self, key):
                    yield key, f"looks into JSON, but payload is {self.payload}; set payload: json"
