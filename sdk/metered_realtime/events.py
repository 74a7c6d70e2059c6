"""Every event the SDK emits: frozen values, one class per event. Handlers are keyed by the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from metered_realtime.frames import PresencePeer
from metered_realtime.ice_servers import IceServerConfig

if TYPE_CHECKING:
    from metered_realtime.remote_peer import RemotePeer
    from metered_realtime.stats import PeerLink
    from metered_realtime.streams import MediaStream, StreamMetadata


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class StateChange(Event):
    """An object went from one of its states to another."""

    from_: str
    to: str


# SignallingClient ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """The service welcomed us. `server_time` as sent, `expires_at` Unix seconds of the token or None."""

    peer_id: str
    server_time: int
    expires_at: int | None
    is_reconnect: bool
    max_message_size: int
    ice_servers: tuple[IceServerConfig, ...] | None = None


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """The connection ended with a WebSocket close code; `will_reconnect` tells whether the client tries again."""

    code: int
    reason: str
    will_reconnect: bool


@dataclass(frozen=True, slots=True)
class Message(Event):
    """Something published to a channel we are subscribed to."""

    channel: str
    sender_peer_id: str
    data: Any
    sender_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Direct(Event):
    """Something sent to us alone."""

    sender_peer_id: str
    data: Any
    sender_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Presence(Event):
    """Members of a channel came or went; the first one after a subscription is the whole list."""

    channel: str
    joined: tuple[PresencePeer, ...]
    left: tuple[PresencePeer, ...]


@dataclass(frozen=True, slots=True)
class ServerError(Event):
    """The service reported an error that belongs to no pending request; codes in protocol section 9."""

    code: str
    message: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class GoingAway(Event):
    """The service is about to shut down."""

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class TokenProviderError(Event):
    """The token provider failed three or more times in a row."""

    consecutive_failures: int
    err: Exception


# MeteredPeer --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """We are a member of the channel."""

    peer_id: str
    channel: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """We left for good; the fields are None where we never were a member."""

    peer_id: str | None
    channel: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PeerJoined(Event):
    """Another member is in the channel."""

    peer: RemotePeer


@dataclass(frozen=True, slots=True)
class PeerLeft(Event):
    """A member left the channel."""

    peer: RemotePeer


@dataclass(frozen=True, slots=True)
class Data(Event):
    """A message of another member. The service vouches for `sender_peer_id`, nobody for `data`."""

    sender_peer_id: str
    data: Any
    kind: Literal["broadcast", "direct"]
    sender_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FatalError(Event):
    """Nothing will mend this by itself: a refused key, a suspended account, a kick."""

    err: Exception


@dataclass(frozen=True, slots=True)
class PeerLinkChange(Event):
    """The way to this member became too thin for what we send it, or is wide enough again (`link.is_thin`). Ours.

    Emitted by the `RemotePeer`, and by the `MeteredPeer` as well.
    """

    peer: RemotePeer
    link: PeerLink


# RemotePeer ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Track(Event):
    """The remote peer sends a media track; `metadata` has already arrived if there is any."""

    track: Any
    streams: tuple[MediaStream, ...] = ()
    metadata: StreamMetadata | None = None


@dataclass(frozen=True, slots=True)
class StreamAdded(Event):
    """The first track of a stream arrived. Fires again, with a new object, after the connection was renewed."""

    stream: MediaStream
    metadata: StreamMetadata | None = None


@dataclass(frozen=True, slots=True)
class StreamRemoved(Event):
    """The last track of a stream ended."""

    stream: MediaStream


@dataclass(frozen=True, slots=True)
class ConnectionReset(Event):
    """The connection to the peer was replaced by a new one: data channels of the old one are gone, open them again.

    Tracks and streams come again by themselves. Ours; the browser SDK calls it `connection-reset`.
    """


@dataclass(frozen=True, slots=True)
class DataChannelOpened(Event):
    """The remote peer opened a data channel; `channel` is aiortc's, to be wrapped in `DataChannel`."""

    channel: Any


@dataclass(frozen=True, slots=True)
class CodecsAgreed(Event):
    """Both sides agreed on how media of ours is encoded: `RemotePeer.codecs` has another value, `codecs`. Ours."""

    codecs: frozenset[str]


@dataclass(frozen=True, slots=True)
class NegotiationError(Event):
    """Offer and answer with this peer failed."""

    err: Exception


@dataclass(frozen=True, slots=True)
class IceCandidateError(Event):
    """A candidate of the remote peer could not be used; usually harmless."""

    err: Exception


# DataChannel --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DCOpen(Event):
    """The data channel is open."""


@dataclass(frozen=True, slots=True)
class DCClose(Event):
    """The data channel is closed."""


@dataclass(frozen=True, slots=True)
class DCError(Event):
    """The data channel reported an error."""

    err: Exception


@dataclass(frozen=True, slots=True)
class DCMessage(Event):
    """A message on the data channel."""

    data: str | bytes
