"""SDP text between browsers and aiortc: candidates, order, numbers, rejected sections."""

from __future__ import annotations

import time

import pytest

from metered_realtime.description import read_description, split_sections
from metered_realtime.sdp_rewrite import (
    arrange_offer,
    drop_end_of_candidates,
    keep_usable_candidates,
    pin_numbers,
    reject_sections,
    revive_rejected,
    say_trickle,
    usable_candidate,
)

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\na=mid:0\r\na=sendonly\r\n"
VP8 = "a=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack pli\r\na=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\n"
TRANSPORT = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AA\r\na=setup:active\r\n"


# Candidates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "usable"),
    [
        ("candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host", True),
        ("1 1 UDP 2122260223 2001:db8::7 50000 typ host", True),
        ("candidate:1 1 udp 2122260223 0b1c.local 50000 typ host", False),
        ("candidate:1 1 udp 2122260223 host.example 50000 typ host", False),
        ("candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", False),
        ("candidate:1 1 udp", False),
        ("", False),
    ],
)
def test_only_udp_addresses_are_usable(candidate: str, usable: bool) -> None:
    assert usable_candidate(candidate) is usable


def test_names_and_the_end_mark_are_dropped_and_addresses_kept() -> None:
    kept = "a=candidate:1 1 udp 1 192.0.2.7 50000 typ host\r\n"
    gone = "a=candidate:2 1 udp 1 x.local 50001 typ host\r\na=end-of-candidates\r\n"
    assert keep_usable_candidates(HEAD + VIDEO + kept + gone) == HEAD + VIDEO + kept


# Arrangement ------------------------------------------------------------------------------------------


def test_every_section_says_once_that_candidates_may_come_later() -> None:
    sdp = HEAD + VIDEO + TRANSPORT + VIDEO.replace("mid:0", "mid:1") + TRANSPORT
    said = say_trickle(sdp)
    assert said.count("a=ice-pwd:p\r\na=ice-options:trickle\r\n") == 2
    assert read_description(said).trickles
    assert say_trickle(said) == said


def test_the_word_that_there_are_no_more_candidates_is_left_out() -> None:
    sdp = HEAD + VIDEO + "a=candidate:1 1 udp 1 192.0.2.7 5 typ host\r\na=end-of-candidates\r\n"
    assert drop_end_of_candidates(sdp) == sdp.replace("a=end-of-candidates\r\n", "")


def test_sections_are_put_in_order_and_renamed() -> None:
    offer = HEAD + "m=audio 9 X 0\r\na=mid:0\r\n" + "m=application 9 X\r\na=mid:1\r\n"
    arranged = arrange_offer(offer, [(1, "0"), (0, "e1")])
    assert read_description(arranged).layout == (("application", "0"), ("audio", "e1"))
    assert "a=group:BUNDLE 0 e1\r\n" in arranged


def test_an_arrangement_must_name_every_section_once() -> None:
    with pytest.raises(ValueError, match="every section"):
        arrange_offer(HEAD + VIDEO, [])


# Numbers ----------------------------------------------------------------------------------------------


def test_the_first_offer_uses_the_usual_extension_numbers() -> None:
    offer = HEAD + VIDEO + f"a=extmap:1 {MID}\r\na=extmap:3 {TIME}\r\n"
    assert pin_numbers(offer, []) == HEAD + VIDEO + f"a=extmap:9 {MID}\r\na=extmap:2 {TIME}\r\n"


def test_a_later_offer_keeps_the_extension_numbers_of_the_session() -> None:
    earlier = HEAD + VIDEO + f"a=extmap:7 {MID}\r\na=extmap:4/sendonly {LEVEL}\r\n"
    offer = HEAD + VIDEO + f"a=extmap:1 {MID}\r\na=extmap:2/sendonly {LEVEL} x\r\na=extmap:3 {TIME}\r\n"
    expected = f"a=extmap:7 {MID}\r\na=extmap:4/sendonly {LEVEL} x\r\na=extmap:2 {TIME}\r\n"
    assert pin_numbers(offer, [earlier]) == HEAD + VIDEO + expected


def test_an_extension_without_a_free_number_is_left_out() -> None:
    earlier = HEAD + VIDEO + "".join(f"a=extmap:{n} urn:x:{n}\r\n" for n in range(1, 15))
    assert TIME not in pin_numbers(HEAD + VIDEO + f"a=extmap:3 {TIME}\r\n", [earlier])


