"""Which of the kernel's messages mean that a path may have changed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.network_messages import LIST_SEQUENCE, MAX_KNOWN, NetworkView, list_request

from .netlink import (
    DELLINK,
    DELROUTE,
    NEWADDR,
    NEWROUTE,
    REPLACE,
    RUNNING,
    TENTATIVE,
    UP,
    address_body,
    attribute,
    gone_address,
    link,
    message,
    new_address,
    route,
)

PORT = 4711


@pytest.fixture
def view() -> NetworkView:
    return NetworkView(PORT)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_counts_when_it_comes_and_when_it_goes(view, address):
    assert view.take(new_address(address))
    assert view.take(gone_address(address))
    assert not view.take(gone_address(address))


def test_an_address_announced_again_for_its_lifetime_does_not_count(view):
    assert view.take(new_address("2001:db8::7"))
    assert not view.take(new_address("2001:db8::7"))


def test_the_addresses_there_were_before_do_not_count(view):
    listed = message(NEWADDR, address_body("192.0.2.7"), flags=2, sequence=LIST_SEQUENCE, sender=PORT)
    assert not view.take(listed)
    assert not view.take(new_address("192.0.2.7"))
    assert view.take(gone_address("192.0.2.7"))


def test_an_answer_to_somebody_else_is_not_taken_for_ours(view):
    told = message(NEWADDR, address_body("192.0.2.7"), sequence=LIST_SEQUENCE, sender=PORT + 1)
    assert view.take(told)


def test_an_ipv6_address_counts_once_it_may_be_used(view):
    assert not view.take(new_address("2001:db8::7", flags=TENTATIVE))
    assert view.take(new_address("2001:db8::7"))


@pytest.mark.parametrize(("address", "scope"), [("127.0.0.77", 254), ("::1", 254), ("fe80::1", 253)])
def test_an_address_nobody_else_can_reach_does_not_count(view, address, scope):
    assert not view.take(new_address(address, scope=scope))


def test_the_same_address_on_another_link_counts(view):
    assert view.take(new_address("192.0.2.7", index=2))
    assert view.take(new_address("192.0.2.7", index=3))


@pytest.mark.parametrize("gateway", ["192.0.2.1", "fe80::1"])
def test_a_default_route_counts_when_it_comes_and_when_it_goes(view, gateway):
    assert view.take(route(NEWROUTE, gateway))
    assert not view.take(route(NEWROUTE, gateway))
    assert view.take(route(DELROUTE, gateway))


def test_a_default_route_of_before_counts_when_it_goes(view):
    assert view.take(route(DELROUTE, "192.0.2.1"))


def test_a_default_route_that_is_replaced_and_put_back_counts_twice(view):
    view.take(route(NEWROUTE, "192.0.2.1"))
    assert view.take(route(NEWROUTE, "192.0.2.2", flags=REPLACE))
    assert view.take(route(NEWROUTE, "192.0.2.1", flags=REPLACE))
    assert not view.take(route(NEWROUTE, "192.0.2.1", flags=REPLACE))


@pytest.mark.parametrize("kind", [{"prefix_bits": 24}, {"table": 1000}, {"type_": 7}])
def test_other_routes_do_not_count(view, kind):
    assert not view.take(route(NEWROUTE, "192.0.2.1", **kind))


def test_a_link_with_an_address_counts_when_its_network_goes_and_comes(view):
    view.take(new_address("192.0.2.7"))
    assert not view.take(link(flags=UP | RUNNING))
    assert view.take(link(flags=UP))
    assert not view.take(link(flags=UP))
    assert view.take(link(flags=UP | RUNNING))


def test_a_link_without_an_address_or_a_scan_does_not_count(view):
    assert not view.take(link(flags=0))
    assert not view.take(link(DELLINK))


def test_after_lost_messages_everything_is_new(view):
    view.take(new_address("192.0.2.7"))
    view.forget()
    assert view.take(new_address("192.0.2.7"))


def test_several_messages_in_one_datagram_are_all_read(view):
    assert view.take(link() + message(2, bytes(4)) + message(3, b"") + new_address("192.0.2.7"))


def test_what_is_known_is_bounded(view):
    for number in range(MAX_KNOWN + 10):
        view.take(new_address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"))
    assert len(view._addresses) == MAX_KNOWN


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes(16),
        struct.pack("=IHHII", 15, NEWADDR, 0, 0, 0),
        struct.pack("=IHHII", 4000, NEWADDR, 0, 0, 0) + bytes(8),
        message(NEWADDR, bytes(4)),
        message(NEWADDR, bytes(8)),
        message(NEWADDR, bytes(8) + struct.pack("=HH", 3, 1)),
        message(NEWADDR, bytes(8) + struct.pack("=HH", 400, 1)),
        message(NEWROUTE, bytes(4)),
        message(16, bytes(4)),
    ],
)
def test_nonsense_does_not_count(view, datagram):
    assert not view.take(datagram)


def test_a_flags_attribute_of_the_wrong_size_leaves_the_short_flags(view):
    body = address_body("2001:db8::7", flags=TENTATIVE) + attribute(8, b"x")
    assert not view.take(message(NEWADDR, body))


@given(st.binary(max_size=400))
def test_no_datagram_raises(datagram):
    NetworkView(PORT).take(datagram)


@given(st.sampled_from([16, 17, 20, 21, 24, 25]), st.binary(max_size=200))
def test_no_body_raises(kind, body):
    NetworkView(PORT).take(message(kind, body))


def test_the_request_lists_addresses_of_every_family():
    length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", list_request())
    assert (length, kind, flags, sequence) == (len(list_request()), 22, 0x301, LIST_SEQUENCE)
    assert list_request()[16:] == bytes(8)
