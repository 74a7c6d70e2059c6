"""What each topic of the gateway's state holds, made from its status. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edged.site.retained import Wish
from edged.site.topics import Topics

ONLINE = b"online"
OFFLINE = b"offline"

Status = Mapping[str, Any]
"""What `edged status --json` shows."""

_CAMERA_FIGURES = ("viewers", "fps", "kbps", "codec")


def wishes(topics: Topics, status: Status) -> dict[str, Wish]:
    """Return what every topic should hold now."""
    figures = status["figures"]
    found = {topics.state: Wish(ONLINE), topics.info: _info(status)}
    found |= {topics.camera(name): _camera(one) for name, one in figures.get("cameras", {}).items()}
    found |= {topics.route(name): _route(one) for name, one in figures.get("routes", {}).items()}
    if status["account"] is not None:
        found[topics.outbox] = _outbox(status)
        found[topics.uplink] = _uplink(status)
    return found


def time_text(time_ms: float | None) -> str | None:
    """Return a Unix time as ISO 8601; None where it is not known."""
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")


def _info(status: Status) -> Wish:
    parts = {part["name"]: part["state"] for part in status["parts"]}
    # By the clock of now; to the minute, for its last seconds move with every adjustment of the clock.
    started = time_text(status["started_ms"] // 60_000 * 60_000)
    value = {"gateway": status["gateway"], "version": status["version"], "started": started, "parts": parts}
    return Wish(_json(value), tuple(parts.items()))


def _camera(camera: Mapping[str, Any]) -> Wish:
    state, detail = camera.get("state"), camera.get("detail", "")
    figures = {name: camera[name] for name in _CAMERA_FIGURES if camera.get(name) is not None}
    return Wish(_json({"state": state, "detail": detail, **figures}), (state, detail, figures.get("viewers")))


def _route(route: Mapping[str, Any]) -> Wish:
    value = {name: figure for name, figure in route.items() if name != "last_time_ms"}
    return Wish(_json(value | {"last_reading": time_text(route.get("last_time_ms"))}))


def _outbox(status: Status) -> Wish:
    account = status["account"]
    outbox = status["figures"].get("outbox", {})
    value = {
        "waiting": account["waiting"],
        "oldest_s": _rounded(outbox.get("oldest_age_s")),
        "on_disk": outbox.get("on_disk"),
        "received": account["received"],
        "delivered": account["delivered"],
        "dropped": account["dropped"],
        "dropped_by_reason": account["dropped_by_reason"],
    }
    return Wish(_json(value), account["dropped"] > 0)


def _uplink(status: Status) -> Wish:
    part: Mapping[str, Any] = next((part for part in status["parts"] if part["name"] == "telemetry"), {})
    state = {"state": part.get("state"), "detail": part.get("detail", "")}
    figures = {
        name: figure for name, figure in status["figures"].get("uplink", {}).items() if isinstance(figure, int | float)
    }
    return Wish(_json({**state, **figures}), tuple(state.values()))


def _rounded(figure: float | None) -> int | None:
    return None if figure is None else round(figure)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
