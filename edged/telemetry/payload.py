"""What a hostile payload says: decoded as its route wants it, or refused with the reason it is counted under. Pure."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NoReturn

from edged.errors import EdgedError

MAX_DEPTH = 32
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
_BOM = "\ufeff"


class PayloadError(EdgedError):
    """A message that cannot become a reading. `reason` is the word it is counted under."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class _NotJsonError(ValueError):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _NotJsonError(name)


_parse_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def decode_payload(topic: str, payload: bytes, kind: str, max_bytes: int) -> Any:
    """Return the value of a payload read as `auto`, `json`, `number`, `text` or `raw`. Raises PayloadError."""
    if len(payload) > max_bytes:
        raise too_large(topic, len(payload), max_bytes)
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        if kind == "raw":
            return Base64(base64.b64encode(payload).decode())
        raise PayloadError(
            "not_utf8",
            f"{shown(topic)}: byte {error.start} of the payload is not UTF-8; set `payload: raw` on its route",
        ) from None
    if kind in {"text", "raw"}:
        return text
    if kind == "number":
        return _number(topic, text)
    return _json(topic, text, fall_back_to_text=kind == "auto")


class Base64(str):
    """Bytes that are no text, written as base64; the reading says so."""

    __slots__ = ()


def _number(topic: str, text: str) -> int | float:
    try:
        value = _parse(topic, text)
    except _NotJsonError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadError(
            "not_a_number", f"{shown(topic)}: {shown(text)} is not a number; set `payload: auto` on its route"
        )
    return value


def _json(topic: str, text: str, *, fall_back_to_text: bool) -> Any:
    try:
        return _parse(topic, text)
    except _NotJsonError:
        if fall_back_to_text:
            return text
        raise PayloadError(
            "not_json", f"{shown(topic)}: {shown(text)} is not JSON; set `payload: auto` on its route"
        ) from None


def _parse(topic: str, text: str) -> Any:
    """Parse JSON. What is no JSON is one error, what is JSON but beyond the limits another."""
    try:
        value = _parse_json(text.removeprefix(_BOM))
    except (json.JSONDecodeError, _NotJsonError):
        raise _NotJsonError from None
    except RecursionError:
        raise _too_deep(topic) from None
    except ValueError:
        # Python refuses integers of more than 4300 digits with a plain ValueError.
        raise _number_too_large(topic) from None
    _check(topic, value)
    return value


def _check(topic: str, value: Any) -> None:
    """Refuse what a reader in another language would misread or choke on: infinite numbers, huge ones, deep nesting."""
    depth = 0
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict or kind is list:
                if depth >= MAX_DEPTH:
                    raise _too_deep(topic)
                inner.extend(item.values() if kind is dict else item)
            elif (kind is int and not _LOWEST <= item <= _HIGHEST) or (kind is float and not math.isfinite(item)):
                raise _number_too_large(topic)
        level = inner
        depth += 1


def _too_deep(topic: str) -> PayloadError:
    return PayloadError("too_deep", f"{shown(topic)}: JSON nested deeper than {MAX_DEPTH} levels")


def _number_too_large(topic: str) -> PayloadError:
    return PayloadError("number_too_large", f"{shown(topic)}: a number does not fit into 64 bits")


def too_large(topic: str, size_bytes: int, max_bytes: int) -> PayloadError:
    """Return the error of a message that is too large for its route, or for one reading."""
    sentence = f"{shown(topic)}: {size_bytes} bytes are too many for one reading; at most {max_bytes} fit"
    return PayloadError("too_large", sentence)


def shown(text: str) -> str:
    """Return text of somebody else's for a sentence: short, and harmless to a terminal."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
