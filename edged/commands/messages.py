"""What senders and a gateway say to each other about commands: read with care, written in one place. Pure.

The shapes are in docs/commands.md and config/schema/command.schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edged.commands.topics import topic_fault

COMMAND_TYPE = "edged/command"
RESULT_TYPE = "edged/command-result"
GATEWAY_TYPE = "edged/gateway"
MAX_ID_CHARS = 128
MAX_EXPIRES_MS = 2**53
MAX_TTL_S = 86400

Reason = Literal[
    "bad_command",
    "unknown_topic",
    "denied",
    "too_many",
    "late",
    "clock_unset",
    "bad_payload",
    "too_large",
    "duplicate",
    "starting",
    "broker_unreachable",
    "broker_refused",
    "timeout",
    "unknown",
]
"""Why a command has failed. After `timeout` and `unknown` it may have been carried out, after all others it was not."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a sender asks for. `expires_ms` is Unix time, `ttl_s` counts from when it reaches the gateway."""

    id: str
    topic: str
    payload: Any
    expires_ms: float | None = None
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is no command; `id` is None where not even that can be read."""

    id: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command. `reason` and `message` are empty where it was carried out.

    `reply` is the device's, as JSON text: kept as values, it would take twenty times the memory. Empty: there is none.
    """

    ok: bool
    reason: Reason | Literal[""] = ""
    message: str = ""
    reply: str = ""


DONE = Answer(ok=True)


def refused(reason: Reason, message: str) -> Answer:
    """Return the answer to a command that failed."""
    return Answer(ok=False, reason=reason, message=message)


def is_for_us(data: Any, gateway: str) -> bool:
    """Say whether a message is a command, and not one that names another gateway."""
    return isinstance(data, dict) and data.get("type") == COMMAND_TYPE and data.get("gateway", gateway) == gateway


def read_command(data: Mapping[str, Any]) -> Command | Malformed:
    """Read a command message, whatever is in it; fields that are not known are ignored."""
    command_id = data.get("id")
    if not isinstance(command_id, str) or not 1 <= len(command_id) <= MAX_ID_CHARS:
        return Malformed(None, f"id must be a text of 1 to {MAX_ID_CHARS} characters that is used once")
    topic = data.get("topic")
    if not isinstance(topic, str) or (fault := topic_fault(topic)):
        return Malformed(command_id, fault if isinstance(topic, str) else "topic must be a text")
    if "payload" not in data:
        return Malformed(command_id, "payload is missing; for an empty one give an empty text")
    expires_ms, ttl_s = data.get("expires_ms"), data.get("ttl_s")
    if expires_ms is not None and not _is_number(expires_ms, MAX_EXPIRES_MS):
        return Malformed(command_id, "expires_ms must be a Unix time in milliseconds, as Date.now() + 5000")
    if ttl_s is not None and not _is_number(ttl_s, MAX_TTL_S):
        return Malformed(command_id, f"ttl_s must be a number of seconds above 0 and up to {MAX_TTL_S}")
    return Command(command_id, topic, data["payload"], expires_ms, ttl_s)


def result_message(gateway: str, command_id: str | None, answer: Answer) -> dict[str, Any]:
    """Return the answer as it is sent."""
    message: dict[str, Any] = {"type": RESULT_TYPE, "gateway": gateway, "id": command_id, "ok": answer.ok}
    if not answer.ok:
        message |= {"reason": answer.reason, "message": answer.message}
    elif answer.message:
        message["message"] = answer.message
    if answer.reply:
        message["reply"] = json.loads(answer.reply)
    return message


def _is_number(value: Any, maximum: float) -> bool:
    # Whole numbers may have thousands of digits here: they are compared, never made into floats.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= maximum
