"""What a viewer and a gateway say to each other about who gets which picture: read with care, written in one place.
Pure; the shapes are in docs/cameras.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Quality = Literal["main", "sub"]
Wish = Literal["main", "sub", "none"]

WATCH_TYPE = "edged/watch"
WATCHING_TYPE = "edged/watching"
GATEWAY_TYPE = "edged/gateway"
EVERY = "*"
MAX_NAMED = 1024
MAX_REASONS = 64
MAX_NAME = 64

_WISHES = frozenset(get_args(Wish))
_WORDS = "must be main, sub or none"


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What a viewer asks for; `id` is its own, to know the answer by. `error`: nothing of it can be used."""

    every: Wish | None = None
    cameras: Mapping[str, Wish] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    id: str | int | None = None
    error: str = ""


def read_watch(message: Mapping[str, Any], known: frozenset[str]) -> WatchRequest:
    """Read an `edged/watch` message, whatever is in it; what cannot be done is in `reasons`, by the name asked for."""
    request_id = _read_id(message.get("id"))
    named = message.get("cameras")
    if not isinstance(named, dict):
        return WatchRequest(id=request_id, error="cameras must be an object from names of cameras to main, sub or none")
    if len(named) > MAX_NAMED:
        return WatchRequest(id=request_id, error=f"more than {MAX_NAMED} cameras are named")
    every: Wish | None = None
    cameras: dict[str, Wish] = {}
    reasons: dict[str, str] = {}
    for name, wish in named.items():
        if not isinstance(name, str) or (name not in known and name != EVERY):
            fault = "this gateway has no such camera here"
        elif not isinstance(wish, str) or wish not in _WISHES:
            fault = _WORDS
        elif name == EVERY:
            every = _as_wish(wish)
            continue
        else:
            cameras[name] = _as_wish(wish)
            continue
        if len(reasons) < MAX_REASONS:
            reasons[str(name)[:MAX_NAME]] = fault
    return WatchRequest(every, cameras, reasons, request_id)


def watching(
    cameras: Mapping[str, Wish], reasons: Mapping[str, str], *, request_id: str | int | None = None, error: str = ""
) -> dict[str, Any]:
    """Return the answer: what the viewer gets of every camera now, and why anything is not as it asked."""
    message: dict[str, Any] = {"type": WATCHING_TYPE, "cameras": dict(cameras), "reasons": dict(reasons)}
    if request_id is not None:
        message["id"] = request_id
    if error:
        message["error"] = error
    return message


def gateway_message(name: str) -> dict[str, Any]:
    """Return how a gateway introduces itself: to viewers that know us, and to other gateways."""
    return {"type": GATEWAY_TYPE, "gateway": name}


def is_gateway(metadata: Mapping[str, Any] | None) -> bool:
    """Whether the token of a peer says that it is a gateway: `{"edged": "gateway"}`."""
    return metadata is not None and metadata.get("edged") == "gateway"


def _read_id(value: Any) -> str | int | None:
    if isinstance(value, str):
        return value if len(value) <= MAX_NAME else None
    # A number that JavaScript can hold; true and false are no numbers here.
    return value if type(value) is int and abs(value) < 2**53 else None


def _as_wish(word: str) -> Wish:
    return "main" if word == "main" else "sub" if word == "sub" else "none"
