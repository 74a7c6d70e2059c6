"""Whatever a camera sends, its client answers with pictures that can be decoded or with an error of its own, in time
and memory that do not depend on who sent it."""

from __future__ import annotations

import asyncio
import itertools
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264 import START_CODE, nal_type, split_annex_b
from metered_realtime.media.h264_rtp import H264Assembler
from metered_realtime.media.h264_stream import MAX_PICTURE_BYTES, H264Stream
from metered_realtime.media.rtp_order import ReorderBuffer
from metered_realtime.media.rtsp import RtspClient, RtspError, RtspProtocolError, RtspTimeoutError
from metered_realtime.media.rtsp_auth import Authenticator
from metered_realtime.media.rtsp_message import Interleaved, RtspFormatError, RtspParser, parse_session, parse_udp
from metered_realtime.media.rtsp_url import parse_rtsp_url
from tests.fuzz.material import FUZZ, spoiled_bytes, spoiled_packets
from tests.sdk.media.h264_samples import idr, pps, rtp, slice_nal, sps, stap_a
from tests.sdk.media.scripted_camera import frame, scripted

# All that gst-rtsp-server sent in two seconds: its answers, RTP and RTCP, several slices to a picture.
CAPTURE = (Path(__file__).parent / "captures" / "gst_slices.rtsp").read_bytes()
CAPTURED = RtspParser().receive_data(CAPTURE)
PACKETS = [item.payload for item in CAPTURED if isinstance(item, Interleaved) and item.channel == 0]
# A parser that looks at everything again with each piece takes minutes for these.
SOON_S = 5.0
MAX_PEAK_BYTES = 48 * 1024 * 1024
MAX_STANDSTILL_S = 0.3
FLOOD_TIMEOUT_S = 0.6


@contextmanager
def cheap() -> Iterator[None]:
    """What is inside takes a bounded amount of time and memory."""
    tracemalloc.start()
    try:
        begin_s = time.process_time()
        yield
        took_s = time.process_time() - begin_s
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took_s < SOON_S
    assert peak_bytes < MAX_PEAK_BYTES


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    begin = 0
    for size in itertools.cycle(sizes):
        if begin >= len(data):
            return
        yield data[begin : begin + size]
        begin += size


def check_units(units: list[AccessUnit]) -> None:
    """What every reader of pictures relies on."""
    assert [unit.pts_90k for unit in units] == sorted(unit.pts_90k for unit in units)
    for unit in units:
        kinds = [nal_type(nal) for nal in split_annex_b(unit.data)]
        if unit.is_key:
            assert {7, 8} <= set(kinds)
    assert all(unit.is_key for unit in units[:1])


# The bytes of the connection --------------------------------------------------------------------------------------


def test_the_capture_is_whole() -> None:
    assembler = H264Assembler()
    units = [unit for packet in PACKETS for unit in assembler.push(packet, 0.0)]
    check_units(units)
    assert len(units) >= 30
    assert assembler.stats().bad_packets == 0


@FUZZ
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
@example([1])
def test_however_the_connection_cuts_it_the_same_comes_out(sizes: list[int]) -> None:
    parser = RtspParser()
    assert [item for piece in cut(CAPTURE, sizes) for item in parser.receive_data(piece)] == CAPTURED


@settings(FUZZ, max_examples=300)
@given(st.data())
def test_a_spoiled_conversation_is_read_or_refused(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(CAPTURE) - 1))
    spoiled = data.draw(spoiled_bytes(CAPTURE[begin : begin + 6000]))
    parser = RtspParser()
    with suppress(RtspFormatError):
        items = [item for piece in cut(spoiled, [700]) for item in parser.receive_data(piece)]
        assert sum(len(item.payload) for item in items if isinstance(item, Interleaved)) <= len(spoiled)
    assert parser.held_bytes <= 256 * 1024 + 16 * 1024


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 262144\r\n\r\n" + bytes(262_144),
        b"$\x00\xff\xff" + bytes(65_535),
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 90 + b"\r\n",
    ],
    ids=["body", "frame", "head"],
)
def test_byte_by_byte_costs_no_more_than_its_bytes(data: bytes) -> None:
    parser = RtspParser()
    with cheap():
        assert sum(len(parser.receive_data(data[at : at + 1])) for at in range(len(data))) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK" + b"x" * 20_000,
        b"RTSP/1.0 200 OK\r\n" + b" folded\r\n" * 1500 + b"\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 4294967296\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    ],
    ids=["endless line", "folds", "4 GiB", "negative", "many"],
)
def test_what_no_camera_says_is_refused(data: bytes) -> None:
    with cheap(), pytest.raises(RtspFormatError):
        RtspParser().receive_data(data)


