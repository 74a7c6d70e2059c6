"""JSON text as the network speaks it: written as a browser would, read as if every sender were hostile. Pure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NoReturn, Self

MAX_DEPTH = 128

_SURROGATE = re.compile(r"[\ud800-\udfff]")
# The closing quote is optional and every run possessive: text full of open quotes is still read once.
_NOT_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"\[\]{}]++', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


class JsonError(ValueError):
    """Text that is not JSON, or is JSON beyond the limits."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON text that is published or sent as it is, in place of the value it stands for.

    The text is parsed once, to check it; ValueError where it is not JSON.
    """

    text: str

    def __post_init__(self) -> None:
        loads(self.text)

    @classmethod
    def unchecked(cls, text: str) -> Self:
        """Take text without looking at it: what is not JSON breaks the frame it is sent in, which is never answered."""
        made = object.__new__(cls)
        object.__setattr__(made, "text", text)
        return made


def dumps(value: Any) -> str:
    """Return compact JSON as a browser would write it: raw UTF-8, lone surrogates escaped.

    Raises ValueError (NaN, infinity, circular or too deep) or TypeError (not JSON).
    """
    try:
        text = value.text if isinstance(value, JsonText) else _encode(value)
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None
    if _SURROGATE.search(text):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return text


def json_size(value: Any) -> int:
    """Return the bytes of UTF-8 that `value` takes as JSON, as the service counts them."""
    return len(dumps(value).encode())


def loads(text: str) -> Any:
    """Parse JSON from the network. Raises JsonError for bad syntax, depth over MAX_DEPTH, NaN, infinity."""
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise JsonError(f"JSON nested deeper than {MAX_DEPTH} levels")
    try:
        return _decode(text)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonError(f"not JSON: {str(error)[:80]}") from None


def _depth(text: str) -> int:
    return max(accumulate(map(_STEPS.__getitem__, _NOT_BRACKETS.sub("", text))), default=0)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


# Made once: json.dumps and json.loads make a new coder for every call that has options.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant).decode
