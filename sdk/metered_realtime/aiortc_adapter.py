"""The door to aiortc: what it cannot do from outside (our ICE, ICE restart, bundled transport, bounded reception).

The private names of aiortc used in this package are in this file, `aiortc_offers` and `aiortc_stats`; their tests are
the contract with aiortc 1.16. Imported with the first peer connection, never before.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from ssl import SSLContext
from typing import Any

from aioice import Candidate
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcdtlstransport import SRTP_PROFILES
from aiortc.sdp import candidate_from_sdp
from OpenSSL import SSL

from metered_realtime.aiortc_codecs import agreed_codecs, codec_preferences, with_our_codecs
from metered_realtime.aiortc_reception import receive_impatiently
from metered_realtime.aiortc_reports import report_frames
from metered_realtime.aiortc_rtcp import RtcpEntrance, agree_to_transport_feedback, open_entrance
from metered_realtime.aiortc_sender import send_pictures, sends_pictures
from metered_realtime.description import read_credentials, read_description
from metered_realtime.ice_connection import IceConnection
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.link_meter import LinkMeter
from metered_realtime.media.received_gate import DecoderGate
from metered_realtime.media.source import SenderTrack
from metered_realtime.scrub import scrub
from metered_realtime.sdp_rewrite import (
    drop_end_of_candidates,
    keep_usable_candidates,
    reject_sections,
    revive_rejected,
    say_trickle,
)
from metered_realtime.srtp_profiles import has_aes, in_order
from metered_realtime.stats import PeerLink

FrameSink = Callable[[Any], None]

_CPU = Path("/proc/cpuinfo")
_PROFILES = in_order(SRTP_PROFILES, aes=has_aes(_CPU.read_text() if _CPU.exists() else ""))
# Encoded pictures that go to every peer as the same packets.
SENT_AS_THEY_COME = ("video/H264", "video/H265")
_RECEIVING_TOO = {"sendonly": "sendrecv", "inactive": "recvonly"}


def _scrub_record(record: logging.LogRecord) -> bool:
    """Let a line of a log pass without the ICE passwords in it."""
    record.msg, record.args = scrub(record.getMessage()), ()
    return True


# It shows whole descriptions, of both sides, to whoever sets it to DEBUG.
logging.getLogger("aiortc.rtcpeerconnection").addFilter(_scrub_record)


class PeerConnection(RTCPeerConnection):
    """An RTCPeerConnection with one transport for everything, whose ICE is ours. `ice`: None before any section."""

    def __init__(self, make_ice: Callable[[], IceConnection], link_meter: LinkMeter) -> None:
        self.ice: IceConnection | None = None
        self.rtcp: RtcpEntrance | None = None
        self.link_meter = link_meter
        self._make_ice = make_ice
        super().__init__(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))

    setRemoteDescription = with_our_codecs(RTCPeerConnection.setRemoteDescription)  # noqa: N815 - the name in WebRTC
    _create_offer = with_our_codecs(RTCPeerConnection.createOffer)

    async def createOffer(self) -> RTCSessionDescription:  # noqa: N802 - as above
        """Unlike aiortc leave in force what was agreed: a sender may start while an offer waits for its answer."""
        agreed = [(each, each._codecs, each._headerExtensions) for each in self.getTransceivers() if each._codecs]
        offer: RTCSessionDescription = await self._create_offer()
        for transceiver, codecs, extensions in agreed:
            transceiver._codecs, transceiver._headerExtensions = codecs, extensions
        return offer

    def _RTCPeerConnection__createDtlsTransport(self) -> Any:  # noqa: N802 - aiortc's private name for it
        dtls = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        dtls._srtp_profiles = _PROFILES
        self.rtcp = open_entrance(dtls, self.link_meter)
        transport = dtls.transport
        self.ice = transport._connection = transport.iceGatherer._connection = self._make_ice()
        self.ice.take_early = self.rtcp.take_early
        transport._recv, transport._send = self.ice.recv, self.ice.send
        return dtls

    def _RTCPeerConnection__createTransceiver(self, *args: Any, **more: Any) -> RTCRtpTransceiver:  # noqa: N802 - as above
        transceiver: RTCRtpTransceiver = super()._RTCPeerConnection__createTransceiver(*args, **more)  # type: ignore[misc]
        receive_impatiently(transceiver)
        return transceiver


def open_connection(
    ice_servers: Iterable[IceServerConfig],
    *,
    relay_only: bool = False,
    ssl_context: SSLContext | None = None,
    on_candidate: Callable[[str | None], None] | None = None,
    on_path: Callable[[bool], None] | None = None,
    on_link: Callable[[PeerLink], None] | None = None,
) -> PeerConnection:
    """Return a connection that uses exactly these servers: none means none.

    `on_candidate` gets the text of each candidate found after a description was made, and None at the end. `on_path`
    gets False when the path is lost, and True when there is one again. `on_link` hears when it becomes thin, or wide
    again.
    """
    servers = tuple(ice_servers)

    def candidate_found(candidate: Candidate | None) -> None:
        if on_candidate is not None:
            on_candidate(f"candidate:{candidate.to_sdp()}" if candidate is not None else None)

    def path_changed(is_found: bool) -> None:
        if on_path is not None:
            on_path(is_found)

    def make_ice() -> IceConnection:
        return IceConnection(
            servers,
            relay_only=relay_only,
            ssl_context=ssl_context,
            on_candidate=candidate_found,
            on_path_lost=lambda: path_changed(False),
            on_path_back=lambda: path_changed(True),
            on_path_changed=lambda _: path_changed(True),
        )

    return PeerConnection(make_ice, LinkMeter(on_link))


def lacks_candidates(pc: PeerConnection) -> bool:
    """Tell whether aiortc waits for the first candidate of ours, and so has not begun to connect."""
    ice = ice_transport(pc)
    return ice is not None and ice.state == "new" and bool(remote_sdp(pc))


def local_ufrag(pc: PeerConnection) -> str:
    """Return the user fragment of our present ICE credentials; empty before there are any."""
    return pc.ice.local_username if pc.ice is not None else ""


async def begin_restart(pc: PeerConnection, ice_servers: Sequence[IceServerConfig]) -> None:
    """Put new credentials of ours in force for the next description; the present path carries on meanwhile."""
    if pc.ice is not None:
        pc.ice.restart(ice_servers)
        await pc.ice.gather_candidates()


def undo_restart(pc: PeerConnection) -> None:
    """Put the credentials from before `begin_restart` in force again."""
    if pc.ice is not None:
        pc.ice.undo_restart()


async def follow_restart(pc: PeerConnection, sdp: str) -> None:
    """Look for the other side under the new credentials of this description of it."""
    if pc.ice is not None:
        await pc.ice.set_remote(*read_credentials(sdp))


def add_sender(
    pc: PeerConnection, track: MediaStreamTrack, mime_type: str | None, also_as: Sequence[str] = ()
) -> RTCRtpTransceiver:
    """Add a section that sends `track`, as nothing but `mime_type` if that is given, or one of `also_as`.

    Raises UnsupportedCodecError.
    """
    preferences = codec_preferences(track.kind, mime_type, also_as)
    transceiver = pc.addTransceiver(track, direction="sendonly")
    transceiver._preferred_codecs = preferences
    if mime_type in SENT_AS_THEY_COME and isinstance(track, SenderTrack) and pc.rtcp is not None:
        send_pictures(transceiver.sender, track, pc.rtcp, lambda: agreed_codecs(transceiver))
    elif isinstance(track, SenderTrack):
        _pass_key_frame_requests(transceiver.sender, track)
        report_frames(transceiver.sender, track)
    return transceiver


def _pass_key_frame_requests(sender: RTCRtpSender, track: SenderTrack) -> None:
    """Tell the track of PLI and FIR as well: aiortc notes them for its own encoder alone, packets are sent on."""
    noted = sender._send_keyframe

    def requested() -> None:
        noted()
        track.request_key_frame()

    sender._send_keyframe = requested  # type: ignore[method-assign]


def set_msid(sender: RTCRtpSender, stream_id: str | None, track_id: str) -> None:
    """Announce the sender's media under these ids in the next description."""
    if stream_id is not None:
        sender._stream_id = stream_id
    sender._track_id = track_id


