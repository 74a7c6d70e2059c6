"""Who a connection is and what it may do where: actions, channel patterns, public metadata. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from metered_realtime.wire import ErrorCode, is_reserved_channel

ACTIONS = ("publish", "subscribe", "presence", "send")
EVERY_CHANNEL = ("**",)
MAX_CHANNEL_BYTES = 256

_TOKENS = re.compile(r"\*{2,}|\*|[^*]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Access:
    """The actions a key or token grants, in the channels its patterns name."""

    actions: frozenset[str] = frozenset(ACTIONS)
    channels: tuple[str, ...] = EVERY_CHANNEL

    def may(self, action: str) -> bool:
        """Tell whether the action is granted at all."""
        return action in self.actions

    def refusal(self, action: str, channel: str) -> ErrorCode | None:
        """Return the error code that answers the action in this channel, or None where it is allowed."""
        if len(channel.encode("utf-8", "replace")) > MAX_CHANNEL_BYTES:
            return "invalid_channel"
        if is_reserved_channel(channel):
            return "channel_reserved"
        if action not in self.actions:
            return "action_not_permitted"
        if not any(matches(pattern, channel) for pattern in self.channels):
            return "channel_not_authorized"
        return None


@dataclass(frozen=True, slots=True)
class Identity:
    """What the credential of one connection says about it.

    `metadata` is public and shown to the other members, `welcome_metadata` goes to this connection alone;
    `expires_at_s` is Unix time, None for a key.
    """

    peer_id: str
    access: Access = Access()
    metadata: dict[str, Any] | None = None
    welcome_metadata: dict[str, Any] | None = None
    expires_at_s: float | None = None


@lru_cache(maxsize=4096)
def matches(pattern: str, channel: str) -> bool:
    """Match a channel against a pattern: `*` is any run of characters within a `/` segment, `**` any run at all.

    Takes time proportional to pattern times channel at worst: patterns also come inside tokens.
    """
    if "*" not in pattern:
        return pattern == channel
    tokens: list[str] = _TOKENS.findall(pattern)
    reached = _past_stars({0}, tokens)
    for char in channel:
        reached = _past_stars(_step(reached, tokens, char), tokens)
    return len(tokens) in reached


def _step(reached: set[int], tokens: list[str], char: str) -> set[int]:
    after: set[int] = set()
    for index in reached:
        wanted = tokens[index] if index < len(tokens) else ""
        if wanted.startswith("*"):
            if wanted != "*" or char != "/":
                after.add(index)
        elif wanted == char:
            after.add(index + 1)
    return after


def _past_stars(reached: set[int], tokens: list[str]) -> set[int]:
    """Add the places behind stars, which may stand for nothing."""
    for start in tuple(reached):
        index = start
        while index < len(tokens) and tokens[index].startswith("*"):
            index += 1
            reached.add(index)
    return reached