def test_codecs_keep_the_numbers_of_the_session_with_their_repair() -> None:
    earlier = HEAD + VIDEO.replace("97 98", "96 99") + VP8.replace("97", "96").replace("98", "99")
    pinned = pin_numbers(HEAD + VIDEO + VP8, [earlier])
    assert pinned == earlier


def test_a_new_codec_moves_away_from_a_number_in_use() -> None:
    earlier = HEAD + "m=audio 9 X 97\r\na=mid:0\r\na=rtpmap:97 opus/48000/2\r\n"
    pinned = pin_numbers(HEAD + VIDEO + VP8, [earlier])
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 98" in pinned
    assert "a=rtpmap:96 VP8/90000" in pinned
    assert "a=rtcp-fb:96 nack pli" in pinned
    assert "a=fmtp:98 apt=96" in pinned


def test_h264_codecs_are_told_apart_by_profile_and_packetization_not_by_level() -> None:
    lines = "a=rtpmap:{0} H264/90000\r\na=fmtp:{0} profile-level-id={1};packetization-mode={2}\r\n"
    earlier = HEAD + VIDEO + lines.format(102, "42001f", 1) + lines.format(104, "42001f", 0)
    offer = HEAD + VIDEO + lines.format(97, "420034", 1) + lines.format(98, "42e01f", 1)
    pinned = pin_numbers(offer, [earlier])
    assert "m=video 9 UDP/TLS/RTP/SAVPF 102 98" in pinned
    assert "a=fmtp:102 profile-level-id=420034" in pinned


def test_sections_without_codecs_and_static_numbers_are_left_alone() -> None:
    offer = HEAD + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n"
    offer += "m=audio 9 X 0\r\na=mid:1\r\na=rtpmap:0 PCMU/8000\r\n"
    assert pin_numbers(offer, [offer]) == offer


# Rejected sections ------------------------------------------------------------------------------------


def test_a_rejected_section_is_given_ours_inactive_over_the_transport_that_was_accepted() -> None:
    own = VIDEO + VP8 + "a=ice-ufrag:ours\r\na=setup:actpass\r\na=candidate:1 1 udp 1 192.0.2.7 1 typ host\r\n"
    answer = HEAD + "m=video 0 X 0\r\na=mid:0\r\n" + "m=audio 9 X 0\r\na=mid:1\r\n" + TRANSPORT
    revived = split_sections(revive_rejected(answer, HEAD + own))[1]
    assert revived == VIDEO.replace("sendonly", "inactive") + VP8 + TRANSPORT


def test_a_rejected_section_nobody_knows_is_left_as_it_is() -> None:
    answer = HEAD + "m=video 0 X 0\r\na=mid:7\r\n"
    assert revive_rejected(answer, HEAD + VIDEO) == answer


def test_a_description_without_rejected_sections_is_unchanged() -> None:
    assert revive_rejected(HEAD + VIDEO, HEAD + VIDEO) == HEAD + VIDEO


def test_our_answer_rejects_what_the_offer_had_rejected() -> None:
    answer = HEAD + VIDEO + VP8 + "m=audio 9 X 0\r\na=mid:1\r\n"
    rejected = reject_sections(answer, ["0"])
    assert read_description(rejected).sections[0].is_rejected
    assert not read_description(rejected).sections[1].is_rejected
    assert "a=group:BUNDLE 1\r\n" in rejected
    assert reject_sections(answer, []) == answer


def test_a_long_line_of_a_hostile_description_costs_no_time() -> None:
    held = HEAD + VIDEO + VP8 + "a=fmtp:97 x=" + " " * 60_000 + "y\r\n"
    started_s = time.process_time()
    assert pin_numbers(HEAD + VIDEO + VP8, [held]) == HEAD + VIDEO + VP8
    assert time.process_time() - started_s < 1.0  # it took 40 s with a search that looks for the end of every blank


def test_blanks_at_the_end_of_a_codec_line_are_no_part_of_its_name() -> None:
    held = HEAD + VIDEO.replace("97 98", "120") + "a=rtpmap:120 VP8/90000 \t\r\n"
    assert "a=rtpmap:120 VP8/90000\r\n" in pin_numbers(HEAD + VIDEO + VP8, [held])
