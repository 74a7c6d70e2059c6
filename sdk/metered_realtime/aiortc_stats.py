"""The counters of aiortc's connections: what its `getStats` tells, and what it counts without telling.

Besides `aiortc_adapter` the only file with private names of aiortc; `tests/sdk/test_aiortc_stats.py` is the contract.
Upstream gaps: an inbound report has no bytes, and mixes a stream with its retransmissions; codecs are not told.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - see above
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiortc import RTCPeerConnection, RTCRtpReceiver

from metered_realtime.aiortc_sender import sent_codec, thinned_pictures
from metered_realtime.stats import CandidatePairStats, ConnectionSample, TrackStats


@dataclass(frozen=True, slots=True)
class CountedTrack:
    """A section that sends (`send`) or receives, and the id of the track in it."""

    direction: str
    track_id: str
    transceiver: Any


class _CountingReceiver(RTCRtpReceiver):
    """A receiver that counts the payload it was given, and knows what came last."""

    _payload_bytes: int
    _payload_type: int | None

    async def _handle_rtp_packet(self, packet: Any, arrival_time_ms: int) -> None:
        self._payload_bytes += len(packet.payload)
        codec = self._RTCRtpReceiver__codecs.get(packet.payload_type)  # type: ignore[attr-defined]
        if codec is not None and not codec.mimeType.lower().endswith("/rtx"):
            self._payload_type = packet.payload_type
        await super()._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)


def count_received(receiver: Any) -> None:
    """Count from now on what this receiver is given; again it does nothing."""
    if type(receiver) is RTCRtpReceiver:
        receiver._payload_bytes, receiver._payload_type = 0, None  # type: ignore[attr-defined]
        receiver.__class__ = _CountingReceiver


async def sample(pc: RTCPeerConnection, tracks: Iterable[CountedTrack]) -> ConnectionSample:
    """Return the counters of this moment. Never waits for anything."""
    counted = [
        await _sent(track) if track.direction == "send" else _received(track)
        for track in tracks
        if track.transceiver is not None
    ]
    dtls = _dtls_transport(pc)
    if dtls is None:
        return ConnectionSample(tracks=tuple(counted))
    (transport,) = dtls._get_stats().values()
    return ConnectionSample(
        pair=_pair(dtls.transport),
        bytes_sent=transport.bytesSent,
        bytes_received=transport.bytesReceived,
        packets_sent=transport.packetsSent,
        packets_received=transport.packetsReceived,
        tracks=tuple(counted),
    )


async def _sent(track: CountedTrack) -> TrackStats:
    sender = track.transceiver.sender
    report = {stats.type: stats for stats in (await sender.getStats()).values()}
    codecs = track.transceiver._codecs
    ours, theirs = report["outbound-rtp"], report.get("remote-inbound-rtp")
    return TrackStats(
        direction="send",
        kind=ours.kind,
        track_id=track.track_id,
        codec=sent_codec(sender) or (codecs[0].mimeType if codecs else None),
        ssrc=ours.ssrc,
        bytes=ours.bytesSent,
        packets=ours.packetsSent,
        lost=max(0, theirs.packetsLost) if theirs is not None else None,
        fraction_lost=theirs.fractionLost / 256 if theirs is not None else None,
        jitter_s=theirs.jitter / codecs[0].clockRate if theirs is not None and codecs else None,
        rtt_s=theirs.roundTripTime if theirs is not None else None,
        thinned_pictures=thinned_pictures(sender),
    )


def _received(track: CountedTrack) -> TrackStats:
    receiver = track.transceiver.receiver
    repairs = receiver._RTCRtpReceiver__rtx_ssrc
    streams = [entry for entry in receiver._RTCRtpReceiver__remote_streams.items() if entry[0] not in repairs]
    # A sender that was replaced goes on under another SSRC: the newest counts.
    ssrc, stream = streams[-1] if streams else (None, None)
    codec = receiver._RTCRtpReceiver__codecs.get(getattr(receiver, "_payload_type", None))
    return TrackStats(
        direction="receive",
        kind=receiver.track.kind,
        track_id=track.track_id,
        codec=codec.mimeType if codec is not None else None,
        ssrc=ssrc,
        bytes=getattr(receiver, "_payload_bytes", 0),
        packets=stream.packets_received if stream is not None else 0,
        lost=max(0, stream.packets_lost) if stream is not None else None,
        jitter_s=stream.jitter / stream._clockrate if stream is not None else None,
    )


def _dtls_transport(pc: RTCPeerConnection) -> Any:
    for transceiver in pc.getTransceivers():
        return transceiver.receiver.transport
    return pc.sctp.transport if pc.sctp is not None else None


def _pair(ice: Any) -> CandidatePairStats | None:
    pair = getattr(ice._connection, "selected_pair", None)
    if pair is None:
        return None
    return CandidatePairStats(
        local_type=pair.local_type,
        remote_type=pair.remote_type,
        protocol=pair.protocol,
        local_address=_text(pair.local_address),
        remote_address=_text(pair.remote_address),
        rtt_s=pair.rtt_s,
    )


def _text(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