def add_receiver(pc: RTCPeerConnection, kind: str) -> RTCRtpTransceiver:
    """Add a section that only receives."""
    return pc.addTransceiver(kind, direction="recvonly")


def bind_section(transceiver: RTCRtpTransceiver, mid: str, index: int) -> None:
    """Tie a section of a new connection to one the other side already has, before its offer is applied."""
    transceiver._set_mid(mid)
    transceiver._set_mline_index(index)


def require_channel_section(pc: RTCPeerConnection) -> None:
    """Make sure the next offer has a section for data channels."""
    if pc.sctp is None:
        pc._RTCPeerConnection__createSctpTransport()  # type: ignore[attr-defined]


def channel_needs_offer(pc: RTCPeerConnection) -> bool:
    """Tell whether a data channel was created that no description has a section for yet."""
    return pc.sctp is not None and pc.sctp.mid is None


def start_media(pc: RTCPeerConnection) -> Any:
    """Return a coroutine that starts senders and receivers that are not running yet.

    aiortc starts them once per description, and skips those whose turn comes while DTLS is still connecting.
    """
    return pc._RTCPeerConnection__connect()  # type: ignore[attr-defined]


async def apply_offer(pc: RTCPeerConnection, sdp: str) -> None:
    """Apply the other side's offer. Sections we want to send in but have not offered yet are left out of it."""
    facts = read_description(sdp)
    pending = [each for each in pc.getTransceivers() if each.mid is None]
    for number, transceiver in enumerate(pending):
        # aiortc would tie them to sections of the offer, under ids the other side has chosen already.
        transceiver._set_mid(f" {number}")
    _mark_bundled(pc)
    clean = revive_rejected(keep_usable_candidates(sdp), local_sdp(pc))
    try:
        await pc.setRemoteDescription(RTCSessionDescription(sdp=clean, type="offer"))
    finally:
        for transceiver in pending:
            transceiver._set_mid(None)  # type: ignore[arg-type]
    sending = {section.mid for section in facts.sections if section.is_sending}
    transport_ids: dict[str | None, int | None] = {each.mid: each.transport_id for each in facts.sections}
    offered = {section.mid for section in facts.sections}
    for transceiver in pc.getTransceivers():
        if transceiver.mid not in offered:
            transceiver._offerDirection = "inactive"  # aiortc computes with None otherwise, and fails
        if transceiver.mid in sending:
            transceiver.direction = _RECEIVING_TOO.get(transceiver.direction, transceiver.direction)
        transport_id = transport_ids.get(transceiver.mid)
        if transport_id is not None and transceiver.mid not in sending and sends_pictures(transceiver.sender):
            agree_to_transport_feedback(transceiver, transport_id)