@FUZZ
@given(st.text(max_size=200), st.text(max_size=60))
def test_headers_of_any_kind_are_read(value: str, challenge: str) -> None:
    parse_session(value)
    parse_udp(value)
    login = Authenticator("u", "p")
    login.challenge([f'Digest realm="{value}", nonce="{challenge}"', challenge])
    login.authorization("OPTIONS", "rtsp://h/")
    with suppress(RtspError):
        parse_rtsp_url(f"rtsp://{value}")


# The packets in it ------------------------------------------------------------------------------------------------


@settings(FUZZ, max_examples=300)
@given(spoiled_packets(PACKETS, slice(1, 2)), st.booleans())
def test_spoiled_packets_give_pictures_that_can_be_decoded_or_none(packets: list[bytes], over_udp: bool) -> None:
    order, assembler = ReorderBuffer(), H264Assembler()
    units: list[AccessUnit] = []
    for number, data in enumerate(packets):
        for packet in order.push(data, number / 100) if over_udp else (data,):
            units += assembler.push(packet, number / 100)
    check_units(units)
    assert sum(unit.size_bytes for unit in units) <= 2 * sum(map(len, packets)) + 4096 * len(units)


def bombs() -> dict[str, list[bytes]]:
    """Small packets that unpack to something large."""
    many_keys = b"".join(START_CODE + idr(size=12) for _ in range(80_000))
    fragments = [many_keys[start : start + 1300] for start in range(0, len(many_keys), 1300)]
    long_sets = [sps(), pps(), *(pps(set_id=number) + b"\x55" * 4000 for number in range(1, 31))]
    sets = [rtp(number, 0, nal) for number, nal in enumerate(long_sets)]
    return {
        "pictures in one aggregate": [*sets, rtp(len(sets), 9, stap_a(*[idr(size=12)] * 1000), marker=True)],
        "pictures in one fragmented unit": [
            *sets,
            *(
                rtp(len(sets) + number, 9, b"\x7c" + bytes((0x85 if number == 0 else 0x05,)) + piece)
                for number, piece in enumerate(fragments)
            ),
            rtp(len(sets) + len(fragments), 9, b"\x7c\x45x", marker=True),
        ],
        "a unit in tiny pieces": [
            rtp(number, 0, b"\x7c" + bytes((0x85 if number == 0 else 0x05,)) + b"xy") for number in range(60_000)
        ],
        "SEI without end": [rtp(number, 0, b"\x06\x05\x01\x00\x80") for number in range(60_000)],
        "slices without end": [rtp(number, 0, slice_nal(first_mb=bool(number), size=1000)) for number in range(20_000)],
        "a sender for every packet": [rtp(number, 0, idr(), ssrc=number) for number in range(20_000)],
    }


@pytest.mark.parametrize("bomb", bombs())
def test_a_packet_is_no_bomb(bomb: str) -> None:
    packets, assembler = bombs()[bomb], H264Assembler()
    with cheap():
        most = max(len(assembler.push(packet, 0.0)) for packet in packets)
    assert most <= 5
    last = int.from_bytes(packets[-1][2:4])
    assembler.push(rtp(last + 1, 99, stap_a(sps(), pps())), 1.0)
    assert assembler.push(rtp(last + 2, 99, idr(), marker=True), 1.0), "a true key frame is shown after it"


