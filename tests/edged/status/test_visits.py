"""Visits over a real Unix socket: bounded in number, in size and in time."""

import asyncio
import contextlib

import pytest

from edged.status.visits import MAX_VISITORS, Visits


async def line_of(reader):
    return await reader.readline()


@pytest.fixture
async def house(tmp_path):
    path = str(tmp_path / "s")
    tasks = []

    async def open_house(answer=lambda line: b"echo " + line, *, patience_s=5.0):
        visits = Visits(line_of, answer, patience_s=patience_s)
        is_open = asyncio.Event()

        async def open_server(welcome):
            server = await asyncio.start_unix_server(welcome, path, limit=256, start_serving=False)
            is_open.set()
            return server

        tasks.append(asyncio.create_task(visits.receive(open_server)))
        await is_open.wait()
        return path

    yield open_house
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])


async def visit(path, words=b""):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(words)
    return reader, writer


async def gone(writer):
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_question_has_its_answer_and_the_end(house):
    reader, writer = await visit(await house(), b"hello\nmore\n")
    assert await reader.read() == b"echo hello\n"
    await gone(writer)


async def test_a_large_answer_comes_whole(house):
    reader, writer = await visit(await house(lambda _line: b"x" * 3_000_000), b"\n")
    assert len(await reader.read()) == 3_000_000
    await gone(writer)


async def test_who_says_nothing_is_shown_out(house):
    reader, writer = await visit(await house(patience_s=0.05))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    await gone(writer)


async def test_who_does_not_read_is_shown_out(house):
    path = await house(lambda _line: b"x" * 30_000_000, patience_s=0.2)
    reader, writer = await visit(path, b"\n")
    reader._transport.pause_reading()
    # The next one is served though the first holds on.
    for _ in range(3):
        other, its_writer = await visit(path, b"\n")
        assert len(await other.readexactly(1000)) == 1000
        await gone(its_writer)
    await gone(writer)


async def test_a_line_without_an_end_is_no_question(house):
    asked = []
    path = await house(lambda line: asked.append(line) or b"never")
    reader, writer = await visit(path, b"x" * 100_000)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert not asked
    await gone(writer)


async def test_one_too_many_is_shown_out_and_the_others_stay(house):
    path = await house()
    inside = [await visit(path) for _ in range(MAX_VISITORS)]
    late_reader, late_writer = await visit(path, b"late\n")
    with contextlib.suppress(ConnectionError):
        assert await late_reader.read() == b""
    await gone(late_writer)
    for reader, writer in inside:
        writer.write(b"me\n")
        assert await reader.read() == b"echo me\n"
        await gone(writer)
    reader, writer = await visit(path, b"again\n")
    assert await reader.read() == b"echo again\n"
    await gone(writer)


async def test_who_is_inside_when_it_closes_is_shown_out(tmp_path):
    path = str(tmp_path / "s")
    is_open = asyncio.Event()

    async def open_server(welcome):
        server = await asyncio.start_unix_server(welcome, path, limit=256, start_serving=False)
        is_open.set()
        return server

    task = asyncio.create_task(Visits(line_of, bytes).receive(open_server))
    await is_open.wait()
    reader, writer = await visit(path)
    while len(asyncio.all_tasks()) < 3:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    await gone(writer)
    assert asyncio.all_tasks() == {asyncio.current_task()}
