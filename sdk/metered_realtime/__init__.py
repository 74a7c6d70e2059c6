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
        IceRestartExhaustedError,
        MeteredPeerOversizedError,
        MeteredPeerReplaceTrackError,
        MeteredPeerSendError,
        MeteredPeerStateError,
        MeteredRealtimeError,
        NotConnectedError,
        NotJsonError,
        OversizedPayloadError,
        ReconcileTimeoutError,
        ReplaceTrackFailure,
        ServerRequestError,
        SignallingConnectError,
        SignallingError,
    )
    from metered_realtime.events import (
        CodecsAgreed,
        Connected,
        ConnectionReset,
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
        PeerLinkChange,
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
    from metered_realtime.json_messages import JsonMessages
    from metered_realtime.json_text import JsonText
    from metered_realtime.logger import Logger, NoopLogger, StdlibLogger
    from metered_realtime.media.access_unit import AccessUnit
    from metered_realtime.media.audio import AudioSource
    from metered_realtime.media.camera_list import CameraInfo, list_cameras
    from metered_realtime.media.encoded import EncodedVideoSource, EncodedVideoStats
    from metered_realtime.media.encoded_audio import EncodedAudioSource
    from metered_realtime.media.encoded_choice import EncodedVideoChoice
    from metered_realtime.media.files import from_camera, from_file, from_microphone, from_rtsp, screen_share
    from metered_realtime.media.frames import iter_frames
    from metered_realtime.media.live_player import LivePlayer
    from metered_realtime.media.recorder import Recorder, RecorderStats
    from metered_realtime.media.recorder_events import FileFinished, FileStarted, RecordingFailed, TrackRefused
    from metered_realtime.media.snapshot import SnapshotError, snapshot
    from metered_realtime.media.source_errors import (
        SourceBusyError,
        SourceDeniedError,
        SourceError,
        SourceFormatError,
        SourceLostError,
        SourceNotFoundError,
        SourceTimeoutError,
    )
    from metered_realtime.media.source_state import SourceStateChange
    from metered_realtime.media.video_source import VideoSource, VideoSourceStats
    from metered_realtime.network_watch import NetworkWatch
    from metered_realtime.options import (
        MediaDirections,
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
    from metered_realtime.reopening_channel import ReopeningDataChannel
    from metered_realtime.signalling import SignallingClient
    from metered_realtime.stats import CandidatePairStats, PeerLink, PeerStats, TrackStats
    from metered_realtime.streams import MediaStream, StreamMetadata

__version__ = "1.1.0"

_EXPORTS = {
    "signalling": "SignallingClient",
    "peer": "MeteredPeer",
    "remote_peer": "RemotePeer",
    "stats": "CandidatePairStats PeerLink PeerStats TrackStats",
    "data_channel": "DataChannel",
    "reopening_channel": "ReopeningDataChannel",
    "json_messages": "JsonMessages",
    "json_text": "JsonText",
    "streams": "MediaStream StreamMetadata",
    "media.access_unit": "AccessUnit",
    "media.audio": "AudioSource",
    "media.camera_list": "CameraInfo list_cameras",
    "media.encoded": "EncodedVideoSource EncodedVideoStats",
    "media.encoded_audio": "EncodedAudioSource",
    "media.encoded_choice": "EncodedVideoChoice",
    "media.files": "from_camera from_file from_microphone from_rtsp screen_share",
    "media.frames": "iter_frames",
    "media.live_player": "LivePlayer",
    "media.recorder": "Recorder RecorderStats",
    "media.recorder_events": "FileFinished FileStarted RecordingFailed TrackRefused",
    "media.snapshot": "SnapshotError snapshot",
    "media.source_errors": (
        "SourceBusyError SourceDeniedError SourceError SourceFormatError SourceLostError "
        "SourceNotFoundError SourceTimeoutError"
    ),
    "media.source_state": "SourceStateChange",
    "media.video_source": "VideoSource VideoSourceStats",
    "options": (
        "MediaDirections MeteredPeerState PeerConnectionState ReconnectOptions SignallingClientOptions "
        "SignallingClientState SubscribeOptions TokenProviderFn"
    ),
    "events": (
        "CodecsAgreed Connected ConnectionReset DCClose DCError DCMessage DCOpen Data DataChannelOpened Direct "
        "Disconnected Event FatalError GoingAway IceCandidateError Joined Left Message NegotiationError "
        "PeerJoined PeerLeft PeerLinkChange Presence ServerError StateChange StreamAdded StreamRemoved "
        "TokenProviderError Track"
    ),
    "errors": (
        "AckTimeoutError DataChannelOverflowError DisconnectedError IceRestartExhaustedError "
        "MeteredPeerOversizedError MeteredPeerReplaceTrackError MeteredPeerSendError MeteredPeerStateError "
        "MeteredRealtimeError NotConnectedError NotJsonError OversizedPayloadError ReconcileTimeoutError "
        "ReplaceTrackFailure ServerRequestError SignallingConnectError SignallingError"
    ),
    "logger": "Logger NoopLogger StdlibLogger",
    "network_watch": "NetworkWatch",
    "frames": "ErrorCode PresencePeer WsCloseCode",
    "ice_servers": "IceServerConfig",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = [
    "AccessUnit",
    "AckTimeoutError",
    "AudioSource",
    "CameraInfo",
    "CandidatePairStats",
    "CodecsAgreed",
    "Connected",
    "ConnectionReset",
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
    "EncodedAudioSource",
    "EncodedVideoChoice",
    "EncodedVideoSource",
    "EncodedVideoStats",
    "ErrorCode",
    "Event",
    "FatalError",
    "FileFinished",
    "FileStarted",
    "GoingAway",
    "IceCandidateError",
    "IceRestartExhaustedError",
    "IceServerConfig",
    "Joined",
    "JsonMessages",
    "JsonText",
    "Left",
    "LivePlayer",
    "Logger",
    "MediaDirections",
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
    "NetworkWatch",
    "NoopLogger",
    "NotConnectedError",
    "NotJsonError",
    "OversizedPayloadError",
    "PeerConnectionState",
    "PeerJoined",
    "PeerLeft",
    "PeerLink",
    "PeerLinkChange",
    "PeerStats",
    "Presence",
    "PresencePeer",
    "ReconcileTimeoutError",
    "ReconnectOptions",
    "Recorder",
    "RecorderStats",
    "RecordingFailed",
    "RemotePeer",
    "ReopeningDataChannel",
    "ReplaceTrackFailure",
    "ServerError",
    "ServerRequestError",
    "SignallingClient",
    "SignallingClientOptions",
    "SignallingClientState",
    "SignallingConnectError",
    "SignallingError",
    "SnapshotError",
    "SourceBusyError",
    "SourceDeniedError",
    "SourceError",
    "SourceFormatError",
    "SourceLostError",
    "SourceNotFoundError",
    "SourceStateChange",
    "SourceTimeoutError",
    "StateChange",
    "StdlibLogger",
    "StreamAdded",
    "StreamMetadata",
    "StreamRemoved",
    "SubscribeOptions",
    "TokenProviderError",
    "TokenProviderFn",
    "Track",
    "TrackRefused",
    "TrackStats",
    "VideoSource",
    "VideoSourceStats",
    "WsCloseCode",
    "__version__",
    "from_camera",
    "from_file",
    "from_microphone",
    "from_rtsp",
    "iter_frames",
    "list_cameras",
    "screen_share",
    "snapshot",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
