"""The bad link does what it says: otherwise nothing that passes over it proves anything."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from tests.faults.link import FAIR, Link, Weather


@asynccontextmanager
async def echo_over_a_link(**options):
    async def echo(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Link(server.sockets[0].getsockname()[1], **options) as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        try:
            yield link, reader, writer
        finally:
            writer.close()


async def round_trip_s(reader, writer, data=b"x"):
    begin_s = time.monotonic()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return time.monotonic() - begin_s


async def test_a_fair_link_passes_everything_both_ways():
    async with echo_over_a_link() as (link, reader, writer):
        await round_trip_s(reader, writer, bytes(range(256)) * 5000)
        await link.connected(1)


async def test_delay_is_each_way_and_does_not_narrow_the_line():
    async with echo_over_a_link() as (link, reader, writer):
        link.weather = Weather(delay_s=0.1)
        assert 0.2 <= await round_trip_s(reader, writer) < 0.5
        assert 0.2 <= await round_trip_s(reader, writer, b"y" * 300_000) < 1.0


async def test_loss_comes_in_jerks_and_loses_no_byte():
    async with echo_over_a_link() as (link, reader, writer):
        link.weather = Weather(loss=1.0)
        assert 0.4 <= await round_trip_s(reader, writer) < 1.0
        link.weather = FAIR
        await round_trip_s(reader, writer, b"z" * 100_000)


async def test_a_thin_link_takes_its_time():
    async with echo_over_a_link() as (link, reader, writer):
        link.weather = Weather(bytes_per_s=50_000)
        assert await round_trip_s(reader, writer, b"t" * 25_000) > 0.45


async def test_in_a_hole_nothing_comes_and_nobody_is_told_and_after_it_all_comes():
    async with echo_over_a_link() as (link, reader, writer):
        await round_trip_s(reader, writer)
        link.hole()
        writer.write(b"lost?")
        answer = asyncio.create_task(reader.readexactly(5))
        done, _ = await asyncio.wait([answer], timeout=0.3)
        assert not done
        link.mend()
        assert await answer == b"lost?"


async def test_a_refusing_link_resets_what_is_open_and_takes_nothing_until_it_accepts_on_the_same_port():
    async with echo_over_a_link() as (link, reader, writer):
        await round_trip_s(reader, writer)
        port = link.port
        await link.refuse()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await link.accept()
        again = await asyncio.open_connection("127.0.0.1", port)
        await round_trip_s(*again)
        again[1].close()


async def test_the_tap_sees_what_passes_and_who_is_greeted_goes_no_further():
    seen = []
    async with echo_over_a_link(tap=lambda *what: seen.append(what)) as (_link, reader, writer):
        await round_trip_s(reader, writer, b"abc")
    assert seen == [(0, True, b"abc"), (0, False, b"abc")]

    async with echo_over_a_link(greet=lambda first: b"no" if first == b"bad" else b"") as (link, reader, writer):
        writer.write(b"bad")
        assert await reader.read() == b"no"
        assert link.connections == 0
        good = await asyncio.open_connection("127.0.0.1", link.port)
        await round_trip_s(*good)
        good[1].close()
