from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtsp_errors import RtspUrlError
from metered_realtime.media.rtsp_url import parse_rtsp_url


def test_takes_an_address_apart() -> None:
    url = parse_rtsp_url(" RTSP://admin:p%40ss:word@192.168.1.20:8554/Streaming/101?transport=tcp ")
    assert (url.scheme, url.host, url.port, url.path) == (
        "rtsp", "192.168.1.20", 8554, "/Streaming/101?transport=tcp",
    )  # fmt: skip
    assert (url.username, url.password) == ("admin", "p@ss:word")
    assert url.request_uri == "rtsp://192.168.1.20:8554/Streaming/101?transport=tcp"
    assert url.address == "192.168.1.20:8554"


def test_the_ports_of_the_schemes_are_known() -> None:
    assert parse_rtsp_url("rtsp://cam").request_uri == "rtsp://cam:554"
    assert parse_rtsp_url("rtsps://cam?a").port == 322


def test_an_unencoded_at_sign_in_the_password_is_understood() -> None:
    url = parse_rtsp_url("rtsp://admin:p@ss@cam/1")
    assert (url.host, url.password) == ("cam", "p@ss")


def test_ipv6() -> None:
    url = parse_rtsp_url("rtsp://user@[fe80::1]:8554/x")
    assert (url.host, url.port, url.username, url.password) == ("fe80::1", 8554, "user", None)
    assert url.request_uri == "rtsp://[fe80::1]:8554/x"


def test_showing_an_address_never_shows_the_login() -> None:
    url = parse_rtsp_url("rtsp://admin:secret@cam/1")
    assert "admin" not in repr(url)
    assert "secret" not in repr(url)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://cam/1", "begins with rtsp://"),
        ("cam/1", "begins with rtsp://"),
        ("rtsp:///1", "names no host"),
        ("rtsp://secret@/1", "names no host"),
        ("rtsp://cam:port/1", "from 1 to 65535"),
        ("rtsp://cam:65536/1", "from 1 to 65535"),
        ("rtsp://cam:0/1", "from 1 to 65535"),
        ("rtsp://secret@[fe80::1/x", "is written like"),
        ("rtsp://secret@[fe80::1]554/x", "is written like"),
        ("rtsp://secret@a..b/1", "is no host name"),
        ("rtsp://" + "a" * 64 + "/1", "is no host name"),
        ("rtsp://cam/a b", "a space"),
        ("rtsp://cam/a\r\nX: 1", "another character"),
        ("rtsp://cam/" + "a" * 3000, "another character"),
    ],
)
def test_what_is_wrong_is_said_without_the_address(text: str, says: str) -> None:
    with pytest.raises(RtspUrlError, match=says) as caught:
        parse_rtsp_url(text)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_gives_an_address_or_the_one_error(text: str) -> None:
    for candidate in (text, f"rtsp://{text}"):
        try:
            url = parse_rtsp_url(candidate)
        except RtspUrlError:
            continue
        assert "\n" not in url.request_uri
        url.host.encode("idna")
