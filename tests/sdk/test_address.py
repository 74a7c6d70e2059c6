"""Origins that are taken and refused, and the address made of them."""

from __future__ import annotations

import pytest

from metered_realtime.address import check_origin, connect_url


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("wss://rms.example", "wss://rms.example"),
        ("WSS://Host.Example:8443/", "wss://host.example:8443"),
        ("ws://localhost:7880", "ws://localhost:7880"),
        ("ws://127.0.0.1", "ws://127.0.0.1"),
        ("ws://[::1]:5", "ws://[::1]:5"),
    ],
)
def test_origins(url, origin):
    assert check_origin(url) == origin


@pytest.mark.parametrize(
    "url",
    (
        "host http://host ws://example.com wss://host/path wss://host?x=1 wss://host#f wss://h:99999 "
        "wss://user:secret-pass@host wss://[::1 ws://127.0.0.1.evil.example"
    ).split(),
)
def test_everything_else_is_refused_without_showing_a_password(url):
    with pytest.raises(ValueError) as refused:
        check_origin(url)
    assert "secret-pass" not in str(refused.value)


def test_plain_websockets_to_another_machine_need_a_word():
    assert check_origin("ws://hub.lan:7880", allow_insecure=True) == "ws://hub.lan:7880"


def test_credential_is_percent_encoded():
    assert connect_url("wss://h", api_key="a b/c") == "wss://h/v1?key=a%20b%2Fc"
    assert connect_url("wss://h", token="t+&=") == "wss://h/v1?token=t%2B%26%3D"
