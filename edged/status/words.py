"""Figures as people read them: the unit is in a figure's name (`_s`, `_ms`, `_time_ms`, `_bytes`, `_per_s`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NOTHING = "-"
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"))
_SIZES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))
# Longest first: `_bytes_per_s` is no time, and `_time_ms` is a point in time.
_UNITS = ("bytes_per_s", "per_s", "bytes", "kbps", "time_ms", "ms", "s", "percent")


def span(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    for index, (unit_s, name) in enumerate(_SPANS):
        if seconds >= unit_s:
            whole, rest = divmod(int(seconds), unit_s)
            smaller_s, smaller = _SPANS[index + 1] if index + 1 < len(_SPANS) else (1, "s")
            return f"{whole} {name}" + (f" {rest // smaller_s} {smaller}" if rest // smaller_s else "")
    return f"{seconds:.1f}".removesuffix(".0") + " s"


def size(count: float) -> str:
    """Return a number of bytes."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:,.0f} B"


def titled(name: str) -> str:
    """Return a figure's name without its unit."""
    unit = _unit(name)
    stem = name if unit in {"", "kbps"} else name.removesuffix(unit).removesuffix("_")
    return (stem or name).replace("_", " ")


def worded(name: str, value: Any) -> str:
    """Return a figure's value with the unit its name tells; of several by name, their sum and each that is not 0."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return _several(name, value)
    if not isinstance(value, int | float):
        return printable(str(value))
    match _unit(name):
        case "bytes_per_s":
            return f"{size(value)}/s"
        case "per_s":
            return f"{_number(value)}/s"
        case "bytes":
            return size(value)
        case "kbps":
            return f"{value:,.0f} kbit/s"
        case "time_ms":
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case "ms":
            return span(value / 1000)
        case "s":
            return span(value)
        case "percent":
            return f"{_number(value)} %"
        case _:
            return _number(value)


def printable(words: str) -> str:
    """Return words that cannot steer a terminal: they may come from the network."""
    return "".join(char if char.isprintable() else "?" for char in words)


def _several(name: str, values: Mapping[str, Any]) -> str:
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    if len(numbers) < len(values):
        return ", ".join(f"{printable(key)} {worded(key, value)}" for key, value in values.items()) or NOTHING
    told = ", ".join(f"{printable(key)} {worded(name, value)}" for key, value in numbers.items() if value)
    return worded(name, sum(numbers.values())) + (f" ({told})" if told else "")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def _unit(name: str) -> str:
    return next((unit for unit in _UNITS if name == unit or name.endswith(f"_{unit}")), "")
