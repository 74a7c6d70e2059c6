"""The names of the package are pinned, and importing it stays cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import metered_realtime

OFFICIAL = """
__version__ MeteredPeer RemotePeer SignallingClient DataChannel MediaStream StreamMetadata AudioSource iter_frames
from_file from_rtsp from_camera from_microphone screen_share SignallingClientOptions ReconnectOptions SubscribeOptions
TokenProviderFn Event StateChange Connected Disconnected Message Direct Presence ServerError GoingAway
TokenProviderError Joined Left PeerJoined PeerLeft Data FatalError Track StreamAdded StreamRemoved DataChannelOpened
NegotiationError IceCandidateError DCOpen DCClose DCError DCMessage SignallingClientState MeteredPeerState
PeerConnectionState MeteredRealtimeError SignallingError SignallingConnectError NotConnectedError ServerRequestError
AckTimeoutError DisconnectedError ReconcileTimeoutError MeteredPeerSendError MeteredPeerOversizedError
MeteredPeerStateError MeteredPeerReplaceTrackError ReplaceTrackFailure DataChannelOverflowError Logger NoopLogger
StdlibLogger ErrorCode IceServerConfig PresencePeer WsCloseCode
""".split()
OURS = """
AccessUnit CameraInfo CandidatePairStats CodecsAgreed ConnectionReset EncodedAudioSource EncodedVideoChoice
EncodedVideoSource EncodedVideoStats FileFinished FileStarted IceRestartExhaustedError JsonMessages JsonText LivePlayer
MediaDirections NetworkWatch NotJsonError OversizedPayloadError PeerLink PeerLinkChange PeerStats Recorder RecorderStats
RecordingFailed ReopeningDataChannel SnapshotError SourceBusyError SourceDeniedError SourceError SourceFormatError
SourceLostError SourceNotFoundError SourceStateChange SourceTimeoutError TrackRefused TrackStats VideoSource
VideoSourceStats list_cameras snapshot
""".split()


def test_names_are_the_official_ones_and_the_listed_additions():
    assert sorted(metered_realtime.__all__) == sorted(OFFICIAL + OURS)
    assert dir(metered_realtime) == sorted(metered_realtime.__all__)


def test_every_name_can_be_loaded():
    for name in metered_realtime.__all__:
        assert getattr(metered_realtime, name) is not None


def test_both_clients_spell_out_the_same_options():
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(metered_realtime.SignallingClientOptions).parameters.items()
    }
    of_peers_alone = {"relay_only": False, "ice_servers": None}
    for client, more in ((metered_realtime.SignallingClient, {}), (metered_realtime.MeteredPeer, of_peers_alone)):
        parameters = inspect.signature(client).parameters
        assert parameters["options"].default is None
        defaults = {name: parameters[name].default for name in parameters if name[0] != "_" and name != "options"}
        assert defaults == {**given, **more}


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        metered_realtime.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import metered_realtime", "from metered_realtime import SignallingClient, MeteredPeer, PeerJoined"]
)
def test_importing_loads_no_media_stack(statement):
    program = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"aiortc", "av", "cryptography", "aioice", "numpy"} & set(loaded)
