from __future__ import annotations

import pytest

from metered_realtime.media.rtsp_errors import (
    RtspAuthError,
    RtspNotFoundError,
    RtspNoVideoError,
    RtspProtocolError,
    RtspTransportError,
)
from metered_realtime.media.rtsp_handshake import (
    agreed_channels,
    agreed_udp,
    choose_audio,
    choose_video,
    is_redirect,
    offered_codecs,
    redirect_target,
    refusal,
    shown,
)
from metered_realtime.media.rtsp_message import RtspHeaders, RtspResponse
from metered_realtime.media.rtsp_url import parse_rtsp_url
from tests.sdk.media.test_sdp import CAMERA

URL = parse_rtsp_url("rtsp://admin:secret@cam:554/user=admin&password=hunter2&channel=1?key=abc")


def answer(status: int = 200, body: bytes = b"", reason: str = "OK", **headers: str) -> RtspResponse:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return RtspResponse(status, reason, RtspHeaders(fields), body, 1)


def test_a_path_is_shown_without_login_and_query() -> None:
    assert shown(URL) == "/user=***&password=***&channel=1"
    assert shown(parse_rtsp_url("rtsp://cam")) == "/"


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (404, RtspNotFoundError, "has no stream at /user=\\*\\*\\*&password=\\*\\*\\*&channel=1: check the path"),
        (403, RtspAuthError, "does not let this login see"),
        (461, RtspTransportError, "does not send its video over TCP"),
        (453, RtspProtocolError, "is busy"),
        (503, RtspProtocolError, "is busy"),
        (500, RtspProtocolError, "answered SETUP with 500 OK"),
    ],
)
def test_every_refusal_is_a_sentence(status: int, kind: type[Exception], says: str) -> None:
    error = refusal("SETUP", answer(status), URL)
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error
    assert "hunter2" not in str(error)
    assert "secret" not in str(error)


def test_a_success_is_no_refusal() -> None:
    assert refusal("SETUP", answer(200), URL) is None


def test_control_characters_of_a_reason_stay_out_of_the_log() -> None:
    assert str(refusal("PLAY", answer(500, reason="a\x1b[31m\nb"), URL)).endswith("answered PLAY with 500 a[31mb")


def test_redirects_need_a_place_to_go() -> None:
    assert is_redirect(answer(302, location="rtsp://other/1"))
    assert not is_redirect(answer(302))
    assert not is_redirect(answer(200, location="rtsp://other/1"))


def test_all_that_is_offered_is_listed_for_people() -> None:
    body = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\nm=audio 0 RTP/AVP 8 0\r\n"
    assert offered_codecs(answer(body=body)) == (("video", "H265"), ("audio", "PCMA"), ("audio", "PCMU"))
    assert offered_codecs(answer(body=b"")) == ()


def test_a_redirect_leads_elsewhere_or_to_another_path_of_the_same_camera() -> None:
    assert redirect_target("rtsps://other:322/1", URL).request_uri == "rtsps://other:322/1"
    assert redirect_target("/live/2", URL).request_uri == "rtsp://cam:554/live/2"
    with pytest.raises(RtspProtocolError, match="redirects to an address that cannot be used"):
        redirect_target("http://other/1", URL)


def test_the_transport_that_was_refused_is_named() -> None:
    assert "over TCP or UDP" in str(refusal("SETUP", answer(461), URL, transport="TCP or UDP"))


def test_the_camera_tells_its_side_of_udp() -> None:
    told = agreed_udp(answer(transport="RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001"), URL)
    assert told.server_ports == (6000, 6001)
    assert agreed_udp(answer(), URL).server_ports is None
    with pytest.raises(RtspTransportError, match="over UDP"):
        agreed_udp(answer(transport="RTP/AVP/TCP;interleaved=0-1"), URL)


def test_the_video_track_is_found_with_its_addresses() -> None:
    track = choose_video(answer(body=CAMERA), URL)
    assert track.session_url == "rtsp://192.168.1.64:554/Streaming/Channels/101/"
    assert track.control_url == "rtsp://192.168.1.64:554/Streaming/Channels/101/trackID=1"
    assert track.payload_type == 96
    assert len(track.parameter_sets) == 2


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"content_base": "rtsp://cam:554/x/"}, "rtsp://cam:554/x/"),
        ({"content_location": "rtsp://cam:554/y"}, "rtsp://cam:554/y"),
        ({"content_base": "/relative/"}, "rtsp://cam:554/1"),
        ({}, "rtsp://cam:554/1"),
    ],
)
def test_relative_addresses_start_from_the_content_base(headers: dict[str, str], base: str) -> None:
    body = b"v=0\na=control:*\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:trackID=0\n"
    track = choose_video(answer(body=body, **headers), parse_rtsp_url("rtsp://cam/1"))
    assert track.session_url == base
    assert track.control_url == base + ("" if base.endswith("/") else "/") + "trackID=0"


@pytest.mark.parametrize(
    ("body", "codecs", "says"),
    [
        (
            b"m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\nm=audio 0 RTP/AVP 8\n",
            ("H265", "PCMA"),
            "sends H265, not H264",
        ),
        (b"m=video 0 RTP/AVP 26\n", ("JPEG",), "sends JPEG, not H264"),
        (b"m=audio 0 RTP/AVP 8\n", ("PCMA",), "sends no video at /user=.*, only PCMA"),
        (b"v=0\n", (), "describes no video"),
    ],
)
def test_a_camera_without_h264_says_what_it_has(body: bytes, codecs: tuple[str, ...], says: str) -> None:
    with pytest.raises(RtspNoVideoError, match=says) as caught:
        choose_video(answer(body=body), URL)
    assert caught.value.codecs == codecs


def test_a_description_of_no_use_is_a_protocol_error() -> None:
    with pytest.raises(RtspProtocolError, match="does not describe its stream"):
        choose_video(answer(), URL)
    interleaved = b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=2\n"
    with pytest.raises(RtspProtocolError, match="interleaved mode"):
        choose_video(answer(body=interleaved), URL)


def test_the_camera_chooses_the_channels() -> None:
    assert agreed_channels(answer(transport="RTP/AVP/TCP;interleaved=6-7"), URL, (0, 1)) == (6, 7)
    assert agreed_channels(answer(transport="RTP/AVP/TCP;unicast"), URL, (0, 1)) == (0, 1)
    assert agreed_channels(answer(), URL, (0, 1)) == (0, 1)
    with pytest.raises(RtspProtocolError, match="not send its video over TCP"):
        agreed_channels(answer(transport="RTP/AVP;unicast;client_port=1-2"), URL, (0, 1))


def test_the_first_sound_that_can_be_used_is_chosen() -> None:
    body = (
        b"v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"
        b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\na=control:a1\r\n"
        b"m=audio 0 RTP/AVP 98\r\na=rtpmap:98 opus/48000/2\r\na=control:a2\r\n"
    )
    track = choose_audio(answer(body=body, content_base="rtsp://cam:554/live/"), URL)
    assert track is not None
    assert (track.control_url, track.payload_type) == ("rtsp://cam:554/live/a2", 98)
    assert (track.format.codec, track.format.channels) == ("OPUS", 2)


def test_no_sound_is_no_fault() -> None:
    assert choose_audio(answer(body=b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"), URL) is None
    assert choose_audio(answer(body=b""), URL) is None
    assert choose_audio(answer(body=b"v=0\r\nm=audio 0 RTP/AVP 99\r\n"), URL) is None
