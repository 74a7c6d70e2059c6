"""ICE servers of a welcome: all or nothing."""

from __future__ import annotations

import pytest

from metered_realtime.ice_servers import MAX_SERVERS, IceServerConfig, check_ice_servers, parse_ice_servers


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


def test_servers_of_the_application_are_taken_as_they_are():
    servers = [IceServerConfig("stun:a"), IceServerConfig(["turn:b"], "u", "p")]
    assert check_ice_servers(servers) == tuple(servers)
    assert check_ice_servers(None) == ()


@pytest.mark.parametrize(
    ("servers", "error"),
    [
        ([{"urls": "stun:a"}], TypeError),
        ([IceServerConfig("http://a")], ValueError),
        ([IceServerConfig([])], ValueError),
        ([IceServerConfig("stun:a")] * (MAX_SERVERS + 1), ValueError),
    ],
)
def test_what_cannot_be_a_server_is_refused_at_the_call(servers, error):
    with pytest.raises(error):
        check_ice_servers(servers)
