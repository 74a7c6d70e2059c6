"""The way in for RTCP: what receivers of our pictures report is read from the bytes, the rest goes aiortc's way.

Fills these gaps of aiortc: every report becomes objects and statistics nobody asked for (measured, 9 % of the CPU at 40
viewers), REMB is read and not used, and one that is cut short ends the whole connection. Beside `aiortc_adapter` a
place of aiortc's private names; `tests/sdk/test_aiortc_rtcp.py` is the contract.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what these files are for
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, is_rtcp
from aiortc.stats import RTCRemoteInboundRtpStreamStats

from metered_realtime import rtcp_feedback as rtcp
from metered_realtime.aiortc_reports import ntp_time
from metered_realtime.description import TRANSPORT_SEQUENCE
from metered_realtime.link_meter import LinkMeter
from metered_realtime.rtcp_feedback import ReportBlock, RtcpPart
from metered_realtime.srtp import unprotect_reports
from metered_realtime.transport_feedback import arrivals

RTT_SMOOTHING = 0.85


class LastReport(NamedTuple):
    """The last block about a stream: when it came (Unix seconds), from whom, and how many packets were sent by then."""

    at_s: float
    reporter: int
    sent_packets: int
    block: ReportBlock

    def stats(self, sender: Any) -> RTCRemoteInboundRtpStreamStats:
        """Return what aiortc would have made of it."""
        return RTCRemoteInboundRtpStreamStats(
            timestamp=datetime.fromtimestamp(self.at_s, UTC),
            type="remote-inbound-rtp",
            id=f"remote-inbound-rtp_{id(sender)}",
            ssrc=self.reporter,
            kind=sender.kind,
            transportId=sender.transport._stats_id,
            packetsReceived=self.sent_packets - self.block.lost,
            packetsLost=self.block.lost,
            jitter=self.block.jitter,
            roundTripTime=sender._RTCRtpSender__rtt,
            fractionLost=self.block.fraction_lost,
        )


def smoothed_round_trip(sender: Any, block: ReportBlock) -> float | None:
    """Bring the sender's round trip up to date (RFC 3550 section 6.4.1); None where the report does not tell it."""
    if not block.dlsr or block.lsr != sender._RTCRtpSender__lsr:
        return None
    # Not by the time of day, which may be set between the two.
    away = ((ntp_time(time.monotonic()) >> 16) - block.lsr - block.dlsr) & 0xFFFFFFFF
    rtt_s = away / 65536 if away < 1 << 31 else 0.0
    before_s = sender._RTCRtpSender__rtt
    smoothed_s = rtt_s if before_s is None else RTT_SMOOTHING * before_s + (1 - RTT_SMOOTHING) * rtt_s
    sender._RTCRtpSender__rtt = smoothed_s
    return float(smoothed_s)


class PictureFeedback(Protocol):
    """A sender that takes reports as they are."""

    def reported(self, reporter: int, block: ReportBlock) -> None:
        """The receiver's report about our stream."""

    def missing(self, sequences: Iterable[int]) -> None:
        """The receiver asks for these packets again."""

    def cannot_decode(self) -> None:
        """The receiver asks for a key frame."""


