"""What travels on the wire, as plain values: frames between client and service (protocol sections 2 and 3), envelopes
between peers (section 13), the codes and the limits. Pure; `wire` turns them to text and back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

MAX_CHANNEL_CHARS = 256
MAX_PEER_ID_CHARS = 128
MAX_REQUEST_ID_CHARS = 128
MAX_INBOUND_BYTES = 1_048_576
DEFAULT_MAX_MESSAGE_BYTES = 65_536
MAX_RETRY_AFTER_MS = 300_000
RESERVED_CHANNEL_PREFIXES = ("_metered/", "_internal/", "_system/")
TRACK_METADATA_KEY = "__meteredTrackMeta"

ErrorCode = Literal[
    "malformed_message", "unknown_type", "invalid_channel", "invalid_peer_id", "channel_not_authorized",
    "channel_reserved", "channel_limit_exceeded", "peer_not_found", "missing_data", "action_not_permitted",
    "over_message_quota", "backend_error", "internal_error",
]  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class WsCloseCode(IntEnum):
    """WebSocket close codes of the service (section 8); CLIENT_INACTIVITY is sent by clients only."""

    GOING_AWAY = 1001
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    CLIENT_INACTIVITY = 4000
    INVALID_TOKEN = 4001
    TOKEN_EXPIRED = 4002
    CHANNEL_NOT_AUTHORIZED = 4003
    OVER_CONCURRENT_LIMIT = 4010
    OVER_MESSAGE_RATE = 4011
    ACCOUNT_SUSPENDED = 4012
    ADMIN_DISCONNECT = 4020


# Client to service (section 2) -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Receive what is published to a channel, and who is in it."""

    channel: str
    request_id: str | None = None
    include_sender_metadata: bool = False


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Receive a channel no more."""

    channel: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Publish:
    """Any JSON value for everybody else in a channel."""

    channel: str
    data: Any
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Any JSON value for one peer."""

    to: str
    data: Any
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """The heartbeat (section 7)."""

    request_id: str | None = None


ClientFrame = Subscribe | Unsubscribe | Publish | Send | Ping

# Service to client (section 3) -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PresencePeer:
    """A member of a channel and the public metadata its token asserts."""

    peer_id: str
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the service says first: who we are, until when, and how much it takes."""

    peer_id: str
    expires_at: int | None
    server_time: int
    max_message_size: int
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The request with this id was carried out."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Error:
    """A request was refused, where it has an id; else something is wrong with the connection."""

    code: str
    request_id: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody published to a channel."""

    channel: str
    from_peer: str
    data: Any
    from_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Direct:
    """What somebody sent to us alone."""

    from_peer: str
    data: Any
    from_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """Who came and who went; the first after a subscription lists everybody (section 6)."""

    channel: str
    joined: tuple[PresencePeer, ...] = ()
    left: tuple[PresencePeer, ...] = ()


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The service is about to close the connection."""

    retry_after_ms: int = 1000


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


ServerFrame = Welcome | Ack | Error | Message | Direct | Presence | GoingAway | Pong


# Peer to peer, inside `data` of send and direct (section 13) ---------------------------------------


@dataclass(frozen=True, slots=True)
class Description:
    """An SDP offer or answer (13.1)."""

    type: Literal["offer", "answer"]
    sdp: str


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """A trickled candidate as RTCIceCandidateInit (13.2); None is the end of candidates."""

    candidate: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TrackMetadata:
    """Metadata of one track (13.3); `metadata` None clears it."""

    track_id: str
    metadata: dict[str, Any] | None
    kind: str | None = None
    stream_id: str | None = None


Envelope = Description | IceCandidate | TrackMetadata


# Names --------------------------------------------------------------------------------------------


def check_channel(channel: Any) -> str:
    """Return a valid channel name: 1 to 256 characters without control characters. Raises TypeError, ValueError."""
    return _check_name(channel, "channel", MAX_CHANNEL_CHARS)


def check_peer_id(peer_id: Any) -> str:
    """Return a valid peer id: 1 to 128 characters without control characters. Raises TypeError, ValueError."""
    return _check_name(peer_id, "peer_id", MAX_PEER_ID_CHARS)


def check_request_id(request_id: Any) -> str:
    """Return a valid request id: 1 to 128 characters. Raises TypeError, ValueError."""
    return _check_name(request_id, "request_id", MAX_REQUEST_ID_CHARS)


def is_reserved_channel(channel: str) -> bool:
    """Tell whether the channel belongs to the service itself."""
    return channel.lower().startswith(RESERVED_CHANNEL_PREFIXES)


def _check_name(name: Any, what: str, max_chars: int) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a string, not {type(name).__name__}")
    if not name:
        raise ValueError(f"{what} must not be empty")
    if len(name) > max_chars:
        raise ValueError(f"{what} has {len(name)} characters; at most {max_chars} are allowed")
    if _CONTROL.search(name):
        raise ValueError(f"{what} contains a control character")
    if _SURROGATE.search(name):
        raise ValueError(f"{what} contains half of a surrogate pair")
    return name
