"""The one door to aiortc: what it cannot do from outside (rollback, own mids, bundled transport, bounded reception).

Every private name of aiortc used in this package is in this file; `tests/sdk/test_aiortc_adapter.py` is the contract
with aiortc 1.16. Imported with the first peer connection, never before.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcicetransport import connection_kwargs
from aiortc.sdp import candidate_from_sdp
from OpenSSL import SSL

from metered_realtime.description import read_description
from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.sdp_rewrite import (
    arrange_offer,
    keep_usable_candidates,
    pin_numbers,
    reject_sections,
    revive_rejected,
)

FrameSink = Callable[[Any], None]

_RECEIVING_TOO = {"sendonly": "sendrecv", "inactive": "recvonly"}


class UnsupportedCodecError(MeteredRealtimeError):
    """A track can only be sent as a codec that WebRTC in this process does not speak."""


@dataclass(slots=True)
class MadeOffer:
    """What making an offer changed, so that `take_back` can undo it."""

    new_transceivers: list[RTCRtpTransceiver]
    codecs: list[tuple[RTCRtpTransceiver, Any, Any]]
    channel_mid_before: str | None
    role_was_open: bool
    sdp: str = ""


def open_connection(ice_servers: Iterable[IceServerConfig]) -> RTCPeerConnection:
    """Return a connection with one transport for everything, and exactly these servers: none means none."""
    servers = []
    for server in ice_servers:
        candidate = RTCIceServer(urls=server.urls, username=server.username, credential=server.credential)
        try:
            connection_kwargs([candidate])
        except ValueError:
            continue  # aiortc would refuse the whole connection for one address it cannot parse
        servers.append(candidate)
    return RTCPeerConnection(RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


def add_sender(pc: RTCPeerConnection, track: MediaStreamTrack, mime_type: str | None) -> RTCRtpTransceiver:
    """Add a section that sends `track`, as nothing but `mime_type` if that is given. Raises UnsupportedCodecError."""
    preferences = codec_preferences(track.kind, mime_type)
    transceiver = pc.addTransceiver(track, direction="sendonly")
    if preferences:
        transceiver.setCodecPreferences(preferences)
    return transceiver


def codec_preferences(kind: str, mime_type: str | None) -> list[Any]:
    """Return the capabilities that restrict a section to `mime_type`, with its repair codec; empty: no restriction."""
    if mime_type is None:
        return []
    wanted = (mime_type.lower(), f"{kind}/rtx")
    codecs = [codec for codec in RTCRtpSender.getCapabilities(kind).codecs if codec.mimeType.lower() in wanted]
    if not any(codec.mimeType.lower() == mime_type.lower() for codec in codecs):
        raise UnsupportedCodecError(f"{mime_type} cannot be sent over WebRTC by this package")
    return codecs


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


async def make_offer(
    pc: RTCPeerConnection,
    *,
    new_mid: Callable[[], str],
    layout: Sequence[tuple[str, str]] = (),
    channel_mid: str | None = None,
    with_channel: bool = True,
    earlier: Sequence[str] = (),
) -> MadeOffer:
    """Make a local offer and gather; `sdp` of the result is what to send.

    `layout` (kind, mid): the sections of an earlier connection, which come first and in this order. `channel_mid`
    names the section for data channels; without `with_channel` none is opened. `earlier`: descriptions whose codec
    and extension numbers must be kept.
    """
    if channel_mid is not None:
        require_channel_section(pc)
    transceivers = pc.getTransceivers()
    made = MadeOffer(
        new_transceivers=[each for each in transceivers if each.mid is None],
        codecs=[(each, each._codecs, each._headerExtensions) for each in transceivers if each.mid is not None],
        channel_mid_before=pc.sctp.mid if pc.sctp is not None else None,
        role_was_open=not _role_is_set(pc),
    )
    held = [text for text in (local_sdp(pc), remote_sdp(pc)) if text]
    try:
        hidden = None if with_channel or not channel_needs_offer(pc) else pc.sctp
        if hidden is not None:
            hidden.mid = " "  # aiortc opens a section for any data channel without a mid
        raw = (await pc.createOffer()).sdp
        if hidden is not None:
            hidden.mid = None
        # aiortc has just reset these to its own tables, and a receiver that starts now would use them.
        _restore_codecs(made)
        order = _arrangement(pc, raw, layout, new_mid, channel_mid)
        by_index = {each._get_mline_index(): each for each in transceivers}
        for place, (index, _) in enumerate(order):
            if index in by_index:
                by_index[index]._set_mline_index(place)
            else:
                pc._RTCPeerConnection__sctp_mline_index = place  # type: ignore[attr-defined]
        text = pin_numbers(arrange_offer(raw, order), held or earlier)
        await pc.setLocalDescription(RTCSessionDescription(sdp=text, type="offer"))
    except BaseException:
        take_back(pc, made)
        raise
    made.sdp = local_sdp(pc)
    return made


def _arrangement(
    pc: RTCPeerConnection,
    raw: str,
    layout: Sequence[tuple[str, str]],
    new_mid: Callable[[], str],
    channel_mid: str | None,
) -> list[tuple[int, str]]:
    """Return (index in `raw`, mid) for each section in the order to send."""
    known = {each.mid for each in pc.getTransceivers()} | {pc.sctp.mid if pc.sctp is not None else None}
    rest = list(enumerate(read_description(raw).sections))
    order: list[tuple[int, str, str]] = []
    for kind, mid in layout:
        found = next((entry for entry in rest if entry[1].kind == kind), None)
        if found is not None:
            rest.remove(found)
            order.append((found[0], kind, mid))
    for index, section in rest:
        if section.mid in known:
            mid = section.mid
        elif section.kind == "application":
            mid = _likely_channel_mid(pc)
        else:
            # The other side counts as we do, if it is one of ours.
            used = known | {taken for _, _, taken in order} | {channel_mid}
            mid = next(free for free in iter(new_mid, None) if free not in used)
        order.append((index, section.kind, mid))
    return [
        (index, channel_mid if kind == "application" and channel_mid is not None else mid) for index, kind, mid in order
    ]


def _likely_channel_mid(pc: RTCPeerConnection) -> str:
    """Return the mid a browser would give its own section for data channels now: it counts its sections.

    Where both sides open one at the same moment, Chromium only goes on if both have the same mid.
    """
    numbers = [int(each.mid) for each in pc.getTransceivers() if each.mid is not None and each.mid.isdecimal()]
    return str(max(numbers, default=-1) + 1)


def take_back(pc: RTCPeerConnection, made: MadeOffer) -> None:
    """Undo a local offer that was not answered: the rollback that aiortc lacks (RFC 8829 section 4.1.10.2).

    What was gathered is kept; sections that were new are offered anew by the next offer.
    """
    if pc.signalingState not in ("have-local-offer", "stable"):
        return
    pc._RTCPeerConnection__pendingLocalDescription = None  # type: ignore[attr-defined]
    for transceiver in made.new_transceivers:
        transceiver._set_mid(None)  # type: ignore[arg-type]
        transceiver._set_mline_index(None)  # type: ignore[arg-type]
    _restore_codecs(made)
    if pc.sctp is not None:
        pc.sctp.mid = made.channel_mid_before
    ice = ice_transport(pc)
    if ice is not None and made.role_was_open:
        ice._role_set = False
        ice._connection.ice_controlling = False
    if pc.signalingState != "stable":
        pc._RTCPeerConnection__setSignalingState("stable")  # type: ignore[attr-defined]


def _restore_codecs(made: MadeOffer) -> None:
    for transceiver, codecs, extensions in made.codecs:
        transceiver._codecs, transceiver._headerExtensions = codecs, extensions


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
    offered = {section.mid for section in facts.sections}
    for transceiver in pc.getTransceivers():
        if transceiver.mid not in offered:
            transceiver._offerDirection = "inactive"  # aiortc computes with None otherwise, and fails
        if transceiver.mid in sending:
            transceiver.direction = _RECEIVING_TOO.get(transceiver.direction, transceiver.direction)


async def make_answer(pc: RTCPeerConnection, offer: str) -> str:
    """Answer the offer that was applied; returns what to send."""
    await pc.setLocalDescription(await pc.createAnswer())
    refused = [section.mid for section in read_description(offer).sections if section.is_rejected]
    return reject_sections(local_sdp(pc), refused)


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


def receive_into(track: MediaStreamTrack, put: FrameSink) -> None:
    """Hand decoded frames (None at the end) to `put` instead of aiortc's unbounded queue. Before any frame came."""
    track._queue = _Sink(put)  # type: ignore[attr-defined]


class _Sink:
    """Stands where aiortc's decoder thread expects an asyncio.Queue."""

    def __init__(self, put: FrameSink) -> None:
        self._put = put

    async def put(self, frame: Any) -> None:
        self._put(frame)


def _role_is_set(pc: RTCPeerConnection) -> bool:
    ice = ice_transport(pc)
    return ice is not None and bool(ice._role_set)


def _mark_bundled(pc: RTCPeerConnection) -> None:
    """Keep aiortc from stopping "the old transport" of a section that already uses the shared one."""
    for transceiver in pc.getTransceivers():
        transceiver._bundled = True
    if pc.sctp is not None:
        pc.sctp._bundled = True
