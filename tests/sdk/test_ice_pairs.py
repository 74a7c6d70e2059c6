"""Pairs: which are made, in which order they are worth a check, and how many at most."""

from __future__ import annotations

import pytest
from aioice import Candidate

from metered_realtime.ice_pairs import MAX_PAIRS, MAX_REMOTE_CANDIDATES, PairTable, State


class Socket:
    """A local socket as far as pairs know it."""

    def __init__(self, host, kind="host", priority=2130706431):
        self.local_candidate = Candidate("1", 1, "udp", priority, host, 1000, kind)
        self.is_closing = False


def remote(host, port=2000, kind="host", priority=2130706431, **more):
    return Candidate("2", 1, "udp", priority, host, port, kind, **more)


def table(*sockets):
    made = PairTable()
    for each in sockets:
        made.add_socket(each)
    return made


def ends(pairs):
    return [(pair.local_addr[0], pair.remote_addr[0]) for pair in pairs]


def test_each_socket_is_paired_with_each_candidate_of_its_family_in_any_order_of_arrival():
    made = table(Socket("192.0.2.1"))
    assert made.add_remote(remote("192.0.2.9"), "192.0.2.9")
    assert made.add_remote(remote("2001:db8::9"), "2001:db8::9")
    made.add_socket(Socket("2001:db8::1"))
    assert ends(made) == [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")]


def test_the_own_network_comes_first_and_relays_last():
    made = table(
        Socket("10.0.0.1", priority=2**30 + 9), Socket("192.0.2.1", priority=2**30), Socket("203.0.113.1", "relay", 1)
    )
    for host in ("198.51.100.9", "192.0.2.9"):
        made.add_remote(remote(host), host)
    ordered = sorted(made, key=lambda pair: pair.order(is_controlling=True))
    assert ends(ordered)[0] == ("192.0.2.1", "192.0.2.9")
    assert [pair.is_relayed for pair in ordered] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("1", 1, "tcp", 1, "127.0.0.1", 9, "host", tcptype="active"),
        Candidate("1", 2, "udp", 1, "127.0.0.1", 9, "host"),
        remote("somewhere"),
        remote("127.0.0.1", port=0),
        remote("127.0.0.1", port=70000),
        remote("0.0.0.0"),
        remote("224.0.0.251"),
        remote("127.0.0.1", priority=-1),
        remote("127.0.0.1", priority=2**32),
        remote("127.0.0.1", kind="odd"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_no_candidate(candidate):
    made = table(Socket("127.0.0.1"))
    assert not made.add_remote(candidate, candidate.host)
    assert not made.remote


def test_the_same_address_is_one_candidate():
    made = table(Socket("192.0.2.1"))
    assert made.add_remote(remote("192.0.2.9"), "192.0.2.9")
    assert not made.add_remote(remote("192.0.2.9", kind="srflx"), "192.0.2.9")
    assert [each.type for each in made.remote] == ["host"]


def test_a_candidate_learned_from_a_check_gets_its_facts_later_and_keeps_its_pair():
    here, relay = Socket("192.0.2.1"), Socket("203.0.113.1", "relay")
    made = table(here, relay)
    pair = made.heard(relay, ("192.0.2.9", 2000), 7)
    assert pair.remote_candidate.type == "prflx"
    assert pair.remote_candidate.priority == 7
    assert not made.add_remote(remote("192.0.2.9", kind="prflx"), "192.0.2.9")
    assert made.add_remote(remote("192.0.2.9", kind="host"), "192.0.2.9")
    assert made.heard(relay, ("192.0.2.9", 2000), 7) is pair
    assert pair.remote_candidate.type == "host"
    # It came over the relay, and may well be reached without.
    assert ends(made) == [("203.0.113.1", "192.0.2.9"), ("192.0.2.1", "192.0.2.9")]
    assert not made.add_remote(remote("192.0.2.9", kind="host"), "192.0.2.9")


def test_a_name_is_reached_at_its_address():
    made = table(Socket("192.0.2.1"))
    assert made.add_remote(remote("x.local"), "192.0.2.9")
    assert ends(made) == [("192.0.2.1", "192.0.2.9")]
    assert made.remote[0].host == "x.local"


def test_a_socket_that_is_gone_takes_its_pairs_with_it():
    here, there = Socket("192.0.2.1"), Socket("192.0.2.2")
    made = table(here, there)
    made.add_remote(remote("192.0.2.9"), "192.0.2.9")
    made.drop_socket(here)
    made.drop_socket(here)
    assert ends(made) == [("192.0.2.2", "192.0.2.9")]
    there.is_closing = True
    assert made.heard(there, ("192.0.2.8", 1), 1) is None


def test_it_is_bounded():
    sockets = [Socket(f"192.0.2.{number}") for number in range(16)]
    made = table(*sockets)
    for number in range(200):
        made.add_remote(remote("198.51.100.1", port=1 + number), "198.51.100.1")
    assert len(made.remote) == MAX_REMOTE_CANDIDATES
    assert len(list(made)) == MAX_PAIRS
    assert made.heard(sockets[0], ("198.51.100.2", 1), 1) is None


def test_stopping_a_pair_ends_its_check():
    class Check:
        def cancel(self):
            self.is_cancelled = True

    made = table(Socket("192.0.2.1"))
    made.add_remote(remote("192.0.2.9"), "192.0.2.9")
    (pair,) = made
    pair.exchange = check = Check()
    pair.stop()
    assert check.is_cancelled
    assert pair.state is State.FROZEN
