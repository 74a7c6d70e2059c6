from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtsp_auth import Authenticator, Challenge, parse_challenges

URI = "rtsp://cam/1"


def login(user: str = "Mufasa", password: str = "Circle of Life") -> Authenticator:
    return Authenticator(user, password, new_cnonce=lambda: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")


def digest(name: str, *parts: str) -> str:
    return hashlib.new(name, ":".join(parts).encode()).hexdigest()


def test_nothing_is_sent_before_the_camera_asks() -> None:
    assert login().authorization("DESCRIBE", URI) is None


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    auth = login()
    nonce, opaque = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    offer = f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}'
    assert auth.challenge([f'{offer}, nonce="{nonce}", opaque="{opaque}"'])
    value = auth.authorization("GET", "/dir/index.html")
    assert value is not None
    assert f'response="{response}"' in value
    assert "qop=auth" in value
    assert "nc=00000001" in value
    assert f"algorithm={algorithm}" in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value


def test_old_cameras_without_qop_get_the_old_digest() -> None:
    auth = login("admin", "12345")
    assert auth.challenge(['Digest realm="IP Camera", nonce="abc"'])
    value = auth.authorization("DESCRIBE", URI)
    expected = digest("md5", digest("md5", "admin", "IP Camera", "12345"), "abc", digest("md5", "DESCRIBE", URI))
    assert value == f'Digest username="admin", realm="IP Camera", nonce="abc", uri="{URI}", response="{expected}"'


def test_session_variants() -> None:
    auth = Authenticator("u", "p", new_cnonce=lambda: "c")
    auth.challenge(['Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256-sess'])
    value = auth.authorization("PLAY", URI)
    secret = digest("sha256", digest("sha256", "u", "r", "p"), "n", "c")
    expected = digest("sha256", secret, "n", "00000001", "c", "auth", digest("sha256", "PLAY", URI))
    assert value is not None
    assert f'response="{expected}"' in value


def test_a_nonce_is_used_again_with_a_rising_count() -> None:
    auth = login()
    auth.challenge(['Digest realm="r", nonce="n", qop="auth"'])
    values = [auth.authorization("OPTIONS", URI) or "" for _ in range(2)]
    assert ["nc=00000001" in values[0], "nc=00000002" in values[1]] == [True, True]


def test_basic() -> None:
    auth = login("ü", "a:b")
    assert auth.challenge(['Basic realm="cam"'])
    assert auth.authorization("DESCRIBE", URI) == "Basic " + base64.b64encode("ü:a:b".encode()).decode()


def test_the_strongest_scheme_is_taken() -> None:
    auth = login()
    assert auth.challenge(
        ['Basic realm="r"', 'Digest realm="r", nonce="1"', 'Digest realm="r", nonce="2", algorithm=SHA-256']
    )
    assert "algorithm=SHA-256" in (auth.authorization("PLAY", URI) or "")


def test_a_refused_login_is_not_sent_again() -> None:
    for challenge in ('Digest realm="r", nonce="1"', 'Basic realm="r"'):
        auth = login()
        assert auth.challenge([challenge])
        assert not auth.challenge([challenge.replace('"1"', '"2"')])


def test_a_stale_nonce_is_renewed() -> None:
    auth = login()
    auth.challenge(['Digest realm="r", nonce="1", qop="auth"'])
    assert auth.challenge(['Digest realm="r", nonce="2", qop="auth", stale=TRUE'])
    value = auth.authorization("PLAY", URI) or ""
    assert 'nonce="2"' in value
    assert "nc=00000001" in value


def test_a_login_that_worked_is_tried_once_more_with_a_new_nonce() -> None:
    auth = login()
    auth.accepted()
    auth.challenge(['Digest realm="r", nonce="1"'])
    auth.accepted()
    assert auth.challenge(['Digest realm="r", nonce="2"'])
    assert not auth.challenge(['Digest realm="r", nonce="3"'])


@pytest.mark.parametrize(
    "value", ["", "Negotiate", 'Digest realm="r"', 'Digest nonce="n", algorithm=SHA-512-256', ",,="]
)
def test_what_we_cannot_answer_is_not_answered(value: str) -> None:
    auth = login()
    assert not auth.challenge([value])
    assert auth.authorization("PLAY", URI) is None


def test_several_challenges_in_one_header_are_told_apart() -> None:
    assert parse_challenges('Digest realm="a, \\"b\\"", nonce=n , qop="auth", Basic realm="c", NTLM') == [
        Challenge("digest", {"realm": 'a, "b"', "nonce": "n", "qop": "auth"}),
        Challenge("basic", {"realm": "c"}),
        Challenge("ntlm", {}),
    ]


def test_quotes_in_a_name_cannot_break_out() -> None:
    auth = Authenticator('a"b\\c', "p")
    auth.challenge(['Digest realm="r", nonce="n"'])
    assert (auth.authorization("PLAY", URI) or "").startswith('Digest username="a\\"b\\\\c", ')


def test_it_never_shows_the_login() -> None:
    assert repr(login("admin", "secret")) == "Authenticator(***)"


@given(st.text(max_size=80))
def test_any_header_is_survived(value: str) -> None:
    parse_challenges(value)
    auth = login()
    if auth.challenge([f"Digest {value}", value]):
        assert auth.authorization("PLAY", URI)
