from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtsp_message import (
    Interleaved,
    RtspFormatError,
    RtspItem,
    RtspParser,
    RtspRequest,
    RtspResponse,
    UdpPath,
    encode_request,
    encode_response,
    parse_interleaved,
    parse_session,
    parse_udp,
)

ANSWER = (
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Type: application/sdp\r\nWWW-Authenticate: Basic\r\n"
    b"www-authenticate: Digest\r\nContent-Length: 4\r\n\r\nv=0\n"
)
FRAME = b"$\x02\x00\x03abc"
ASKED = b"GET_PARAMETER rtsp://h/cam RTSP/1.0\r\nCSeq: 9\r\n\r\n"
STREAM = ANSWER + FRAME + b"\r\n" + ASKED + FRAME + b"RTSP/1.0 454 Session Not Found\r\n\r\n"


def check(items: list[RtspItem]) -> None:
    answer, frame, asked, again, refused = items
    assert isinstance(answer, RtspResponse)
    assert (answer.status, answer.reason, answer.cseq, answer.body) == (200, "OK", 3, b"v=0\n")
    assert answer.headers.get("Content-type") == "application/sdp"
    assert answer.headers.get("x-none", "nothing") == "nothing"
    assert answer.headers.all("WWW-Authenticate") == ["Basic", "Digest"]
    assert frame == again == Interleaved(2, b"abc")
    assert isinstance(asked, RtspRequest)
    assert (asked.method, asked.uri, asked.cseq, asked.body) == ("GET_PARAMETER", "rtsp://h/cam", 9, b"")
    assert isinstance(refused, RtspResponse)
    assert (refused.status, refused.reason, refused.cseq) == (454, "Session Not Found", None)


def test_reads_answers_requests_and_frames_from_one_stream() -> None:
    check(RtspParser().receive_data(STREAM))


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_where_the_stream_is_cut(cuts: list[int]) -> None:
    parser = RtspParser()
    places = [0, *sorted(cuts), len(STREAM)]
    check([item for a, b in pairwise(places) for item in parser.receive_data(STREAM[a:b])])


def test_folded_header_lines_are_joined_and_lines_without_colon_passed_over() -> None:
    item = RtspParser().receive_data(b"RTSP/1.0 200 OK\r\nPublic: PLAY,\r\n SETUP\r\nnonsense\r\n\r\n")[0]
    assert isinstance(item, RtspResponse)
    assert item.headers.get("public") == "PLAY, SETUP"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"),
        (b"\x00\x01binary", "neither"),
        (b"what is this\r\n\r\n", "neither"),
        (b"RTSP/1.0 OK\r\n\r\n", "no status code"),
        (b"RTSP/1.0 99 Low\r\n\r\n", "no status code"),
        (b"A" * 17_000, "longer than"),
        (b"RTSP/1.0 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "header fields"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", "a body of"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "a body of"),
    ],
)
def test_what_is_not_rtsp_is_the_one_error(data: bytes, says: str) -> None:
    with pytest.raises(RtspFormatError, match=says):
        RtspParser().receive_data(data)


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([ANSWER, FRAME, ASKED, b"$", b"\r\n", b"RTSP/1.0 "])))
)
def test_any_bytes_give_items_or_the_one_error(pieces: list[bytes]) -> None:
    parser = RtspParser()
    try:
        for piece in pieces:
            parser.receive_data(piece)
    except RtspFormatError:
        return


def test_requests_and_answers_are_written() -> None:
    assert encode_request("PLAY", "rtsp://h/cam", 4, {"Session": "1"}) == (
        b"PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 4\r\nSession: 1\r\n\r\n"
    )
    assert encode_response(200, "OK", None, {}) == b"RTSP/1.0 200 OK\r\n\r\n"
    assert encode_response(501, "Not Implemented", 2, {}).startswith(b"RTSP/1.0 501 Not Implemented\r\nCSeq: 2\r\n")


def test_a_line_break_cannot_be_smuggled_in() -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_request("PLAY", "rtsp://h/\r\nX: 1", 1, {})


@pytest.mark.parametrize(
    ("value", "session"),
    [
        ("12345678;timeout=30", ("12345678", 30.0)),
        ("abc ; Timeout = 90 ;x", ("abc", 90.0)),
        ("abc", ("abc", 60.0)),
        ("abc;timeout=0", ("abc", 60.0)),
        ("abc;timeout=soon", ("abc", 60.0)),
        ("", ("", 60.0)),
    ],
)
def test_session_header(value: str, session: tuple[str, float]) -> None:
    assert parse_session(value) == session


@pytest.mark.parametrize(
    ("value", "channels"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1", (0, 1)),
        ("rtp/avp/tcp;interleaved=4", (4, 5)),
        ("RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=2-3", (2, 3)),
        ("RTP/AVP;unicast;client_port=5000-5001", None),
        ("RTP/AVP/TCP;unicast", None),
        ("RTP/AVP/TCP;interleaved=900-901", None),
        ("", None),
    ],
)
def test_transport_header(value: str, channels: tuple[int, int] | None) -> None:
    assert parse_interleaved(value) == channels


@pytest.mark.parametrize(
    ("transport", "path"),
    [
        ("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001", UdpPath((6000, 6001), None)),
        ("RTP/AVP/UDP;unicast;source=192.168.1.9;server_port=6000", UdpPath((6000, 6001), "192.168.1.9")),
        ("rtp/avp;unicast;server_port=0-1;source=", UdpPath(None, None)),
        ("RTP/AVP;unicast;server_port=99999-7", UdpPath(None, None)),
        ("RTP/AVP/TCP;interleaved=0-1", None),
        ("RTP/AVP;multicast;port=5000-5001", None),
        ("", None),
    ],
)
def test_the_cameras_side_of_udp_is_read(transport: str, path: UdpPath | None) -> None:
    assert parse_udp(transport) == path
