"""Facts read from session descriptions, friendly and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.description import (
    MAX_SDP_CHARS,
    MAX_SECTIONS,
    DescriptionError,
    Section,
    read_credentials,
    read_description,
    split_sections,
)

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"


def section(kind: str = "audio", mid: str = "0", *lines: str, port: int = 9) -> str:
    return "\r\n".join([f"m={kind} {port} UDP/TLS/RTP/SAVPF 96", f"a=mid:{mid}", *lines, ""])


def test_sections_in_order_with_direction_and_ids() -> None:
    facts = read_description(
        HEAD
        + section("audio", "0", "a=sendonly", "a=msid:stream track", "a=ice-ufrag:abcd", "a=fingerprint:sha-256 AA:BB")
        + section("video", "e1", "a=inactive")
        + section("application", "2")
    )
    assert facts.sections == (
        Section("audio", "0", "sendonly", stream_id="stream", track_id="track"),
        Section("video", "e1", "inactive"),
        Section("application", "2"),
    )
    assert facts.layout == (("audio", "0"), ("video", "e1"), ("application", "2"))
    assert (facts.ufrag, facts.fingerprint) == ("abcd", "sha-256 aa:bb")
    assert facts.channel_mid == "2"
    assert [each.is_sending for each in facts.sections] == [True, False, False]


def test_no_direction_means_both_ways_and_lines_may_end_in_lf_alone() -> None:
    facts = read_description((HEAD + section()).replace("\r\n", "\n"))
    assert facts.sections == (Section("audio", "0", "sendrecv"),)


def test_a_dash_is_no_stream() -> None:
    (only,) = read_description(HEAD + section("audio", "0", "a=msid:- track")).sections
    assert (only.stream_id, only.track_id) == (None, "track")


def test_ids_of_old_senders_are_found_at_their_ssrc() -> None:
    (only,) = read_description(HEAD + section("audio", "0", "a=ssrc:1 msid:stream track")).sections
    assert (only.stream_id, only.track_id) == ("stream", "track")


def test_oversized_ids_are_as_none() -> None:
    (only,) = read_description(HEAD + section("audio", "0", f"a=msid:{'s' * 257} track")).sections
    assert (only.stream_id, only.track_id) == (None, None)


def test_port_zero_rejects_unless_it_waits_for_its_bundle() -> None:
    facts = read_description(
        HEAD + section("audio", "0", port=0) + section("video", "1", "a=bundle-only", "a=sendonly", port=0)
    )
    assert [each.is_rejected for each in facts.sections] == [True, False]
    assert [each.is_sending for each in facts.sections] == [False, True]


def test_a_rejected_channel_is_no_channel() -> None:
    assert read_description(HEAD + section("application", "0", port=0)).channel_mid is None


def test_credentials_at_session_level_count() -> None:
    facts = read_description(HEAD + "a=ice-ufrag:head\r\na=fingerprint:sha-256 CC\r\n" + section())
    assert (facts.ufrag, facts.fingerprint) == ("head", "sha-256 cc")


def credentials(ufrag: str, fingerprint: str = "sha-256 AA", *more: str) -> str:
    return HEAD + section(
        "audio", "0", f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:of {ufrag}", f"a=fingerprint:{fingerprint}", *more
    )


def test_a_restart_has_new_credentials_the_same_keys_and_the_same_sections_first() -> None:
    before = read_description(credentials("u"))
    assert read_description(credentials("v")).is_restart_of(before)
    assert read_description(credentials("v") + section("video", "1")).is_restart_of(before)
    assert not before.is_restart_of(before)
    assert not read_description(credentials("v", "sha-256 BB")).is_restart_of(before)
    assert not before.is_restart_of(read_description(credentials("v") + section("video", "1")))
    bare = read_description(HEAD + section())
    assert not read_description(HEAD + section("audio", "0", "a=ice-ufrag:v")).is_restart_of(bare)


@pytest.mark.parametrize(
    ("line", "trickles"),
    [("a=ice-options:trickle", True), ("a=ice-options:ice2 trickle", True), ("a=ice-options:no-trickle", False)],
)
def test_who_trickles_says_so(line: str, trickles: bool) -> None:
    assert read_description(HEAD + section("audio", "0", line)).trickles is trickles
    assert read_description(HEAD.replace("a=group", f"{line}\r\na=group") + section()).trickles is trickles


def test_sections_stay_where_they_are_unless_they_were_given_up() -> None:
    one = read_description(HEAD + section("audio", "0") + section("video", "1"))
    assert one.continues(one)
    assert read_description(HEAD + section("audio", "0") + section("video", "1") + section("video", "2")).continues(one)
    assert not read_description(HEAD + section("audio", "0")).continues(one)
    assert not read_description(HEAD + section("video", "1") + section("audio", "0")).continues(one)
    stopped = read_description(HEAD + section("audio", "0", port=0) + section("video", "1"))
    assert read_description(HEAD + section("video", "2") + section("video", "1")).continues(stopped)


def test_credentials_are_read_from_a_section_or_the_whole() -> None:
    assert read_credentials(HEAD + section("audio", "0", "a=ice-ufrag:u", "a=ice-pwd:p")) == ("u", "p")
    assert read_credentials(HEAD + "a=ice-ufrag:u\r\na=ice-pwd:p\r\n" + section()) == ("u", "p")
    assert read_credentials(HEAD + section()) == ("", "")


def test_same_session_means_same_credentials() -> None:
    one = read_description(HEAD + section("audio", "0", "a=ice-ufrag:a", "a=fingerprint:sha-256 A"))
    moved = read_description(HEAD + section("audio", "0", "a=ice-ufrag:b", "a=fingerprint:sha-256 A"))
    assert one.is_same_session(one)
    assert not one.is_same_session(moved)


@pytest.mark.parametrize(
    ("sdp", "word"),
    [
        ("", "no media section"),
        (HEAD, "no media section"),
        (HEAD + "x" * MAX_SDP_CHARS, "characters"),
        (HEAD + "m=audio 9 RTP 0\r\n", "mid"),
        (HEAD + "m=audio nine RTP 0\r\na=mid:0\r\n", "mid"),
        (HEAD + section("audio", "m" * 257), "mid"),
        (HEAD + section() + section(), "same mid"),
        (HEAD + "".join(section("audio", str(n)) for n in range(MAX_SECTIONS + 1)), "media sections"),
    ],
)
def test_unusable_descriptions_are_refused_in_one_sentence(sdp: str, word: str) -> None:
    with pytest.raises(DescriptionError, match=word) as refused:
        read_description(sdp)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for sdp in (text, HEAD + text, HEAD + section() + text):
        try:
            read_description(sdp)
        except DescriptionError:
            continue


def test_splitting_keeps_every_character() -> None:
    sdp = HEAD + section() + section("video", "1")
    assert "".join(split_sections(sdp)) == sdp
    assert len(split_sections(sdp)) == 3


NUMBERED = "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


@pytest.mark.parametrize(
    ("lines", "transport_id"),
    [
        ([NUMBERED, "a=rtcp-fb:96 transport-cc", "a=rtcp-fb:97 transport-cc"], 4),
        ([NUMBERED.replace(":4 ", ":4/sendonly "), "a=rtcp-fb:* transport-cc"], 4),
        ([NUMBERED, "a=rtcp-fb:96 transport-cc", "a=rtcp-fb:96 goog-remb"], None),
        ([NUMBERED, "a=rtcp-fb:96 nack"], None),
        (["a=rtcp-fb:96 transport-cc"], None),
        ([NUMBERED.replace(":4 ", ":15 "), "a=rtcp-fb:96 transport-cc"], None),
        ([NUMBERED.replace(":4 ", ":444 "), "a=rtcp-fb:96 transport-cc"], None),
    ],
)
def test_feedback_about_the_whole_transport_counts_where_there_is_no_other(
    lines: list[str], transport_id: int | None
) -> None:
    sdp = "\r\n".join(["v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96 97", "a=mid:0", *lines, ""])
    (section,) = read_description(sdp).sections
    assert section.transport_id == transport_id
