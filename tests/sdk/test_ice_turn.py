"""Relays on a real coturn: over UDP, TCP and TLS, on both sides, rotated, lost, given back."""

from __future__ import annotations

import asyncio
import logging

import pytest

from metered_realtime import ice_connection as connection_module
from metered_realtime import ice_generations, ice_turn
from metered_realtime.ice_servers import IceServerConfig
from tests.sdk.ice_ends import End, Traffic, closing, connect, exchange, restart, restarted
from tests.turn import PASSWORD, coturn


@pytest.fixture
async def turn():
    async with coturn() as server:
        yield server


def relayed(turn, *transports, **options):
    """Two ends that use nothing but relays."""
    options = {"relay_only": True, "ssl_context": turn.context, **options}
    config = turn.config(*transports)
    return End(config, controlling=True, **options), End(config, **options)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_two_ends_reach_each_other_through_relays_alone(turn, transport):
    one, other = relayed(turn, transport)
    async with closing(one, other):
        await connect(one, other)
        async with Traffic(one, other) as traffic:
            while traffic.received < 200:
                await asyncio.sleep(0)
        assert traffic.missing == []
        path = one.ice.selected_pair
        assert (path.local_type, path.remote_type, path.protocol) == ("relay", "relay", transport)
        assert {each.type for each in one.ice.remote_candidates} == {"relay"}
        candidate = one.ice.local_candidates[0]
        assert (candidate.related_address, candidate.related_port) == ("0.0.0.0", 9)
    # Both allocations were given back, not left to expire.
    async with asyncio.timeout(5):
        while len(turn.log_lines("REFRESH processed, success")) < 2:
            await asyncio.sleep(0.01)


async def test_every_address_of_every_server_is_used(turn):
    configs = [turn.config("udp"), turn.config("tcp"), turn.config("tls")]
    end = End(*configs, ssl_context=turn.context, addresses=lambda: ["127.0.0.1"])
    async with closing(end):
        await end.ice.gather_candidates()
        assert end.types == ["host"]
        await end.gathered()
        assert sorted(end.types) == ["host", "relay", "relay", "relay"]
        by_priority = sorted(end.ice._protocols, key=lambda each: -each.local_candidate.priority)
        assert [each.via for each in by_priority[1:]] == ["udp", "tcp", "tls"]


async def test_a_direct_path_takes_over_from_a_relayed_one(turn):
    one, other = relayed(turn, "udp", relay_only=False, addresses=lambda: ["127.0.0.1"])
    async with closing(one, other):
        for end in (one, other):
            await end.ice.gather_candidates()
            await end.gathered()
        for here, there in ((one, other), (other, one)):
            await here.ice.set_remote(there.ice.local_username, there.ice.local_password)
            relays = [each for each in there.ice.local_candidates if each.type == "relay"]
            await here.ice.add_remote_candidate(relays[0])
        await asyncio.wait_for(asyncio.gather(one.ice.connect(), other.ice.connect()), 5)
        for here, there in ((one, other), (other, one)):
            hosts = [each for each in there.ice.local_candidates if each.type == "host"]
            await here.ice.add_remote_candidate(hosts[0])
        await one.until(lambda: one.ice.selected_pair.local_type == one.ice.selected_pair.remote_type == "host")
        await other.until(lambda: other.ice.selected_pair.local_type == "host")
        await exchange(one, other)


async def test_a_relay_nobody_uses_is_given_back(turn, monkeypatch):
    monkeypatch.setattr(connection_module, "UNUSED_RELAY_S", 0.05)
    one, other = relayed(turn, "udp", relay_only=False, addresses=lambda: ["127.0.0.1"])
    async with closing(one, other):
        for end in (one, other):
            await end.ice.gather_candidates()
            await end.gathered()
        await connect(one, other)
        async with asyncio.timeout(5):
            while any(each.local_candidate.type == "relay" for each in one.ice._protocols):
                await asyncio.sleep(0.01)
        assert "relay" not in one.types
        await exchange(one, other)


