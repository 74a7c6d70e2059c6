from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from metered_realtime.media.rtsp_connection import RtspConnection
from metered_realtime.media.rtsp_errors import RtspConnectError, RtspError, RtspProtocolError
from metered_realtime.media.rtsp_message import RtspRequest
from tests.sdk.media.scripted_camera import ScriptedCamera, answer, frame, polite, scripted


class Closing(asyncio.Transport):
    """Says nothing of its own."""

    def close(self) -> None:
        """Takes its time."""


class Client:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.ended: asyncio.Future[RtspError] = asyncio.get_running_loop().create_future()
        self.connection = RtspConnection("cam:554", on_frame=self._frame, on_end=self.ended.set_result)

    def _frame(self, channel: int, payload: bytes) -> None:
        self.frames.append((channel, payload))


@asynccontextmanager
async def connected(camera: ScriptedCamera) -> AsyncIterator[Client]:
    client = Client()
    await asyncio.get_running_loop().create_connection(lambda: client.connection, "127.0.0.1", camera.port)
    try:
        yield client
    finally:
        await client.connection.close(within_s=1)


async def test_answers_find_their_requests_and_frames_their_owner() -> None:
    def say(request: RtspRequest) -> bytes:
        return frame(4, b"abc") + answer(request, Public=request.method)

    async with scripted(say) as camera, connected(camera) as client:
        first, second = await asyncio.gather(
            client.connection.request("OPTIONS", "rtsp://cam/1", {}),
            client.connection.request("DESCRIBE", "rtsp://cam/1", {}),
        )
    assert (first.headers.get("public"), second.headers.get("public")) == ("OPTIONS", "DESCRIBE")
    assert client.frames == [(4, b"abc")] * 2
    assert not client.ended.done()


async def test_who_is_cancelled_while_the_connection_ends_is_cancelled_all_the_same() -> None:
    connection = Client().connection
    connection.connection_made(Closing())
    closing = asyncio.create_task(connection.close(within_s=60), name="close")
    await asyncio.sleep(0)
    connection.connection_lost(None)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()


async def test_an_answer_without_number_goes_to_the_only_request() -> None:
    async with scripted(lambda _: b"RTSP/1.0 200 OK\r\n\r\n") as camera, connected(camera) as client:
        assert (await client.connection.request("OPTIONS", "rtsp://cam/1", {})).status == 200


async def test_questions_of_the_camera_are_answered() -> None:
    async with scripted() as camera, connected(camera) as client:
        await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        camera.say(b"GET_PARAMETER rtsp://cam/1 RTSP/1.0\r\nCSeq: 5\r\nSession: 12\r\n\r\n")
        camera.say(b"RECORD rtsp://cam/1 RTSP/1.0\r\nCSeq: 6\r\n\r\n")
        await camera.until(lambda: len(camera.responses) == 2)
    assert [(item.cseq, item.status) for item in camera.responses] == [(5, 200), (6, 501)]
    assert camera.responses[0].headers.get("session") == "12"


@pytest.mark.parametrize("method", ["TEARDOWN", "REDIRECT"])
async def test_a_camera_that_ends_the_stream_ends_the_connection(method: str) -> None:
    async with scripted() as camera, connected(camera) as client:
        await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        camera.say(f"{method} rtsp://cam/1 RTSP/1.0\r\nCSeq: 5\r\n\r\n".encode())
        error = await asyncio.wait_for(client.ended, 5)
        with pytest.raises(RtspConnectError, match="cam:554 ended the stream"):
            await client.connection.request("OPTIONS", "rtsp://cam/1", {})
    assert "ended the stream" in str(error)


async def test_a_lost_connection_fails_what_waits() -> None:
    async with scripted(lambda _: None) as camera, connected(camera) as client:
        with pytest.raises(RtspConnectError, match="cam:554 ended the connection without an answer: is this its RTSP"):
            await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        assert isinstance(await asyncio.wait_for(client.ended, 5), RtspConnectError)


async def test_a_camera_that_has_answered_is_not_asked_whether_it_is_one() -> None:
    def once(request: RtspRequest) -> bytes | None:
        return polite(request) if request.method == "OPTIONS" else None

    async with scripted(once) as camera, connected(camera) as client:
        await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        with pytest.raises(RtspConnectError, match=r"the camera at cam:554 ended the connection$"):
            await client.connection.request("DESCRIBE", "rtsp://cam/1", {})


async def test_what_is_not_rtsp_ends_the_connection_with_a_sentence() -> None:
    async with scripted(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as camera, connected(camera) as client:
        with pytest.raises(RtspProtocolError, match="what answers at cam:554 is not an RTSP camera: it speaks HTTP"):
            await client.connection.request("OPTIONS", "rtsp://cam/1", {})


async def test_a_hostile_control_address_cannot_break_out_of_its_line() -> None:
    async with scripted() as camera, connected(camera) as client:
        with pytest.raises(RtspProtocolError, match="an address that cannot be used"):
            await client.connection.request("SETUP", "rtsp://cam/\r\nEvil: 1", {})
        assert (await client.connection.request("OPTIONS", "rtsp://cam/1", {})).status == 200


async def test_the_number_of_open_requests_is_bounded() -> None:
    async with scripted(lambda _: b"") as camera, connected(camera) as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(client.connection.request("OPTIONS", "rtsp://cam/1", {})) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(RtspProtocolError, match="too many requests"):
            await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        for task in waiting:
            task.cancel()


async def test_a_camera_that_asks_without_reading_is_cut_off() -> None:
    flood = b"OPTIONS rtsp://cam/1 RTSP/1.0\r\nCSeq: 5\r\nSession: " + b"s" * 15_000 + b"\r\n\r\n"

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(flood * 20)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    client = Client()
    port = server.sockets[0].getsockname()[1]
    await asyncio.get_running_loop().create_connection(lambda: client.connection, "127.0.0.1", port)
    error = await asyncio.wait_for(client.ended, 20)
    assert "asks without reading" in str(error)
    server.close()
    await client.connection.close(within_s=1)
    await server.wait_closed()


async def test_a_camera_that_only_talks_is_cut_off() -> None:
    async with scripted() as camera, connected(camera) as client:
        await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        for _ in range(990):
            camera.say(b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n")
        await client.connection.request("OPTIONS", "rtsp://cam/1", {})
        assert not client.ended.done()
        for _ in range(1001):
            camera.say(b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n")
        assert "talks without being asked" in str(await asyncio.wait_for(client.ended, 5))


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    held: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        held.set_result(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    client = Client()
    port = server.sockets[0].getsockname()[1]
    await asyncio.get_running_loop().create_connection(lambda: client.connection, "127.0.0.1", port)
    deaf = await held
    ask = asyncio.create_task(client.connection.request("OPTIONS", "rtsp://cam/1", {"X": "x" * 20_000_000}))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await client.connection.close(within_s=0.05)
    with pytest.raises(RtspConnectError):
        await ask
    deaf.transport.abort()
    server.close()
    await server.wait_closed()


async def test_closing_twice_or_before_a_connection_is_harmless() -> None:
    await Client().connection.close(within_s=1)
    async with scripted(polite) as camera, connected(camera) as client:
        await client.connection.close(within_s=1)
        with pytest.raises(RtspConnectError, match="is closed"):
            await client.connection.request("OPTIONS", "rtsp://cam/1", {})
    assert not client.ended.done(), "who closes is not told that it ended"
