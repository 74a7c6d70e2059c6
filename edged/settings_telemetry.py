"""The settings of the sensor road: routes and the outbox. Pure."""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edged import settings_checks as checks
from edged.settings_fields import required, section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """From MQTT topics to a channel."""

    topic: str = required("MQTT topic filter; + is one level, # is all that follow.", check=checks.topic_filter_fault)
    channel: str = setting(
        "", "Channel the readings are published to; empty: `hub.channel`.", check=checks.channel_fault
    )
    qos: int = setting(
        1, "Quality of service of the subscription; 0 only where a lost reading does not matter.", minimum=0, maximum=1
    )
    payload: str = setting(
        "auto",
        "How the payload is read: number, json, text, or auto (json where it parses, else text).",
        choices=("auto", "json", "number", "text"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """Where readings wait while the uplink is down."""

    path: str = setting("", "SQLite file; empty: outbox.db in the state directory (/var/lib/edged).")
    max_bytes: int = setting(
        268435456, "Bytes of readings kept; beyond it the oldest is dropped and counted.", minimum=65536
    )
    memory_bytes: int = setting(4194304, "Bytes of readings held in memory before they go to disk.", minimum=4096)
    spill_after_s: float = setting(
        3.0, "Seconds a reading waits for the uplink in memory before it goes to disk.", minimum=0, maximum=3600
    )
    window: int = setting(256, "Readings sent ahead of the hub's acknowledgement.", minimum=1, maximum=10000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The sensor road: MQTT topics to channels."""

    routes: tuple[RouteSettings, ...] = setting((), "List of routes; the first whose topic matches is taken.")
    outbox: OutboxSettings = section(OutboxSettings, "Store for readings the hub has not acknowledged.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find routes that an earlier one with the same filter always takes from."""
        first: dict[str, int] = {}
        for index, route in enumerate(self.routes):
            earlier = first.setdefault(route.topic, index)
            if earlier != index:
                yield f"routes[{index}].topic", f"routes[{earlier}] has the same filter and takes all; remove one"
