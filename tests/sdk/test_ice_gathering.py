"""Gathering: every server asked at once, in the background, and what is dead costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import pytest
from aioice import stun

from metered_realtime import ice_gathering
from metered_realtime.ice_gathering import resolve
from metered_realtime.ice_servers import IceServerConfig
from tests.sdk.ice_ends import End, closing, connect, exchange, pair


class Nat(asyncio.DatagramProtocol):
    """A STUN server on the far side of a NAT: it sees everybody at `mapped`, with the port they have."""

    def __init__(self, mapped):
        self.mapped = mapped
        self.asked = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.asked += 1
        request = stun.parse_message(data)
        if self.mapped is not None:
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
            response.attributes["XOR-MAPPED-ADDRESS"] = (self.mapped, addr[1])
            self.transport.sendto(bytes(response), addr)


@contextlib.asynccontextmanager
async def stun_server(mapped):
    """Run a STUN server; with None as `mapped` it is silent. Yields it and its URL."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Nat(mapped), local_addr=("127.0.0.1", 0))
    try:
        yield server, f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_host_candidates_are_there_at_once_and_the_others_are_told_later():
    async with stun_server("203.0.113.7") as (_, url):
        (end, _other) = pair(IceServerConfig(url))
        async with closing(end, _other):
            await end.ice.gather_candidates()
            assert end.types == ["host"]
            assert end.found == []
            await end.gathered()
            reflexive, none = end.found
            assert none is None
            assert (reflexive.type, reflexive.host, reflexive.related_address) == ("srflx", "203.0.113.7", "127.0.0.1")
            assert reflexive.related_port == end.ice.local_candidates[0].port
            assert end.types == ["host", "srflx"]


async def test_every_server_is_asked_and_the_same_candidate_is_told_once():
    async with stun_server("203.0.113.7") as (one, url), stun_server("203.0.113.7") as (other, second):
        end, spare = pair(IceServerConfig([url, second]), IceServerConfig(url))
        async with closing(end, spare):
            await end.ice.gather_candidates()
            await end.gathered()
            assert (one.asked, other.asked) == (1, 1)
            assert [each.type for each in end.found if each] == ["srflx"]


async def test_an_address_that_is_not_translated_is_no_second_candidate():
    async with stun_server("127.0.0.1") as (_, url):
        end, spare = pair(IceServerConfig(url))
        async with closing(end, spare):
            await end.ice.gather_candidates()
            await end.gathered()
            assert end.found == [None]


@pytest.mark.parametrize("scheme", ["stun", "turn", "turns"])
async def test_servers_that_are_silent_refuse_or_have_no_address_cost_nothing(scheme, caplog):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, socket.socket() as refusing:
        silent.bind(("127.0.0.1", 0))
        refusing.bind(("127.0.0.1", 0))
        ports = silent.getsockname()[1], refusing.getsockname()[1]
        urls = [
            *(f"{scheme}:127.0.0.1:{port}" for port in ports),
            f"{scheme}:no.such.name.invalid",
            f"{scheme}:[::1]:9",
        ]
        one, other = pair(IceServerConfig(urls, "name", "secret"))
        async with closing(one, other):
            await connect(one, other)
            assert None not in one.found  # they are still being asked, and nobody has waited for them
            await exchange(one, other)
    assert "secret" not in caplog.text


async def test_a_dead_server_is_given_up_with_one_line(monkeypatch, caplog):
    monkeypatch.setattr(ice_gathering, "SERVER_TIMEOUT_S", 0.05)
    caplog.set_level(logging.INFO, "metered_realtime")
    async with stun_server(None) as (_, url):
        end, other = pair(IceServerConfig([url, "turn:no.such.name.invalid"], "name", "secret"))
        async with closing(end, other):
            await end.ice.gather_candidates()
            await end.gathered()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert any("no answer from the server stun 127.0.0.1" in line for line in lines)
    assert any("no candidate from the server turn no.such.name.invalid:3478 over udp" in line for line in lines)


async def test_late_candidates_are_checked_although_the_checks_have_begun():
    """Over a NAT that is nowhere: the pair is made, and what it costs is a check."""
    async with stun_server("203.0.113.7") as (_, url):
        one, other = pair(IceServerConfig(url))
        async with closing(one, other):
            await connect(one, other)
            await one.gathered()
            await other.gathered()
            await other.until(lambda: "srflx" in [each.type for each in other.ice.remote_candidates])


async def test_an_address_that_cannot_be_bound_is_left_out():
    end, other = pair(addresses=lambda: ["203.0.113.1", "127.0.0.1"])
    async with closing(end, other):
        await end.ice.gather_candidates()
        assert [each.host for each in end.ice.local_candidates] == ["127.0.0.1"]


async def test_relay_only_opens_no_socket_and_asks_no_stun_server():
    async with stun_server("203.0.113.7") as (server, url):
        end = End(IceServerConfig(url), relay_only=True)
        async with closing(end):
            await end.ice.gather_candidates()
            await end.gathered()
            assert end.ice.local_candidates == []
            assert end.ice._protocols == []
            assert server.asked == 0


async def test_a_host_without_any_network_uses_loopback(monkeypatch):
    monkeypatch.setattr(ice_gathering, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    assert ice_gathering.host_addresses() == ["127.0.0.1"]


async def test_names_are_resolved_to_one_address_of_each_family():
    assert await resolve("127.0.0.1", 5, socket.SOCK_DGRAM) == [("127.0.0.1", 5)]
    assert await resolve("::1", 5, socket.SOCK_DGRAM) == [("::1", 5)]
    found = await resolve("localhost", 5, socket.SOCK_STREAM)
    assert 1 <= len(found) <= 2
    assert ("127.0.0.1", 5) in found
    for name in ("no.such.name.invalid", "a" * 70 + ".example", "\u2024.."):
        with pytest.raises(OSError):
            await resolve(name, 5, socket.SOCK_STREAM)