async def test_credentials_rotate_at_a_restart_while_data_flows(monkeypatch):
    monkeypatch.setattr(ice_generations, "LINGER_S", 0.05)
    async with coturn(shared_secret=True) as turn:
        first, second = turn.config("udp", name="first"), turn.config("udp", name="second")
        one, other = End(first, controlling=True, relay_only=True), End(first, relay_only=True)
        async with closing(one, other):
            await connect(one, other)
            async with Traffic(one, other) as traffic:
                for end in (one, other):
                    end.ice.update_servers([second])
                await restart(one, other, second)
                await restarted(one, other)
                while len(one.ice._protocols) + len(other.ice._protocols) > 2:
                    await asyncio.sleep(0.01)
            assert traffic.missing == []
            assert [len(end.paths) for end in (one, other)] == [2, 2]
            await exchange(one, other)
        for name in (":first>", ":second>"):
            assert len(turn.log_lines("ALLOCATE processed, success", name)) == 2
            assert len(turn.log_lines("REFRESH processed, success", name)) == 2


async def test_an_expired_credential_is_one_line_and_no_candidate(caplog):
    caplog.set_level(logging.INFO, "metered_realtime")
    async with coturn(shared_secret=True) as turn:
        config = turn.config("udp", valid_s=-10)
        end = End(config, relay_only=True)
        async with closing(end):
            await end.ice.gather_candidates()
            await end.gathered()
            assert end.found == [None]
    assert len(caplog.records) == 1
    assert "401" in caplog.text
    assert config.credential not in caplog.text


async def test_a_certificate_nobody_vouches_for_is_refused(turn, caplog):
    caplog.set_level(logging.INFO, "metered_realtime")
    end = End(turn.config("tls"), relay_only=True)
    async with closing(end):
        await end.ice.gather_candidates()
        await end.gathered()
        assert end.found == [None]
    assert "certificate" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_server_that_ends_is_a_lost_path_at_once(turn, transport):
    one, other = relayed(turn, transport)
    async with closing(one, other):
        await connect(one, other)
        await turn.child.stop()
        await one.until(lambda: "lost" in one.told)
        await one.ice.send(b"nowhere")
        assert one.ice.unsent == 1
        async with coturn() as second:
            one.ice._ssl_context = other.ice._ssl_context = second.context
            other.ice.update_servers([second.config(transport)])
            await restart(one, other, second.config(transport))
            await restarted(one, other)
            await exchange(one, other)


async def test_a_channel_is_refreshed_while_it_is_used(turn, monkeypatch):
    monkeypatch.setattr(ice_turn, "REFRESH_S", 0.1)
    monkeypatch.setattr(ice_turn, "LEAST_REFRESH_S", 0.1)
    one, other = relayed(turn, "udp")
    async with closing(one, other):
        await connect(one, other)
        async with asyncio.timeout(5):
            while len(turn.log_lines("CHANNEL_BIND processed, success")) < 6:
                await exchange(one, other)
                await asyncio.sleep(0.01)


async def test_a_server_that_forgot_the_allocation_is_a_lost_path(turn, monkeypatch):
    monkeypatch.setattr(ice_turn, "REFRESH_S", 0.1)
    monkeypatch.setattr(ice_turn, "LEAST_REFRESH_S", 0.1)
    one, other = relayed(turn, "udp")
    async with closing(one, other):
        await connect(one, other)
        await turn.child.stop()
        async with coturn(port=turn.port):
            await one.until(lambda: "lost" in one.told)


async def test_what_waits_for_a_channel_is_bounded(turn):
    end = End(turn.config("udp"), relay_only=True)
    async with closing(end):
        await end.ice.gather_candidates()
        await end.gathered()
        relay = end.ice._protocols[0].transport
        for number in range(100):
            relay.sendto(b"%d" % number, ("127.0.0.1", 9))
        assert relay.dropped == 100 - ice_turn.MAX_WAITING_DATAGRAMS
        for port in range(1, 300):
            relay.sendto(b"", ("127.0.0.2", port))
        assert len(relay._channels) == ice_turn.MAX_CHANNELS


async def test_a_server_that_talks_nonsense_is_survived():
    class Nonsense(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"\x01\x13\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x80\x28\x00\x01\x00\x00\x00\x00")
            transport.write(b"\x40\x00\xff\xff" + bytes(70000) + b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await asyncio.get_running_loop().create_server(Nonsense, "127.0.0.1", 0)
    url = f"turn:127.0.0.1:{server.sockets[0].getsockname()[1]}?transport=tcp"
    end = End(IceServerConfig(url, "name", "secret"), relay_only=True)
    async with closing(end):
        await end.ice.gather_candidates()
        await asyncio.sleep(0.05)
        assert end.ice.local_candidates == []
    server.close()
    await server.wait_closed()
