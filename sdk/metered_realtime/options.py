"""Options of the clients, as values. All times are seconds."""

from __future__ import annotations

import ssl as _ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from metered_realtime.logger import Logger

DEFAULT_URL = "wss://rms.metered.ca"

# The official package insists on a coroutine function; a plain function is as clear, so both are taken. A plain one
# runs on the event loop: it must return at once, and no timeout can end it.
TokenProviderFn = Callable[[], Awaitable[str] | str]

SignallingClientState = Literal["idle", "connecting", "connected", "reconnecting", "closed"]
MeteredPeerState = Literal["idle", "joining", "joined", "reconnecting", "leaving", "closed"]
# What a member exchanges beside messages and data channels.
MediaDirections = Literal["both", "send", "receive", "none"]
PeerConnectionState = Literal["idle", "connecting", "connected", "reconnecting", "closed"]


@dataclass(slots=True, kw_only=True)
class ReconnectOptions:
    """How a lost connection is tried again (protocol section 11).

    `retry_first_connect` (ours) makes `connect()` wait through failures of the first attempt as well.
    """

    initial_delay: float = 0.5
    multiplier: float = 2.0
    max_delay: float = 30.0
    jitter_ratio: float = 0.2
    max_attempts: float = 100
    retry_first_connect: bool = False

    def __post_init__(self) -> None:
        rules = {
            "initial_delay must be greater than 0": self.initial_delay > 0,
            "multiplier must be at least 1": self.multiplier >= 1,
            "max_delay must not be less than initial_delay": self.max_delay >= self.initial_delay,
            "jitter_ratio must be from 0 to 1": 0 <= self.jitter_ratio <= 1,
            "max_attempts must not be negative": self.max_attempts >= 0,
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(rule)


@dataclass(slots=True, kw_only=True)
class SubscribeOptions:
    """Options of one subscription."""

    include_sender_metadata: bool = False


@dataclass(slots=True, kw_only=True)
class SignallingClientOptions:
    """Everything `SignallingClient` and `MeteredPeer` take; exactly one of `api_key` and `token_provider`.

    Ours, beyond the official package: `ssl`, a context for `wss://` and, in a `MeteredPeer`, for `turns:` servers;
    `allow_insecure`, which permits `ws://` to a host that is not this machine. `inactivity_timeout` 0 or infinite
    switches the watchdog off.
    """

    api_key: str | None = None
    token_provider: TokenProviderFn | None = None
    url: str | None = None
    token_provider_timeout: float = 10.0
    logger: Logger | None = None
    reconnect: ReconnectOptions | bool = True
    inactivity_timeout: float = 60.0
    auto_resubscribe: bool = True
    ssl: _ssl.SSLContext | None = None
    allow_insecure: bool = False


def options_of(arguments: Mapping[str, Any]) -> SignallingClientOptions:
    """Return the options among the arguments of a client's constructor: `options` itself, or the keywords it spells
    out for editors, which are the fields of that class."""
    given = arguments["options"]
    if given is not None:
        return given  # type: ignore[no-any-return]
    return SignallingClientOptions(**{field.name: arguments[field.name] for field in fields(SignallingClientOptions)})
