from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.sdp import SdpError, parameter_sets, parse_sdp, resolve_control
from tests.sdk.media.h264_samples import pps, sps

SPROP = ",".join(base64.b64encode(nal).decode() for nal in (sps(), pps()))

CAMERA = f"""v=0\r
o=- 1188340656180883 1 IN IP4 192.168.1.64\r
s=Media Presentation\r
t=0 0\r
a=control:rtsp://192.168.1.64:554/Streaming/Channels/101/\r
m=video 0 RTP/AVP 96\r
c=IN IP4 0.0.0.0\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets={SPROP}\r
a=control:trackID=1\r
m=audio 0 RTP/AVP 8\r
a=control:trackID=2\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
""".encode()


def test_reads_a_camera() -> None:
    session = parse_sdp(CAMERA)
    video, audio, data = session.media
    assert session.control == "rtsp://192.168.1.64:554/Streaming/Channels/101/"
    assert (video.kind, video.protocol, video.control) == ("video", "RTP/AVP", "trackID=1")
    assert video.payload_type_of("H264") == 96
    assert video.payload_type_of("H265") is None
    assert video.formats[96]["packetization-mode"] == "1"
    assert parameter_sets(video.formats[96]) == [sps(), pps()]
    assert dict(audio.codecs) == {8: "PCMA"}
    assert dict(data.codecs) == {107: "VND.ONVIF.METADATA"}


def test_forgives_line_ends_blanks_and_a_payload_type_missing_on_the_media_line() -> None:
    session = parse_sdp(
        b"v=0\nnonsense\nm= video 0 rtp/avp x\n a=rtpmap: 97  h264 / 90000 \na=rtpmap:x y\na=recvonly\n"
    )
    assert session.media[0].payload_type_of("H264") == 97


def test_an_unnamed_dynamic_payload_type_is_named_by_its_number() -> None:
    assert dict(parse_sdp(b"m=video 0 RTP/AVP 98 26").media[0].codecs) == {98: "payload type 98", 26: "JPEG"}


def test_parameter_sets_forgive_padding_start_codes_and_rubbish() -> None:
    bare = base64.b64encode(sps()).decode().rstrip("=")
    coded = base64.b64encode(b"\x00\x00\x00\x01" + pps()).decode()
    assert parameter_sets({"sprop-parameter-sets": f"{bare}, {coded},%%%,,A"}) == [sps(), pps()]
    assert parameter_sets({}) == []


@pytest.mark.parametrize(
    ("base", "control", "url"),
    [
        ("rtsp://h/cam/", "trackID=1", "rtsp://h/cam/trackID=1"),
        ("rtsp://h/cam", "trackID=1", "rtsp://h/cam/trackID=1"),
        ("rtsp://h/cam?x=1", "trackID=1", "rtsp://h/cam?x=1/trackID=1"),
        ("rtsp://h/cam", "*", "rtsp://h/cam"),
        ("rtsp://h/cam", "", "rtsp://h/cam"),
        ("rtsp://h/cam", "rtsp://other/t", "rtsp://other/t"),
        ("rtsp://h:554/cam/a", "/abs/1", "rtsp://h:554/abs/1"),
    ],
)
def test_control_addresses(base: str, control: str, url: str) -> None:
    assert resolve_control(base, control) == url


@pytest.mark.parametrize(
    "body", [b"", b"\r\n\r\n", b"hello", b"m=video\r\n", b"v=0\r\n" * 20_000, b"m=video 0 RTP/AVP 96\r\n" * 33]
)
def test_what_is_no_description_is_the_one_error(body: bytes) -> None:
    with pytest.raises(SdpError):
        parse_sdp(body)


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(CAMERA.splitlines()), max_size=20).map(b"\n".join)))
def test_any_bytes_give_a_description_or_the_one_error(body: bytes) -> None:
    try:
        session = parse_sdp(body)
    except SdpError:
        return
    for media in session.media:
        for formats in media.formats.values():
            parameter_sets(formats)


def test_what_follows_an_encoding_name_is_kept() -> None:
    session = parse_sdp(b"v=0\r\nm=audio 0 RTP/AVP 98 0\r\na=rtpmap:98 opus/48000/2\r\n")
    assert session.media[0].parameters == {98: "48000/2"}
