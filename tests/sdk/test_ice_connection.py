"""IceConnection between two ends on loopback, under aiortc and against aioice; bounds, endings, private names."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path

import aioice
import pytest
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCIceGatherer, RTCIceParameters, RTCIceTransport

from metered_realtime import ice_connection
from metered_realtime.ice_servers import IceServerConfig
from tests.sdk.ice_ends import (
    End,
    closing,
    connect,
    exchange,
    pair,
    restart,
    stock_connect,
)


async def test_two_ends_connect_and_data_goes_both_ways():
    one, other = End(controlling=True), End()
    async with closing(one, other):
        await connect(one, other)
        await exchange(one, other)
        assert [(path.local_type, path.remote_type, path.protocol) for path in one.paths] == [("host", "host", "udp")]
        assert one.ice.selected_pair.local_address == other.ice.selected_pair.remote_address
        assert one.ice.selected_pair.rtt_s < 1


async def test_connecting_needs_candidates_and_credentials():
    one, other = pair()
    async with closing(one, other):
        with pytest.raises(ConnectionError, match="gathering"):
            await one.ice.connect()
        await one.ice.gather_candidates()
        with pytest.raises(ConnectionError, match="missing"):
            await one.ice.connect()
        with pytest.raises(ValueError, match="credentials"):
            await one.ice.set_remote("abcd", "too short")
        for call in (one.ice.recv(), one.ice.recvfrom(), one.ice.send(b""), one.ice.sendto(b"", 1)):
            with pytest.raises(ConnectionError, match="not connected"):
                await call


@pytest.mark.parametrize("controlling", [True, False])
async def test_it_connects_to_aioice_itself(controlling):
    end, stock = End(controlling=controlling), aioice.Connection(ice_controlling=not controlling)
    async with closing(end):
        await stock_connect(end, stock)
        await end.ice.send(b"there")
        assert await stock.recv() == b"there"
        await stock.send(b"back")
        assert await end.ice.recvfrom() == (b"back", 1)
        await stock.close()


async def test_it_is_the_connection_of_an_aiortc_transport():
    transports = []
    for controlling in (True, False):
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = End(controlling=controlling).ice
        await gatherer.gather()
        transports.append(RTCIceTransport(gatherer))
    one, other = transports
    for here, there in ((one, other), (other, one)):
        for candidate in there.iceGatherer.getLocalCandidates():
            await here.addRemoteCandidate(candidate)
        await here.addRemoteCandidate(None)
    parameters = [each.iceGatherer.getLocalParameters() for each in transports]
    assert isinstance(parameters[0], RTCIceParameters)
    await asyncio.gather(one.start(parameters[1]), other.start(parameters[0]))
    assert [each.state for each in transports] == ["completed", "completed"]
    await one._send(b"data")
    assert await other._recv() == b"data"
    await one.stop()
    await other.stop()
    assert [each.state for each in transports] == ["closed", "closed"]


async def test_what_the_reader_does_not_take_is_dropped_oldest_first():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        one.ice._received._max_bytes = 2000
        over = one.ice._nominated[1].protocol
        for number in range(10):
            over.datagram_received(bytes([200 + number]) * 500, ("127.0.0.1", 9))
        assert one.ice.dropped == 6
        assert (await one.ice.recv())[0] == 206


async def test_a_name_is_looked_up_in_the_background():
    one, other = pair()
    async with closing(one, other):
        await one.ice.gather_candidates()
        for number in range(20):
            text = f"1 1 udp 1 00000000-0000-4000-8000-{number:012}.local 9 typ host"
            await asyncio.wait_for(one.ice.add_remote_candidate(aioice.Candidate.from_sdp(text)), 0.5)
        assert len(one.ice._look_ups) == ice_connection.MAX_LOOK_UPS


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_behind():
    gc.collect()
    files, tasks = open_files(), len(asyncio.all_tasks())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        urls = [f"stun:127.0.0.1:{port}", f"turn:127.0.0.1:{port}", "turn:127.0.0.1:9?transport=tcp"]
        for _ in range(10):
            one, other = End(IceServerConfig(urls, "name", "secret"), controlling=True), End()
            async with closing(one, other):
                await connect(one, other)
                await restart(one, other, IceServerConfig(urls, "name", "secret"))
    assert open_files() == files
    assert len(asyncio.all_tasks()) == tasks


async def test_a_waiting_reader_hears_of_the_end():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        reading = asyncio.create_task(one.ice.recv())
        event = asyncio.create_task(one.ice.get_event())
        await asyncio.sleep(0)
        await one.ice.close()
        with pytest.raises(ConnectionError):
            await reading
        assert isinstance(await event, aioice.ConnectionClosed)


def test_the_private_names_of_aioice_that_are_used_are_there():
    connection = aioice.Connection(ice_controlling=True)
    for name in ("_closed", "_closing", "_nominated", "_protocols"):
        assert hasattr(connection, name)
    assert callable(aioice.Connection._emit_event)
    assert aioice.Candidate.from_sdp("1 1 udp 1 127.0.0.1 9 typ host")._network_host == "127.0.0.1"
    assert {"datagram_received", "connection_made", "connection_lost", "close", "send_stun"} <= vars(
        StunProtocol
    ).keys()
    assert {"local_addr", "remote_addr", "local_candidate"} <= vars(CandidatePair).keys()
    assert all(callable(kind._send) for kind in (aioice.turn.TurnClientUdpProtocol, aioice.turn.TurnClientTcpProtocol))
