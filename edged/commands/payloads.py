"""What a command carries, as the bytes that the broker gets; and what a device answered, as JSON. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from edged.commands.messages import Answer, refused

MAX_DEPTH = 32
MAX_REPLY_BYTES = 16 * 1024
MAX_REPLY_JSON_CHARS = 48 * 1024
"""Control characters take six characters each, and a message has 64 KiB at most."""


def encode(kind: str, value: Any, max_bytes: int) -> bytes | Answer:
    """Return the payload written as its rule says, or why it cannot be."""
    if kind == "text" and not isinstance(value, str):
        return refused("bad_payload", "payload must be a text here")
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return refused("bad_payload", "payload must be a number here")
    if depth_exceeds(value, MAX_DEPTH):
        return refused("bad_payload", f"payload is nested deeper than {MAX_DEPTH} levels")
    try:
        written = (value if kind in {"auto", "text"} and isinstance(value, str) else _dumps(value)).encode()
    except ValueError:
        return refused("bad_payload", "payload holds characters that are no text, or numbers that are not JSON")
    if len(written) > max_bytes:
        return refused("too_large", f"payload has {len(written)} bytes, and at most {max_bytes} are allowed")
    return written


def reply_of(payload: bytes) -> Answer:
    """Return the answer to a command that a device has replied to."""
    if len(payload) > MAX_REPLY_BYTES:
        return _too_large(payload)
    text = payload.decode("utf-8", "replace")
    try:
        reply = json.loads(text, parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError):
        reply = text
    if depth_exceeds(reply, MAX_DEPTH):
        reply = text
    written = json.dumps(reply)
    if len(written) > MAX_REPLY_JSON_CHARS:
        return _too_large(payload)
    return Answer(ok=True, reply=written)


def depth_exceeds(value: Any, limit: int) -> bool:
    """Say whether lists and objects are nested deeper than `limit` levels."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _too_large(payload: bytes) -> Answer:
    return Answer(ok=True, message=f"the reply of {len(payload)} bytes is too large to pass on")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
