"""The settings of the sensor road: routes and the outbox. Pure."""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edged.settings_fields import section, setting
from edged.settings_routes import RouteSettings
from edged.topic_filters import covers
from edged.topic_patterns import parse

__all__ = ["BudgetSettings", "OutboxSettings", "RouteSettings", "TelemetrySettings"]


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
    max_age_s: float = setting(
        604800.0, "Seconds a reading is kept at most, unless its route says how long; 0: without end.", minimum=0
    )
    keep_free_bytes: int = setting(
        134217728,
        "Bytes of the disk left to others; below, nothing is written: readings wait in memory and at the broker.",
        minimum=0,
    )
    live_share: float = setting(
        0.5,
        "Part of the messages that new readings get while a long backlog is sent; 0: they queue up behind it.",
        minimum=0,
        maximum=1,
    )
    catch_up_s: float = setting(
        20.0,
        "Seconds a backlog may take before new readings are sent beside it; until then all keeps its order.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """How many messages may go to the hub. Readings above it wait and go together; none is dropped for it."""

    messages_per_month: int = setting(0, "Messages a month, spread over its days; 0: any number.", minimum=0)
    reset_day: int = setting(1, "Day on which the month of the account begins (UTC).", minimum=1, maximum=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The sensor road: MQTT topics to channels."""

    routes: tuple[RouteSettings, ...] = setting((), "List of routes; the first whose topic matches is taken.")
    outbox: OutboxSettings = section(OutboxSettings, "Store for readings the hub has not acknowledged.")
    budget: BudgetSettings = section(BudgetSettings, "How many messages may go to the hub.")
    gather_s: float = setting(
        0.025,
        "Seconds between two messages while readings keep coming, so that they go together; the first goes at once.",
        minimum=0,
        maximum=60,
    )
    topics: int = setting(
        20000,
        "Topics whose last reading is remembered for filters; of more, the longest silent count as new.",
        minimum=100,
        maximum=1000000,
    )
    quarantine: bool = setting(
        True, "Keep the beginning of some refused messages in quarantine.jsonl in the state directory."
    )
    clock: str = setting(
        "auto",
        "When the clock is right: auto (once a time service, a battery clock or a person has set it) or trusted.",
        choices=("auto", "trusted"),
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find routes that get nothing, for an earlier one takes all."""
        filters = [parse(route.topic).filter for route in self.routes]
        for index, narrow in enumerate(filters):
            earlier = next((at for at, wide in enumerate(filters[:index]) if covers(wide, narrow)), None)
            if earlier is None:
                continue
            if filters[earlier] == narrow:
                yield f"routes[{index}].topic", f"routes[{earlier}] has the same filter and takes all; remove one"
            else:
                first = f"routes[{earlier}] ({self.routes[earlier].topic}) comes first and takes all of it"
                yield f"routes[{index}].topic", f"{first}; put this one before it, or remove it"
