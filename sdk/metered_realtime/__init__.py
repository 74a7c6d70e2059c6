"""Independent implementation of the Metered Realtime API: channels, presence, messages, and media between peers.

Every public name is loaded when it is first used, so that a program that only publishes readings never loads WebRTC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metered_realtime.data_channel import DataChannel
    from metered_realtime.errors import (
        AckTimeoutError,
        DataChannelOverflowError,
        DisconnectedError,
        MeteredPeerOversizedError,
        MeteredPeerReplaceTrackError,
        MeteredPeerSendError,
        MeteredPeerStateError,
        MeteredRealtimeError,
        NotConnectedError,
        OversizedPayloadError,
        ReconcileTimeoutError,
        ReplaceTrackFailure,
        ServerRequestError,
        SignallingConnectError,
        SignallingError,
    )
    from metered_realtime.events import (
        Connected,
        Data,
        DataChannelOpened,
        DCClose,
        DCError,
        DCMessage,
        DCOpen,
        Direct,
        Disconnected,
        Event,
        FatalError,
        GoingAway,
        IceCandidateError,
        Joined,
        Left,
        Message,
        NegotiationError,
        PeerJoined,
        PeerLeft,
        Presence,
        ServerError,
        StateChange,
        StreamAdded,
        StreamRemoved,
        TokenProviderError,
        Track,
    )
    from metered_realtime.frames import ErrorCode, PresencePeer, WsCloseCode
    from metered_realtime.ice_servers import IceServerConfig
    from metered_realtime.logger import Logger, NoopLogger, StdlibLogger
    from metered_realtime.media.audio import AudioSource
    from metered_realtime.media.files import from_camera, from_file, from_microphone, from_rtsp, screen_share
    from metered_realtime.media.frames import iter_frames
    from metered_realtime.options import (
        MeteredPeerState,
        PeerConnectionState,
        ReconnectOptions,
        SignallingClientOptions,
        SignallingClientState,
        SubscribeOptions,
        TokenProviderFn,
    )
    from metered_realtime.peer import MeteredPeer
    from metered_realtime.remote_peer import RemotePeer
    from metered_realtime.signalling import SignallingClient
    from metered_realtime.streams import MediaStream, StreamMetadata

__version__ = "1.1.0"

_EXPORTS = {
    "signalling": "SignallingClient",
    "peer": "MeteredPeer",
    "remote_peer": "RemotePeer",
    "data_channel": "DataChannel",
    "streams": "MediaStream StreamMetadata",
    "media.audio": "AudioSource",
    "media.frames": "iter_frames",
    "media.files": "from_camera from_file from_microphone from_rtsp screen_share",
    "options": (
        "MeteredPeerState PeerConnectionState ReconnectOptions SignallingClientOptions SignallingClientState "
        "SubscribeOptions TokenProviderFn"
    ),
    "events": (
        "Connected DCClose DCError DCMessage DCOpen Data DataChannelOpened Direct Disconnected Event "
        "FatalError GoingAway IceCandidateError Joined Left Message NegotiationError PeerJoined PeerLeft "
        "Presence ServerError StateChange StreamAdded StreamRemoved TokenProviderError Track"
    ),
    "errors": (
        "AckTimeoutError DataChannelOverflowError DisconnectedError MeteredPeerOversizedError "
        "MeteredPeerReplaceTrackError MeteredPeerSendError MeteredPeerStateError MeteredRealtimeError "
        "NotConnectedError OversizedPayloadError ReconcileTimeoutError ReplaceTrackFailure ServerRequestError "
        "SignallingConnectError SignallingError"
    ),
    "logger": "Logger NoopLogger StdlibLogger",
    "frames": "ErrorCode PresencePeer WsCloseCode",
    "ice_servers": "IceServerConfig",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = [
    "AckTimeoutError",
    "AudioSource",
    "Connected",
    "DCClose",
    "DCError",
    "DCMessage",
    "DCOpen",
    "Data",
    "DataChannel",
    "DataChannelOpened",
    "DataChannelOverflowError",
    "Direct",
    "Disconnected",
    "DisconnectedError",
    "ErrorCode",
    "Event",
    "FatalError",
    "GoingAway",
    "IceCandidateError",
    "IceServerConfig",
    "Joined",
    "Left",
    "Logger",
    "MediaStream",
    "Message",
    "MeteredPeer",
    "MeteredPeerOversizedError",
    "MeteredPeerReplaceTrackError",
    "MeteredPeerSendError",
    "MeteredPeerState",
    "MeteredPeerStateError",
    "MeteredRealtimeError",
    "NegotiationError",
    "NoopLogger",
    "NotConnectedError",
    "OversizedPayloadError",
    "PeerConnectionState",
    "PeerJoined",
    "PeerLeft",
    "Presence",
    "PresencePeer",
    "ReconcileTimeoutError",
    "ReconnectOptions",
    "RemotePeer",
    "ReplaceTrackFailure",
    "ServerError",
    "ServerRequestError",
    "SignallingClient",
    "SignallingClientOptions",
    "SignallingClientState",
    "SignallingConnectError",
    "SignallingError",
    "StateChange",
    "StdlibLogger",
    "StreamAdded",
    "StreamMetadata",
    "StreamRemoved",
    "SubscribeOptions",
    "TokenProviderError",
    "TokenProviderFn",
    "Track",
    "WsCloseCode",
    "__version__",
    "from_camera",
    "from_file",
    "from_microphone",
    "from_rtsp",
    "iter_frames",
    "screen_share",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
