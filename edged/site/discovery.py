"""The gateway as a device of Home Assistant: one retained configuration for each entity. Pure.

One message for each entity, `<prefix>/<component>/<node>/<object>/config`, is what every version of Home Assistant
reads; the message for a whole device came with 2024.12. `object_id` is no longer read as of 2026.4 and is not sent:
Home Assistant makes entity ids from the names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.site.retained import Wish
from edged.site.topics import Topics, node_id, object_id

CAMERA_STATES = ("idle", "connecting", "live", "lost", "failed")
_DIAGNOSTIC = {"entity_category": "diagnostic"}


@dataclass(frozen=True, slots=True)
class _Entity:
    component: str
    key: str
    name: str
    topic: str
    value: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    has_availability: bool = True


def birth_topic(prefix: str) -> str:
    """Where Home Assistant says `online` when it has started."""
    return f"{prefix}/status"


def wishes(prefix: str, topics: Topics, status: Mapping[str, Any]) -> dict[str, Wish]:
    """Return the configuration of every entity."""
    node = node_id(status["gateway"])
    device = {
        "identifiers": [node],
        "name": status["gateway"],
        "manufacturer": "edged",
        "model": "edged gateway",
        "sw_version": status["version"],
    }
    found = {}
    for entity in _entities(topics, status):
        key = object_id(entity.key)
        config: dict[str, Any] = {
            "name": entity.name,
            "unique_id": f"{node}_{key}",
            "state_topic": entity.topic,
            **({"value_template": entity.value} if entity.value else {}),
            **({"availability_topic": topics.state} if entity.has_availability else {}),
            **entity.more,
            "device": device,
            "origin": {"name": "edged", "sw_version": status["version"]},
        }
        payload = json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        found[f"{prefix}/{entity.component}/{node}/{key}/config"] = Wish(payload, payload)
    return found


def _entities(topics: Topics, status: Mapping[str, Any]) -> Iterator[_Entity]:
    yield _Entity(
        "binary_sensor",
        "connection",
        "Connection",
        topics.state,
        more={"device_class": "connectivity", "payload_on": "online", "payload_off": "offline", **_DIAGNOSTIC},
        # Offline is what it shows, not a reason to show nothing.
        has_availability=False,
    )
    for name in status["figures"].get("cameras", {}):
        yield from _camera(name, topics.camera(name))
    for name in status["figures"].get("routes", {}):
        yield from _route(name, topics.route(name))
    if status["account"] is not None:
        yield from _telemetry(topics)


def _camera(name: str, topic: str) -> Iterator[_Entity]:
    yield _Entity(
        "sensor",
        f"camera_{name}_state",
        f"Camera {name}",
        topic,
        "{{ value_json.state }}",
        {
            "device_class": "enum",
            "options": list(CAMERA_STATES),
            "icon": "mdi:cctv",
            "json_attributes_topic": topic,
        },
    )
    yield _Entity(
        "sensor",
        f"camera_{name}_viewers",
        f"Camera {name} viewers",
        topic,
        "{{ value_json.viewers | default(0) }}",
        {"state_class": "measurement", "icon": "mdi:eye"},
    )


def _route(name: str, topic: str) -> Iterator[_Entity]:
    yield _Entity(
        "sensor",
        f"route_{name}_readings",
        f"Route {name} readings",
        topic,
        "{{ value_json.readings }}",
        {"state_class": "total_increasing", "icon": "mdi:counter", **_DIAGNOSTIC},
    )
    yield _Entity(
        "sensor",
        f"route_{name}_last_reading",
        f"Route {name} last reading",
        topic,
        "{{ value_json.last_reading }}",
        {"device_class": "timestamp", **_DIAGNOSTIC},
    )


def _telemetry(topics: Topics) -> Iterator[_Entity]:
    yield _Entity(
        "binary_sensor",
        "uplink",
        "Uplink",
        topics.uplink,
        "{{ 'ON' if value_json.state == 'live' else 'OFF' }}",
        {"device_class": "connectivity", "json_attributes_topic": topics.uplink, **_DIAGNOSTIC},
    )
    for key, name, kind in (
        ("waiting", "Readings waiting", "measurement"),
        ("delivered", "Readings delivered", "total_increasing"),
        ("dropped", "Readings dropped", "total_increasing"),
    ):
        value = f"{{{{ value_json.{key} }}}}"
        yield _Entity("sensor", f"readings_{key}", name, topics.outbox, value, {"state_class": kind, **_DIAGNOSTIC})
