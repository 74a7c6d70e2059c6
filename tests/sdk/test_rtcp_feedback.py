"""Reports read from bytes: what aiortc writes is read the same, and nothing hostile raises."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from aiortc.rtp import (
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime import rtcp_feedback as rtcp
from metered_realtime.rtcp_feedback import ReportBlock, RtcpPart

REPORT = {
    "ssrc": 7, "fraction_lost": 25, "packets_lost": -3, "highest_sequence": 70_000, "jitter": 90, "lsr": 5,
    "dlsr": 65_536,
}  # fmt: skip
BLOCK = ReportBlock(7, 25, -3, 70_000, 90, 5, 65_536)


def parts(data: bytes) -> list[RtcpPart]:
    return list(rtcp.rtcp_parts(data))


def limit(bps: int, ssrcs: list[int]) -> bytes:
    return bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(bps, ssrcs)))


def test_a_compound_is_taken_apart() -> None:
    data = bytes(RtcpRrPacket(ssrc=1, reports=[RtcpReceiverInfo(**REPORT)])) + limit(1_000_000, [7])
    first, second = parts(data)
    assert (first.type, first.format, second.type, second.format) == (201, 1, 206, 15)
    assert (first.end, second.start, second.end) == (32, 32, len(data))


def test_receiver_and_sender_reports_have_the_same_blocks() -> None:
    info = RtcpSenderInfo(ntp_timestamp=1, rtp_timestamp=2, packet_count=3, octet_count=4)
    for packet in (
        RtcpRrPacket(ssrc=9, reports=[RtcpReceiverInfo(**REPORT)]),
        RtcpSrPacket(ssrc=9, sender_info=info, reports=[RtcpReceiverInfo(**REPORT)]),
    ):
        data = bytes(packet)
        (part,) = parts(data)
        assert rtcp.report_blocks(data, part) == [BLOCK]
        assert rtcp.sender_of(data, part) == 9


def test_fewer_blocks_than_promised_are_those_that_are_there() -> None:
    data = bytearray(bytes(RtcpRrPacket(ssrc=9, reports=[RtcpReceiverInfo(**REPORT)])))
    data[0] |= 0x1F
    (part,) = parts(bytes(data))
    assert rtcp.report_blocks(bytes(data), part) == [BLOCK]


@pytest.mark.parametrize("lost", [[5], [5, 6, 21], [200, 201, 216], [1, 100, 200]])
def test_a_nack_names_what_is_missing(lost: list[int]) -> None:
    data = bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=7, lost=lost))
    (part,) = parts(data)
    assert list(rtcp.missing_sequences(data, part)) == lost
    assert rtcp.media_of(data, part) == 7


@pytest.mark.parametrize("bps", [0, 1000, 262_143, 2_500_000, 1_000_000_000])
def test_a_limit_is_read_as_it_was_written(bps: int) -> None:
    data = limit(bps, [7, 8])
    (part,) = parts(data)
    read = rtcp.receiver_limit_bps(data, part)
    assert read is not None
    assert read == pytest.approx(bps, rel=0.001)
    assert rtcp.limited_streams(data, part) == [7, 8]


def test_a_limit_beyond_all_reason_is_bounded() -> None:
    data = bytearray(limit(1000, []))
    data[17] = 0xFF
    (part,) = parts(bytes(data))
    assert rtcp.receiver_limit_bps(bytes(data), part) == rtcp.MAX_BPS


def test_a_limit_cut_short_still_counts_but_names_no_streams() -> None:
    data = bytearray(limit(1000, [7]))
    data[16] = 200
    (part,) = parts(bytes(data))
    assert rtcp.receiver_limit_bps(bytes(data), part) == 1000
    assert rtcp.limited_streams(bytes(data), part) is None


def test_feedback_of_another_kind_is_no_limit() -> None:
    data = bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"ABCD\0\0\0\0"))
    (part,) = parts(data)
    assert rtcp.receiver_limit_bps(data, part) is None


def test_a_full_intra_request_names_its_streams() -> None:
    data = bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=pack("!IBxxxIBxxx", 7, 1, 8, 1)))
    (part,) = parts(data)
    assert rtcp.fir_targets(data, part) == [7, 8]


def test_padding_is_no_content() -> None:
    body = pack("!IIHH", 1, 7, 5, 0) + b"\0\0\0\4"
    data = pack("!BBH", 0xA1, 205, len(body) // 4) + body
    (part,) = parts(data)
    assert list(rtcp.missing_sequences(data, part)) == [5]
    assert (part.end, part.padded_end) == (16, 20)


def test_too_short_for_a_source_is_nobody() -> None:
    data = pack("!BBH", 0x80, 205, 0)
    (part,) = parts(data)
    assert rtcp.sender_of(data, part) == 0
    assert rtcp.media_of(data, part) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\xc9\0", pack("!BBH", 0x80, 201, 9), pack("!BBH", 0x40, 201, 0), pack("!BBHI", 0xA0, 201, 1, 255)],
)
def test_what_is_not_whole_ends_the_list(data: bytes) -> None:
    assert parts(data) == []


@given(st.binary(max_size=1500), st.sampled_from([200, 201, 205, 206]), st.integers(0, 63))
def test_nothing_hostile_raises(body: bytes, kind: int, first: int) -> None:
    body = body[: len(body) // 4 * 4]
    data = pack("!BBH", 0x80 | first, kind, len(body) // 4) + body
    for part in rtcp.rtcp_parts(data):
        found: list[Any] = [
            rtcp.report_blocks(data, part), list(rtcp.missing_sequences(data, part)), rtcp.fir_targets(data, part),
        ]  # fmt: skip
        assert all(len(each) <= 17 * len(data) / 4 for each in found)
        assert (rtcp.receiver_limit_bps(data, part) or 0) <= rtcp.MAX_BPS
        rtcp.limited_streams(data, part)
        rtcp.sender_of(data, part)
        rtcp.media_of(data, part)


def test_missing_numbers_wrap() -> None:
    data = pack("!BBHIIHH", 0x81, 205, 3, 1, 7, 65_535, 0b101)
    (part,) = parts(data)
    assert list(rtcp.missing_sequences(data, part)) == [65_535, 0, 2]
