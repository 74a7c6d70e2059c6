"""One reading of one sensor as it goes out: numbered, written as JSON once, put into messages for a channel. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from typing import Any

from edged.settings_routes import MAX_READING_BYTES, BatchSettings
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.payload import Base64, PayloadError, shown, too_large

MESSAGE_TYPE = "edged/readings"
LOW, NORMAL, HIGH = range(3)
"""The lanes of the outbox."""
_NO_BATCH = BatchSettings()
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Reading:
    """What goes out: `body` is the JSON text of the object in the `readings` list, `size_bytes` its UTF-8 length."""

    id: str
    channel: str
    body: str
    size_bytes: int
    lane: int = NORMAL
    keep_s: float = 0.0
    """How long it may wait for the hub; 0: as long as the outbox has room."""
    taken: Moment = NO_MOMENT
    batch_delay_s: float = 0.0
    """How long it may wait for company, so that fewer messages are sent."""
    batch_readings: int = 0
    """With so many of its channel it waits no longer; 0: as many as fit into a message."""
    batch_bytes: int = 0
    """With so many bytes of its channel it waits no longer; 0: as many as fit into a message."""


def write_body(
    reading_id: str, topic: str, value: Any, time_ms: int | None, taken: Moment, *, retained: bool, time_fault: str = ""
) -> tuple[str, int]:
    """Return a reading as JSON text and its size. Raises PayloadError where it is too large or not text.

    `time_ms` None: the clock is not set. What `finished` needs to mend that stands at the end.
    """
    kind = type(value)
    if kind is float or kind is int:
        text = repr(value)
    else:
        text = _quoted(value) if kind is str else _encode(value)
        if kind is Base64:
            text += ',"encoding":"base64"'
    if retained:
        text += ',"retained":true'
    if time_fault:
        text += f',"time_fault":"{time_fault}"'
    end = _end_without_time(taken) if time_ms is None else f',"time_ms":{time_ms}}}'
    body = f'{{"id":{_quoted(reading_id)},"topic":{_quoted(topic)},"value":{text}{end}'
    if body.isascii():
        size_bytes = len(body)
    else:
        try:
            size_bytes = len(body.encode())
        except UnicodeEncodeError:
            raise PayloadError("not_utf8", f"{shown(topic)}: the payload holds half a surrogate pair") from None
    if size_bytes > MAX_READING_BYTES:
        raise too_large(topic, size_bytes, MAX_READING_BYTES)
    return body, size_bytes


def make_reading(
    reading_id: str,
    channel: str,
    topic: str,
    value: Any,
    time_ms: int | None,
    *,
    retained: bool,
    time_fault: str = "",
    taken: Moment = NO_MOMENT,
    lane: int = NORMAL,
    keep_s: float = 0.0,
    batch: BatchSettings = _NO_BATCH,
) -> Reading:
    """Build a reading. Raises PayloadError where it is too large or not text."""
    body, size_bytes = write_body(reading_id, topic, value, time_ms, taken, retained=retained, time_fault=time_fault)
    return Reading(
        reading_id, channel, body, size_bytes, lane, keep_s, taken, batch.delay_s, batch.readings, batch.bytes
    )


def finished(reading: Reading, now: Moment) -> str:
    """Return the body as it goes out at `now`: with its time, if that was not known when it was written and now is."""
    taken = reading.taken
    if taken.is_set or taken is NO_MOMENT:
        return reading.body
    time_ms = taken.corrected_ms(now)
    end = _end_without_time(taken)
    if time_ms is None or not reading.body.endswith(end):
        return reading.body
    return f'{reading.body[: -len(end)]},"time_ms":{time_ms}}}'


def _end_without_time(taken: Moment) -> str:
    boot = f'"boot":{_quoted(taken.boot)},' if taken.boot else ""
    return f',"clock":"unset",{boot}"uptime_ms":{taken.uptime_ms}}}'


def message_text(gateway: str, bodies: Sequence[str], *, is_backlog: bool = False) -> str:
    """Return the message that carries readings, oldest first, as JSON text."""
    backlog = '"backlog":true,' if is_backlog else ""
    return f'{{"type":"{MESSAGE_TYPE}","gateway":{_quoted(gateway)},{backlog}"readings":[{",".join(bodies)}]}}'