class RtcpEntrance:
    """Stands where aiortc's DTLS transport hands over the RTCP it has decrypted."""

    def __init__(self, dtls: Any, meter: LinkMeter) -> None:
        self.meter = meter
        self._dtls = dtls
        self._senders: dict[int, PictureFeedback] = {}
        self._aiortc = dtls._handle_rtcp_data

    def add(self, ssrc: int, sender: PictureFeedback) -> None:
        """Reports about this SSRC are for `sender`."""
        self._senders[ssrc] = sender

    def remove(self, ssrc: int) -> None:
        """The stream has ended."""
        self._senders.pop(ssrc, None)

    def take_early(self, datagram: bytes) -> bool:
        """Take RTCP as it comes from the socket where all of it is about pictures. False: it has to go aiortc's way.

        That way wakes a task and asks a calendar what time it is, for each datagram: as much again as all this.
        """
        dtls = self._dtls
        router, session = dtls._rtp_router, dtls._rx_srtp
        if not (len(datagram) > 1 and 127 < datagram[0] < 192 and is_rtcp(datagram)) or session is None:
            return False
        if router.receivers or router.senders.keys() != self._senders.keys():
            return False
        dtls._RTCDtlsTransport__rx_bytes += len(datagram)
        dtls._RTCDtlsTransport__rx_packets += 1
        data = unprotect_reports(session, datagram)
        for part in rtcp.rtcp_parts(data):
            if part.type == rtcp.RECEIVER_REPORT:
                self._blocks(data, part)
            elif part.type in (rtcp.TRANSPORT_FEEDBACK, rtcp.PAYLOAD_FEEDBACK):
                self._feedback(data, part)
        return True

    async def take(self, data: bytes) -> None:
        """Take what one datagram brought, decrypted."""
        for part in rtcp.rtcp_parts(data):
            if part.type == rtcp.RECEIVER_REPORT:
                for block in self._blocks(data, part):
                    await self._pass_on(rtcp.sender_of(data, part), block)
            elif part.type not in (rtcp.TRANSPORT_FEEDBACK, rtcp.PAYLOAD_FEEDBACK) or not self._feedback(data, part):
                if part.type == rtcp.SENDER_REPORT:
                    self._blocks(data, part)
                await self._aiortc(data[part.start : part.padded_end])

    async def _pass_on(self, reporter: int, block: ReportBlock) -> None:
        """Give a report about sound, or about frames, to aiortc's sender."""
        sender = self._dtls._rtp_router.senders.get(block.ssrc)
        if sender is not None:
            await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=reporter, reports=[RtcpReceiverInfo(*block)]))

    def _blocks(self, data: bytes, part: RtcpPart) -> list[ReportBlock]:
        """Hand out the blocks about pictures, and return the others."""
        blocks = rtcp.report_blocks(data, part)
        if blocks:
            self.meter.blocks(blocks)
        others = []
        for block in blocks:
            sender = self._senders.get(block.ssrc)
            if sender is not None:
                sender.reported(rtcp.sender_of(data, part), block)
            else:
                others.append(block)
        return others

    def _feedback(self, data: bytes, part: RtcpPart) -> bool:
        """Take feedback that is about pictures or the whole path. False: it is for aiortc."""
        if part.type == rtcp.TRANSPORT_FEEDBACK and part.format == rtcp.TRANSPORT_WIDE:
            found = arrivals(data, part)
            if found is not None:
                self.meter.arrived(found)
            return True
        if part.type == rtcp.PAYLOAD_FEEDBACK and part.format == rtcp.APPLICATION:
            return self._estimate(data, part)
        if part.type == rtcp.PAYLOAD_FEEDBACK and part.format == rtcp.FIR:
            targets = [self._senders[ssrc] for ssrc in rtcp.fir_targets(data, part) if ssrc in self._senders]
            for target in targets:
                target.cannot_decode()
            return bool(targets)
        sender = self._senders.get(rtcp.media_of(data, part) or 0)
        if sender is None:
            return False
        if part.type == rtcp.PAYLOAD_FEEDBACK and part.format == rtcp.PLI:
            sender.cannot_decode()
        elif part.type == rtcp.TRANSPORT_FEEDBACK and part.format == rtcp.NACK:
            sender.missing(rtcp.missing_sequences(data, part))
        return True

    def _estimate(self, data: bytes, part: RtcpPart) -> bool:
        limit_bps = rtcp.receiver_limit_bps(data, part)
        if limit_bps is None:
            return True  # aiortc knows nothing else of this kind, and fails over one cut short
        self.meter.receiver_limit(limit_bps)
        known = self._dtls._rtp_router.senders
        if len(known) == len(self._senders):
            return True
        return not any(ssrc in known and ssrc not in self._senders for ssrc in rtcp.limited_streams(data, part) or ())


def open_entrance(dtls: Any, meter: LinkMeter) -> RtcpEntrance:
    """Let RTCP of this transport come in here. Before it is connected."""
    entrance = RtcpEntrance(dtls, meter)
    dtls._handle_rtcp_data = entrance.take
    return entrance


def agree_to_transport_feedback(transceiver: Any, transport_id: int) -> None:
    """Answer an offer in whose section we only send with transport-wide feedback. After it was applied.

    For those who offer nothing else: a receiver's own estimate (goog-remb) is one report in 200 ms and nothing in the
    packets, this is a report in 50 to 100 ms and a number in each packet.
    """
    feedback = RTCRtcpFeedback(type="transport-cc")
    for codec in transceiver._codecs:
        if feedback not in codec.rtcpFeedback and not codec.mimeType.lower().endswith("/rtx"):
            codec.rtcpFeedback.append(feedback)
    extension = RTCRtpHeaderExtensionParameters(id=transport_id, uri=TRANSPORT_SEQUENCE)
    transceiver._headerExtensions = [*transceiver._headerExtensions, extension]
