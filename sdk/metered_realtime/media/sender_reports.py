"""What a camera says of its clocks: RTCP sender reports, and where its streams began (RTP-Info). Pure."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from metered_realtime.rtcp_feedback import SENDER_REPORT, rtcp_parts

# SSRC of the sender, time of day, RTP time (RFC 3550 section 6.4.1).
_INFO = Struct("!IQI")
_HEADER_BYTES = 4
_MAX_RTP_INFO = 4096
_MAX_RTP = (1 << 32) - 1


class SenderReport(NamedTuple):
    """At the time of day `ntp` (32.32 fixed point, RFC 3550 section 4) the sender's RTP clock showed `rtp`."""

    ssrc: int
    ntp: int
    rtp: int


class RtpStart(NamedTuple):
    """One entry of RTP-Info: the RTP clock `rtp` of the track at `url` when playing began."""

    url: str
    rtp: int


def read_sender_reports(data: bytes) -> list[SenderReport]:
    """Return the sender reports in a compound packet, up to what is damaged."""
    return [
        SenderReport(*_INFO.unpack_from(data, part.start + _HEADER_BYTES))
        for part in rtcp_parts(data)
        if part.type == SENDER_REPORT and part.end - part.start >= _HEADER_BYTES + _INFO.size
    ]


def read_rtp_info(value: str) -> list[RtpStart]:
    """Read the header of the answer to PLAY (RFC 2326 section 12.33); entries without an rtptime are left out."""
    starts: list[RtpStart] = []
    for entry in value[:_MAX_RTP_INFO].split(","):
        fields = dict(part.strip().partition("=")[::2] for part in entry.split(";"))
        rtp = fields.get("rtptime", "")
        if rtp.isascii() and rtp.isdecimal() and len(rtp) <= len(str(_MAX_RTP)) and int(rtp) <= _MAX_RTP:
            starts.append(RtpStart(fields.get("url", "").strip('"'), int(rtp)))
    return starts
