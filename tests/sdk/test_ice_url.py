"""Which addresses of STUN and TURN servers are understood, and which are asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.ice_url import MAX_SERVERS_ASKED, MAX_URLS_ASKED, IceUrl, list_asks, parse_ice_url

TURN = {"username": "u", "credential": "secret"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("stun:stun.example.com", IceUrl("stun", "stun.example.com", 3478, "udp")),
        ("STUN:192.0.2.1:19302", IceUrl("stun", "192.0.2.1", 19302, "udp")),
        ("stun:[2001:db8::1]:3479", IceUrl("stun", "2001:db8::1", 3479, "udp")),
        ("turn:turn.example.com", IceUrl("turn", "turn.example.com", 3478, "udp")),
        ("turn:turn.example.com:80?transport=udp", IceUrl("turn", "turn.example.com", 80, "udp")),
        ("turn:turn.example.com:80?transport=TCP", IceUrl("turn", "turn.example.com", 80, "tcp")),
        ("turn:[::1]?transport=tcp", IceUrl("turn", "::1", 3478, "tcp")),
        ("turns:turn.example.com", IceUrl("turn", "turn.example.com", 5349, "tls")),
        ("turns:turn.example.com:443?transport=tcp", IceUrl("turn", "turn.example.com", 443, "tls")),
    ],
)
def test_an_address_is_read(text, url):
    assert parse_ice_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stun:",
        "stuns:a",
        "turns:a?transport=udp",
        "turn:a:0",
        "turn:a:70000",
        "turn:a b",
        "http:a",
        "turn:[::1",
        "x",
    ],
)
def test_what_cannot_be_used_is_none(text):
    assert parse_ice_url(text) is None


@given(st.text(max_size=40).map(lambda tail: "turn:" + tail))
def test_nothing_raises(text):
    parse_ice_url(text)


def test_all_addresses_of_all_servers_are_asked_once_each():
    servers = [
        IceServerConfig("stun:a"),
        IceServerConfig(["stun:a", "turn:b", "turn:b?transport=tcp", "turns:b", "nonsense"], **TURN),
        IceServerConfig("turn:without.credential"),
    ]
    asked = [(str(ask.url), ask.username) for ask in list_asks(servers)]
    assert asked == [
        ("stun a:3478 over udp", None),
        ("turn b:3478 over udp", "u"),
        ("turn b:3478 over tcp", "u"),
        ("turn b:5349 over tls", "u"),
    ]


def test_a_relay_only_client_asks_no_stun_server():
    servers = [IceServerConfig(["stun:a", "turn:b"], **TURN)]
    assert [ask.url.kind for ask in list_asks(servers, relay_only=True)] == ["turn"]


def test_there_is_a_limit():
    assert len(list_asks([IceServerConfig([f"stun:{n}" for n in range(100)])])) == MAX_URLS_ASKED
    assert len(list_asks([IceServerConfig(f"stun:{n}") for n in range(100)])) == MAX_SERVERS_ASKED


def test_a_credential_is_not_shown():
    assert "secret" not in repr(list_asks([IceServerConfig("turn:a", **TURN)]))
