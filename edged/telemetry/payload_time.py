"""The time that a sensor gives with its value: seconds or finer since 1970, or ISO 8601. Not trusted blindly. Pure."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from edged.telemetry.moments import Moment

EARLIEST_MS = 946_684_800_000
"""The first of January 2000: before it no sensor of today was right."""
LATEST_MS = 4_102_444_800_000
"""The first of January 2100."""
AHEAD_MS = 24 * 3_600_000
"""A sensor's clock may be in another zone, but not in next week."""
_PER_MS = {"s": 0.001, "ms": 1.0, "us": 1e3, "ns": 1e6}
# The year tells the unit: 1e11 is 5138 in seconds, and 1973 in milliseconds.
_AUTO = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (math.inf, "ns"))
_LARGEST = 1e30
_MAX_TEXT = 40


class PayloadTimeError(ValueError):
    """A time that is not used; the text is the word it is counted under."""


def payload_time_ms(value: Any, unit: str, now: Moment) -> int:
    """Return milliseconds since 1970, or raise PayloadTimeError."""
    if isinstance(value, str):
        time_ms = _from_text(value, unit)
    elif isinstance(value, bool) or not isinstance(value, int | float) or unit == "iso":
        raise PayloadTimeError("not_a_time")
    else:
        time_ms = _from_number(value, unit)
    latest_ms = now.wall_ms + AHEAD_MS if now.is_set else LATEST_MS
    if not EARLIEST_MS <= time_ms <= latest_ms:
        raise PayloadTimeError("out_of_range")
    return time_ms


def _from_number(number: float, unit: str) -> int:
    if abs(number) > _LARGEST:
        raise PayloadTimeError("out_of_range")
    if math.isnan(number):
        raise PayloadTimeError("not_a_time")
    if unit == "auto":
        unit = next(name for limit, name in _AUTO if abs(number) < limit)
    return round(number / _PER_MS[unit])


def _from_text(text: str, unit: str) -> int:
    if len(text) > _MAX_TEXT:
        raise PayloadTimeError("not_a_time")
    text = text.strip()
    if unit != "iso":
        try:
            return _from_number(float(text), unit)
        except ValueError as error:
            if unit != "auto" or isinstance(error, PayloadTimeError):
                raise PayloadTimeError("not_a_time") from None
    try:
        when = dt.datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        return round(when.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise PayloadTimeError("not_a_time") from None
