"""What the pure signalling session asks its shell to do. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metered_realtime import events

# `main` is the connection in use, `beside` the one that is to replace it, `old` the one that was replaced.
Line = Literal["main", "beside", "old"]


@dataclass(frozen=True, slots=True)
class Dial:
    """Get a credential and open a socket."""

    line: Line = "main"


@dataclass(frozen=True, slots=True)
class Adopt:
    """The socket beside is the main one from now on, and the main one, if there is one, the old one."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up what is asked, dialled or open beside."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this text on the socket."""

    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the socket."""

    code: int
    reason: str
    line: Line = "main"


@dataclass(frozen=True, slots=True)
class Notify:
    """Emit this event."""

    event: events.Event


@dataclass(frozen=True, slots=True)
class Settle:
    """The request is over: acknowledged, or failed with `error`."""

    request_id: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The call of `connect()` is over: welcomed, or failed with `error`."""

    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """Write a warning."""

    message: str
    context: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will happen until the next `start`. `forget_listeners` after a session that had been connected."""

    forget_listeners: bool


Action = Dial | Adopt | Abandon | Transmit | HangUp | Notify | Settle | Ready | Log | End
