"""The settings file of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.hub.settings import HubSettings, is_loopback, split_listen
from edged.settings_file import SettingsError, load

WHOLE = """
listen: 127.0.0.1:9000
hold_s: 0
keys:
  - key: pk_live_all
  - key: pk_live_view
    permissions: [subscribe, presence]
    channels: [farm/*]
    suspended: true
token_secrets:
  - id: sk_id_1
    secret: 0123456789abcdef
ice_servers:
  - urls: ["stun:stun.example.org"]
limits:
  messages_per_s: 0
"""


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "hub.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, HubSettings)
    return [f"{fault.path}: {fault.problem}" for fault in caught.value.faults]


def test_file_becomes_settings(tmp_path: Path):
    file = tmp_path / "hub.yaml"
    file.write_text(WHOLE)

    settings = load(file, HubSettings)

    assert settings.listen == "127.0.0.1:9000"
    assert settings.hold_s == 0
    assert [key.key.reveal() for key in settings.keys] == ["pk_live_all", "pk_live_view"]
    assert settings.keys[0].permissions == ("publish", "subscribe", "presence", "send")
    assert settings.keys[1].channels == ("farm/*",)
    assert settings.keys[1].suspended
    assert settings.token_secrets[0].secret.reveal() == "0123456789abcdef"
    assert settings.ice_servers[0].urls == ("stun:stun.example.org",)
    assert settings.limits.messages_per_s == 0
    assert settings.limits.channels == 100
    assert "pk_live" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listen: somewhere", "listen: not an address to listen at; it looks like"),
        ("keys: [{channels: [x]}]", "keys[0].key: must not be empty"),
        ("keys: [{key: pk_live_x, permissions: [fly]}]", "keys[0].permissions: 'fly' is no permission"),
        ("keys: [{key: pk_live_x, channels: ['']}]", "keys[0].channels: a pattern has 1 to 256 characters"),
        ("token_secrets: [{id: a, secret: short}]", "token_secrets[0].secret: must have at least 16 characters"),
        ("ice_servers: [{urls: ['http://x']}]", "ice_servers[0].urls: list addresses like stun:"),
        ("ice_servers: [{urls: []}]", "ice_servers[0].urls: list addresses like stun:"),
        ("limits: {message_burst: 0}", "limits.message_burst: 0 is too small"),
        ("limit: {}", "limit: unknown key; did you mean 'limits'?"),
    ],
)
def test_fault_is_one_sentence_that_says_what_is_right(tmp_path: Path, text: str, expected: str):
    [fault] = faults(tmp_path, text)
    assert fault.startswith(expected)


def test_too_many_patterns_and_ice_servers_are_faults(tmp_path: Path):
    many = "keys: [{key: pk_live_x, channels: [" + ", ".join(["x"] * 101) + "]}]\n"
    many += "ice_servers: [" + ", ".join(["{urls: ['stun:x']}"] * 17) + "]"

    assert [fault.partition(":")[0] for fault in faults(tmp_path, many)] == ["keys[0].channels", "ice_servers"]


def test_half_of_a_tls_set_up_is_a_fault(tmp_path: Path):
    (tmp_path / "cert.pem").write_text("")

    assert faults(tmp_path, "tls_cert: cert.pem") == ["tls_key: TLS needs both tls_cert and tls_key"]
    assert faults(tmp_path, "tls_key: cert.pem") == ["tls_cert: TLS needs both tls_cert and tls_key"]


def test_addresses_to_listen_at():
    assert split_listen("[::1]:80") == ("::1", 80)
    assert split_listen(":80") == ("", 80)
    assert split_listen("localhost:0") == ("localhost", 0)
    for wrong in ("127.0.0.1", "::1:80", "host:99999", "http://x:80", "a b:1", "x:y"):
        with pytest.raises(ValueError, match="it looks like"):
            split_listen(wrong)


def test_loopback_is_this_machine_only():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "::", "192.0.2.1", "example.org"))
