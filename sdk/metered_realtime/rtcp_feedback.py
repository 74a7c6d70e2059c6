"""What receivers of our media report, read from RTCP bytes with no object per packet. Pure; hostile input ends a list.

Receiver reports (RFC 3550 section 6.4), NACK and PLI (RFC 4585 section 6), FIR (RFC 5104), and REMB
(draft-alvestrand-rmcat-remb). Work is bounded by the size of a datagram.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

SENDER_REPORT = 200
RECEIVER_REPORT = 201
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

NACK = 1
TRANSPORT_WIDE = 15
PLI = 1
FIR = 4
APPLICATION = 15

MAX_BPS = 1 << 40
"""No report counts for more; a hostile exponent makes numbers of a hundred digits."""

_HEADER = Struct("!BBH")
_WORD = Struct("!I")
_BLOCK = Struct("!IIIIII")
_PAIR = Struct("!HH")
_FEEDBACK_BYTES = 12  # header, SSRC of the sender of the packet, SSRC of the media
_SENDER_INFO_BYTES = 20
_REMB = b"REMB"


class RtcpPart(NamedTuple):
    """One packet of a compound: where it lies, its type, and its count or feedback format. Padding is behind `end`."""

    type: int
    format: int
    start: int
    end: int
    padded_end: int


class ReportBlock(NamedTuple):
    """What was received of one stream of ours. `fraction_lost`: of 256; `jitter`: in ticks of the stream's clock.

    `lsr`, `dlsr`: middle 32 bits of the time in our last sender report, and 1/65536 s since then.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    lsr: int
    dlsr: int


def rtcp_parts(data: bytes) -> Iterator[RtcpPart]:
    """Yield the packets of a compound (RFC 3550 section 6.1) up to the first that is not whole."""
    start, size = 0, len(data)
    while start + 4 <= size:
        first, kind, words = _HEADER.unpack_from(data, start)
        end = start + 4 * (words + 1)
        if first >> 6 != 2 or end > size:
            return
        padding = data[end - 1] if first & 0x20 else 0
        if padding > end - start - 4:
            return
        yield RtcpPart(kind, first & 0x1F, start, end - padding, end)
        start = end


def report_blocks(data: bytes, part: RtcpPart) -> list[ReportBlock]:
    """Return the blocks of a sender or receiver report, as far as they are there."""
    at = part.start + 8 + (_SENDER_INFO_BYTES if part.type == SENDER_REPORT else 0)
    blocks = []
    for _ in range(min(part.format, (part.end - at) // 24)):
        ssrc, loss, highest, jitter, lsr, dlsr = _BLOCK.unpack_from(data, at)
        lost = loss & 0xFFFFFF
        lost = lost - (1 << 24) if lost & 0x800000 else lost
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, lsr, dlsr))
        at += 24
    return blocks


def sender_of(data: bytes, part: RtcpPart) -> int:
    """Return the SSRC of whoever sent the packet; 0 where it is too short to say."""
    return int(_WORD.unpack_from(data, part.start + 4)[0]) if part.end - part.start >= 8 else 0


def media_of(data: bytes, part: RtcpPart) -> int | None:
    """Return the SSRC a feedback packet is about; None where it is too short."""
    if part.end - part.start < _FEEDBACK_BYTES:
        return None
    return int(_WORD.unpack_from(data, part.start + 8)[0])


def fir_targets(data: bytes, part: RtcpPart) -> list[int]:
    """Return the SSRCs that a full intra request asks for a key frame (RFC 5104 section 4.3.1)."""
    entries = range(part.start + _FEEDBACK_BYTES, part.end - 7, 8)
    return [int(_WORD.unpack_from(data, at)[0]) for at in entries]


def missing_sequences(data: bytes, part: RtcpPart) -> Iterator[int]:
    """Yield the sequence numbers a NACK asks for, in its order (RFC 4585 section 6.2.1)."""
    for at in range(part.start + _FEEDBACK_BYTES, part.end - 3, 4):
        first, following = _PAIR.unpack_from(data, at)
        yield first
        number = first
        while following:
            number = (number + 1) & 0xFFFF
            if following & 1:
                yield number
            following >>= 1


def receiver_limit_bps(data: bytes, part: RtcpPart) -> int | None:
    """Return the bits per second of a REMB; None where it is none."""
    at = part.start + _FEEDBACK_BYTES
    if part.end - at < 8 or data[at : at + 4] != _REMB:
        return None
    exponent = data[at + 5] >> 2
    mantissa = (data[at + 5] & 0x03) << 16 | data[at + 6] << 8 | data[at + 7]
    return min(mantissa << exponent, MAX_BPS)


def limited_streams(data: bytes, part: RtcpPart) -> list[int] | None:
    """Return the SSRCs a REMB is about; None where it is cut short."""
    at = part.start + _FEEDBACK_BYTES + 8
    if part.end < at or part.end - at < 4 * data[at - 4]:
        return None
    return [int(_WORD.unpack_from(data, at + 4 * place)[0]) for place in range(data[at - 4])]
