from __future__ import annotations

import pytest

from metered_realtime.media.sender_reports import RtpStart, SenderReport, read_rtp_info, read_sender_reports

# As gst-rtsp-server 1.22 sends it: a report, and an SDES with the name of the source.
COMPOUND = bytes.fromhex(
    "80c8000653843faceeaac38d113ad5bef33c6249000000750000492081ca000c53843fac011c757365723232363139303433303040"
    "686f73742d356533613062393506094753747265616d6572000000"
)
SAID = SenderReport(0x53843FAC, 0xEEAAC38D113AD5BE, 0xF33C6249)


def test_a_report_is_found_in_a_compound_packet() -> None:
    assert read_sender_reports(COMPOUND) == [SAID]
    assert read_sender_reports(COMPOUND[28:] + COMPOUND[:28]) == [SAID]


def test_receiver_blocks_behind_it_are_no_hindrance() -> None:
    assert read_sender_reports(b"\x81\xc8\x00\x0c" + COMPOUND[4:28] + bytes(24)) == [SAID]


@pytest.mark.parametrize("cut", range(28))
def test_a_report_that_is_cut_short_is_none(cut: int) -> None:
    assert read_sender_reports(COMPOUND[:cut]) == []


def test_a_report_that_ends_too_early_is_none() -> None:
    assert read_sender_reports(b"\x80\xc8\x00\x02" + bytes(8)) == []


def test_what_is_no_rtcp_is_none() -> None:
    assert read_sender_reports(b"a report") == []
    assert read_sender_reports(b"\x00" + COMPOUND[1:]) == []


def test_rtp_info_says_where_each_track_began() -> None:
    header = (
        "url=rtsp://c/cam/stream=0;seq=25983;rtptime=3820898664, url=rtsp://c/cam/stream=1;seq=1;rtptime=4080798784"
    )
    assert read_rtp_info(header) == [
        RtpStart("rtsp://c/cam/stream=0", 3820898664),
        RtpStart("rtsp://c/cam/stream=1", 4080798784),
    ]
    assert read_rtp_info('url="trackID=1" ; rtptime=7') == [RtpStart("trackID=1", 7)]


@pytest.mark.parametrize(
    "header", ["", "url=a;seq=1", "url=a;rtptime=", "url=a;rtptime=-1", "url=a;rtptime=4294967296"]
)
def test_rtp_info_without_a_time_says_nothing(header: str) -> None:
    assert read_rtp_info(header) == []