async def make_answer(pc: RTCPeerConnection, offer: str) -> str:
    """Answer the offer that was applied; returns what to send."""
    dtls = _dtls_transport(pc)
    if dtls is not None and dtls._role == "auto" and any(map(sends_pictures, pc.getSenders())):
        # The DTLS server chooses how media is protected; a browser would take what costs us most.
        dtls._set_role("server")
    answer = say_trickle((await pc.createAnswer()).sdp)
    await pc.setLocalDescription(RTCSessionDescription(sdp=answer, type="answer"))
    refused = [section.mid for section in read_description(offer).sections if section.is_rejected]
    return reject_sections(drop_end_of_candidates(local_sdp(pc)), refused)


async def apply_answer(pc: RTCPeerConnection, sdp: str) -> None:
    """Apply the other side's answer to the pending offer."""
    _mark_bundled(pc)
    clean = revive_rejected(keep_usable_candidates(sdp), local_sdp(pc))
    await pc.setRemoteDescription(RTCSessionDescription(sdp=clean, type="answer"))


async def add_candidate(pc: RTCPeerConnection, candidate: str) -> None:
    """Add a trickled candidate. Raises ValueError where it cannot be parsed."""
    ice = ice_transport(pc)
    if ice is not None:
        await ice.addRemoteCandidate(candidate_from_sdp(candidate.removeprefix("candidate:")))


def local_sdp(pc: RTCPeerConnection) -> str:
    """Return our description, pending or in force; empty before there is one."""
    description: Any = pc.localDescription
    return str(description.sdp) if description is not None else ""


def remote_sdp(pc: RTCPeerConnection) -> str:
    """Return the other side's description; empty before there is one."""
    description: Any = pc.remoteDescription
    return str(description.sdp) if description is not None else ""


def ice_transport(pc: RTCPeerConnection) -> Any:
    """Return the one ICE transport, or None before there is any section."""
    dtls = _dtls_transport(pc)
    return dtls.transport if dtls is not None else None


def _dtls_transport(pc: RTCPeerConnection) -> Any:
    for transceiver in pc.getTransceivers():
        return transceiver.receiver.transport
    return pc.sctp.transport if pc.sctp is not None else None


def connection_state(pc: RTCPeerConnection) -> str:
    """Return aiortc's connection state, but `failed` for a connection that aiortc closed because its path was lost.

    aiortc closes itself both when the other side says goodbye (DTLS close_notify, RFC 5246 section 7.2.1) and when
    consent to send runs out (RFC 7675) or its socket dies, and calls all of it `closed`.
    """
    state = str(pc.connectionState)
    if state != "closed":
        return state
    dtls = _dtls_transport(pc)
    if dtls is None or dtls._ssl is None or dtls._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
        return "closed"
    return "failed"


def is_transport_up(pc: RTCPeerConnection) -> bool:
    """Tell whether DTLS is connected at this moment; the state of the whole connection follows a little later."""
    return any(each.receiver.transport.state == "connected" for each in pc.getTransceivers())


def receive_into(receiver: Any, put: FrameSink, gate: DecoderGate) -> None:
    """Replace aiortc's unbounded queues. Before any frame came.

    Encoded frames go through `gate` to the decoder, decoded ones (None at the end) to `put`.
    """
    receiver.track._queue = _Sink(put)
    receiver._RTCRtpReceiver__decoder_queue = gate


def request_key_frame(receiver: Any) -> None:
    """Send a picture loss indication (RFC 4585 section 6.3.1) with the next packet that comes."""
    receiver._RTCRtpReceiver__decoder_error.set()


class _Sink:
    """Stands where aiortc's decoder thread expects an asyncio.Queue."""

    def __init__(self, put: FrameSink) -> None:
        self._put = put

    async def put(self, frame: Any) -> None:
        self._put(frame)


def role_is_set(pc: RTCPeerConnection) -> bool:
    """Tell whether it is decided which side nominates (RFC 8445 section 6.1.1)."""
    ice = ice_transport(pc)
    return ice is not None and bool(ice._role_set)


def _mark_bundled(pc: RTCPeerConnection) -> None:
    """Keep aiortc from stopping "the old transport" of a section that already uses the shared one."""
    for transceiver in pc.getTransceivers():
        transceiver._bundled = True
    if pc.sctp is not None:
        pc.sctp._bundled = True
