"""One reading of one sensor: decoded from a hostile payload, numbered, and put into messages for a channel. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from edged.errors import EdgedError

MESSAGE_TYPE = "edged/readings"
MAX_READING_BYTES = 48 * 1024
"""A reading as JSON. The service takes messages of 64 KiB; the rest is for the envelope."""
MAX_DEPTH = 32
_MAX_INTEGER = 2**64
_BOM = "\ufeff"


class PayloadError(EdgedError):
    """A message that cannot become a reading. `reason` is the word it is counted under."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reading:
    """What goes out: `body` is the JSON text of the object in the `readings` list, `size_bytes` its UTF-8 length."""

    id: str
    channel: str
    body: str
    size_bytes: int


class ReadingSource:
    """Numbers readings: gateway, boot and sequence make an id that is never given twice."""

    def __init__(self, gateway: str, boot_id: str) -> None:
        self._prefix = f"{gateway}/{boot_id}/"
        self._sequence = 0

    def next_id(self) -> str:
        """Return the id of the next reading."""
        self._sequence += 1
        return f"{self._prefix}{self._sequence}"


def make_reading(reading_id: str, channel: str, topic: str, value: Any, time_ms: int, *, retained: bool) -> Reading:
    """Build a reading from a decoded value. Raises PayloadError where it is too large or not text."""
    fields: dict[str, Any] = {"id": reading_id, "topic": topic, "value": value, "time_ms": time_ms}
    if retained:
        fields["retained"] = True
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        size_bytes = len(body.encode())
    except UnicodeEncodeError:
        raise PayloadError("not_utf8", f"{_shown(topic)}: the payload holds half a surrogate pair") from None
    if size_bytes > MAX_READING_BYTES:
        raise _too_large(topic, size_bytes)
    return Reading(reading_id, channel, body, size_bytes)


def decode_payload(topic: str, payload: bytes, kind: str) -> Any:
    """Return the value of a payload read as `auto`, `json`, `number` or `text`. Raises PayloadError."""
    if len(payload) > MAX_READING_BYTES:
        raise _too_large(topic, len(payload))
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise PayloadError("not_utf8", f"{_shown(topic)}: byte {error.start} of the payload is not UTF-8") from None
    if kind == "text":
        return text
    if kind == "number":
        return _number(topic, text)
    return _json(topic, text, fall_back_to_text=kind == "auto")


def message(gateway: str, bodies: Sequence[str]) -> dict[str, Any]:
    """Build the message that carries readings, oldest first."""
    return {"type": MESSAGE_TYPE, "gateway": gateway, "readings": [json.loads(body) for body in bodies]}


class _NotJsonError(ValueError):
    pass


def _number(topic: str, text: str) -> int | float:
    try:
        value = _parse(topic, text)
    except _NotJsonError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadError(
            "not_a_number", f"{_shown(topic)}: {_shown(text)} is not a number; set `payload: auto` on its route"
        )
    return value


def _json(topic: str, text: str, *, fall_back_to_text: bool) -> Any:
    try:
        return _parse(topic, text)
    except _NotJsonError:
        if fall_back_to_text:
            return text
        raise PayloadError(
            "not_json", f"{_shown(topic)}: {_shown(text)} is not JSON; set `payload: auto` on its route"
        ) from None


def _parse(topic: str, text: str) -> Any:
    """Parse JSON. What is no JSON is one error, what is JSON but beyond the limits another."""
    if text.count("[") + text.count("{") > MAX_DEPTH and _nesting(text) > MAX_DEPTH:
        raise PayloadError("too_deep", f"{_shown(topic)}: JSON nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(text.removeprefix(_BOM), parse_constant=_refuse_constant)
    except (json.JSONDecodeError, _NotJsonError):
        raise _NotJsonError from None
    except ValueError:
        # Python refuses integers of more than 4300 digits with a plain ValueError.
        raise _number_too_large(topic) from None
    _check_numbers(topic, value)
    return value


def _nesting(text: str) -> int:
    """Return how deep brackets nest, those inside strings aside."""
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _check_numbers(topic: str, value: Any) -> None:
    """Refuse numbers that a reader in another language would misread: beyond 64 bits, or infinite."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif (isinstance(item, int) and abs(item) >= _MAX_INTEGER) or (
            isinstance(item, float) and not math.isfinite(item)
        ):
            raise _number_too_large(topic)


def _refuse_constant(name: str) -> NoReturn:
    raise _NotJsonError(name)


def _number_too_large(topic: str) -> PayloadError:
    return PayloadError("number_too_large", f"{_shown(topic)}: a number does not fit into 64 bits")


def _too_large(topic: str, size_bytes: int) -> PayloadError:
    sentence = f"{_shown(topic)}: {size_bytes} bytes are too many for one reading; at most {MAX_READING_BYTES} fit"
    return PayloadError("too_large", sentence)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
