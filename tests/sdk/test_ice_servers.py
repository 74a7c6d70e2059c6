"""ICE servers of a welcome: all or nothing."""

from __future__ import annotations

import pytest

from metered_realtime.ice_servers import IceServerConfig, parse_ice_servers


def parse(*servers):
    return parse_ice_servers({"iceServers": list(servers)})


def test_servers_are_taken_as_they_are():
    stun, turn = {"urls": "stun:a"}, {"urls": ["turn:b", "TURNS:c"], "username": "u", "credential": "p"}
    assert parse(stun, turn) == (IceServerConfig("stun:a"), IceServerConfig(["turn:b", "TURNS:c"], "u", "p"))
    assert parse() == ()


def test_secrets_that_are_not_strings_are_dropped():
    assert parse({"urls": "turn:b", "username": 5, "credential": []}) == (IceServerConfig("turn:b"),)


@pytest.mark.parametrize(
    "server",
    [
        5,
        {},
        {"urls": []},
        {"urls": "http://x"},
        {"urls": ["stun:a", 5]},
        {"urls": "stun:" + "x" * 600},
        {"urls": "stun:a", "username": "x" * 1025},
        {"urls": "stun:a", "credential": "x" * 1025},
    ],
)
def test_one_bad_entry_means_no_servers(server):
    assert parse({"urls": "stun:good"}, server) is None


@pytest.mark.parametrize("metadata", [None, {}, {"iceServers": "x"}, {"iceServers": [{"urls": "stun:a"}] * 17}])
def test_missing_or_oversized_list_means_no_servers(metadata):
    assert parse_ice_servers(metadata) is None


def test_credential_is_not_shown():
    assert "hush" not in repr(IceServerConfig("turn:b", "u", "hush"))