@FUZZ
@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([START_CODE, START_CODE[1:], idr(), slice_nal()]), max_size=30)
)
def test_a_pipe_of_anything_gives_pictures_however_it_is_cut(parts: list[bytes]) -> None:
    data = b"".join(parts)
    whole, bytewise = H264Stream(), H264Stream()
    assert [unit for at in range(len(data)) for unit in bytewise.push(data[at : at + 1])] == whole.push(data)


def test_a_pipe_without_pictures_is_kept_short() -> None:
    stream = H264Stream()
    with cheap():
        for chunk in (b"\x00\x00\x01\x06" * 400_000, bytes(2 * MAX_PICTURE_BYTES), b"\xff" * (2 * MAX_PICTURE_BYTES)):
            for piece in cut(chunk, [65_536]):
                stream.push(piece)
    assert stream.overflows > 0


# The whole client -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def pouring(speech: Callable[[], Iterator[bytes]]) -> AsyncIterator[str]:
    """A camera that reads what it is asked, and says what it wants as fast as it is taken; gives its address."""
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await reader.read(1)
            for piece in speech():
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/cam"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


@settings(FUZZ, max_examples=40)
@given(st.data())
async def test_a_client_survives_any_conversation(data: st.DataObject) -> None:
    begin = data.draw(st.sampled_from([0, 0, CAPTURE.index(b"v=0"), CAPTURE.index(b"$")]))
    speech = data.draw(spoiled_bytes(CAPTURE[begin:]))
    units: list[AccessUnit] = []
    async with pouring(lambda: cut(speech, [997])) as url, asyncio.timeout(10):
        with suppress(RtspError):
            async with RtspClient(url, timeout_s=FLOOD_TIMEOUT_S, on_audio=lambda _: None) as client:
                while True:
                    units.append(await client.next_unit())
    check_units(units)


async def longest_standstill_s(stop: asyncio.Event) -> float:
    """Return how long everything else in the process had to wait at most, not counting what other processes took."""
    worst_s, last_s = 0.0, time.thread_time()
    while not stop.is_set():
        await asyncio.sleep(0.005)
        worst_s, last_s = max(worst_s, time.thread_time() - last_s), time.thread_time()
    return worst_s


@pytest.mark.parametrize(
    "piece",
    [
        b"x" * 65_536,
        b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n" * 2000,
        b"OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 9\r\n\r\n" * 2000,
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 99 + b"\r\n",
        b"\r\n" * 32_768,
        frame(200, bytes(65_000)),
        frame(0, b"\x80\xe0" + bytes(10) + b"\x7c\x05" + bytes(1300)) * 40,
    ],
    ids=["endless line", "answers", "questions", "heads", "empty lines", "foreign frames", "packets"],
)
async def test_a_camera_that_floods_is_left_in_time_and_nobody_else_waits(piece: bytes) -> None:
    stop = asyncio.Event()
    watch = asyncio.create_task(longest_standstill_s(stop), name="watch")
    async with pouring(lambda: itertools.repeat(piece)) as url, asyncio.timeout(10):
        with pytest.raises((RtspProtocolError, RtspTimeoutError)):
            async with RtspClient(url, timeout_s=FLOOD_TIMEOUT_S) as client:
                await client.next_unit()
    stop.set()
    assert await watch < MAX_STANDSTILL_S


async def test_a_camera_that_floods_after_play_is_left_when_no_picture_comes() -> None:
    async with scripted() as camera, RtspClient(camera.url, timeout_s=FLOOD_TIMEOUT_S) as client:
        await client.next_unit()

        async def flood() -> None:
            while True:
                camera.say(frame(200, bytes(60_000)) * 10)
                await camera.writers[-1].drain()

        flooding = asyncio.create_task(flood(), name="flood")
        with pytest.raises(RtspTimeoutError, match="sent no picture"):
            await asyncio.wait_for(client.next_unit(), 10)
        flooding.cancel()
        await asyncio.wait([flooding])
