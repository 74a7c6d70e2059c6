from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
import pytest
from aiortc.codecs import h264
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from tests.sdk.media.pictures import two_peers
from tests.sdk.media.tracks import Clock

FRAME = 3000
KEY = 5


def unit(number: int, *, key: bool = False, size: int = 10) -> AccessUnit:
    return AccessUnit(bytes((number % 256,)) * size, number * FRAME, key)


def feed(source: EncodedVideoSource, first: int, count: int) -> None:
    """Push a stream whose every fifth picture is a key frame."""
    for number in range(first, first + count):
        source.push(unit(number, key=number % KEY == 0))


async def take(track: MediaStreamTrack, count: int) -> list[int]:
    return [(await track.recv()).pts for _ in range(count)]


async def test_a_late_reader_starts_with_the_group_of_pictures_and_goes_on_live() -> None:
    source = EncodedVideoSource()
    feed(source, 0, 8)
    reader = source.open_reader()
    assert await take(reader, 3) == [5 * FRAME, 6 * FRAME, 7 * FRAME]
    waiting = asyncio.ensure_future(reader.recv())  # noqa: TID251 - the test itself awaits it
    await asyncio.sleep(0)
    assert not waiting.done()
    source.push(unit(8))
    assert (await waiting).pts == 8 * FRAME


async def test_every_reader_gets_the_same_packet() -> None:
    source = EncodedVideoSource()
    feed(source, 0, 1)
    first, second = source.open_reader(), source.open_reader()
    packet = await first.recv()
    assert packet is await second.recv()
    assert isinstance(packet, av.Packet)
    assert bytes(packet) == bytes(10)
    assert packet.is_keyframe
    assert packet.time_base == Fraction(1, 90_000)


async def test_a_viewer_counts_from_its_first_read_to_its_stop_and_opens_the_source() -> None:
    calls: list[bool] = []
    source = EncodedVideoSource(on_demand=calls.append)
    first, second = source.open_reader(), source.open_reader()
    assert (source.viewers, calls) == (0, [])
    feed(source, 0, 1)
    await first.recv()
    await second.recv()
    assert (source.viewers, calls) == (2, [True])
    first.stop()
    first.stop()
    assert (source.viewers, calls) == (1, [True])
    second.stop()
    assert (source.viewers, calls) == (0, [True, False])
    source.open_reader().stop()
    assert calls == [True, False]


async def test_a_cancelled_read_in_the_starting_burst_loses_nothing() -> None:
    source = EncodedVideoSource()
    source.push(unit(0, key=True, size=500_000))
    feed(source, 1, 2)
    reader = source.open_reader()
    await reader.recv()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.recv(), 0.01)
    assert await take(reader, 2) == [FRAME, 2 * FRAME]


async def test_a_stopped_reader_ends_its_waiting_read() -> None:
    source = EncodedVideoSource()
    reader = source.open_reader()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ended(reader))
        await asyncio.sleep(0)
        reader.stop()
    assert await waiting
    assert await ended(reader)


async def ended(track: MediaStreamTrack) -> bool:
    """Return True if the next read says that the track has ended."""
    with pytest.raises(MediaStreamError):
        await track.recv()
    return True


async def test_stopping_the_source_ends_every_reader() -> None:
    source = EncodedVideoSource()
    feed(source, 0, 1)
    readers = [source.open_reader(), source.open_reader()]
    for reader in readers:
        await reader.recv()
    await source.recv()
    source.stop()
    assert source.viewers == 0
    assert all([await ended(reader) for reader in readers])
    assert await ended(source)


async def test_a_reader_that_lags_returns_with_a_key_frame_and_is_counted() -> None:
    source = EncodedVideoSource()
    slow, quick = source.open_reader(), source.open_reader()
    feed(source, 0, 1)
    await take(slow, 1)
    await take(quick, 1)
    for number in range(1, 203):
        feed(source, number, 1)
        await take(quick, 1)
    assert await take(slow, 2) == [185 * FRAME, 186 * FRAME]
    dropped = source.stats().dropped_units
    assert dropped > 90
    slow.stop()
    assert source.stats().dropped_units == dropped


async def test_a_restart_goes_on_by_the_time_that_passed_with_a_key_frame() -> None:
    clock = Clock()
    source = EncodedVideoSource(clock=clock)
    reader = source.open_reader()
    feed(source, 5, 2)
    assert await take(reader, 2) == [5 * FRAME, 6 * FRAME]
    source.rebase()
    clock.now_s += 4.0
    source.push(unit(1))
    source.push(AccessUnit(b"key", 2 * FRAME, is_key=True))
    assert await take(reader, 1) == [6 * FRAME + 4 * 90_000 + FRAME]
    late = source.open_reader()
    assert await take(late, 1) == [6 * FRAME + 4 * 90_000 + FRAME]


async def test_a_restart_without_a_pause_still_moves_on() -> None:
    source = EncodedVideoSource(clock=Clock())
    reader = source.open_reader()
    source.rebase()
    feed(source, 0, 1)
    source.rebase()
    feed(source, 0, 1)
    assert await take(reader, 1) == [FRAME]


async def test_a_stopped_source_shows_no_old_picture_to_a_newcomer() -> None:
    source = EncodedVideoSource()
    feed(source, 0, 3)
    source.rebase()
    assert source.stats().gop_units == 0


async def test_timestamps_never_go_back() -> None:
    source = EncodedVideoSource()
    reader = source.open_reader()
    for pts in (0, 9000, 3000, 12000):
        source.push(AccessUnit(b"x", pts, is_key=pts == 0))
    assert await take(reader, 4) == [0, 9000, 9000, 12000]


async def test_the_id_is_kept_by_every_reader() -> None:
    source = EncodedVideoSource(id="camera-yard")
    assert source.id == source.open_reader().id == "camera-yard"
    other = EncodedVideoSource()
    assert other.id == other.open_reader().id != ""
    assert (source.kind, source.mime_type) == ("video", "video/H264")


async def test_counters() -> None:
    source = EncodedVideoSource(max_gop_bytes=25)
    feed(source, 0, 4)
    stats = source.stats()
    assert (stats.units, stats.key_units, stats.total_bytes, stats.gop_units, stats.gop_overflows) == (4, 1, 40, 0, 1)
    assert (stats.viewers, stats.dropped_units, stats.gop_bytes) == (0, 0, 0)


def test_another_codec_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="video/AV1"):
        EncodedVideoSource(mime_type="video/AV1")
    assert EncodedVideoSource(mime_type="video/VP8").open_reader().mime_type == "video/VP8"  # type: ignore[attr-defined]


async def test_a_reader_opened_before_or_after_the_end_ends() -> None:
    source = EncodedVideoSource()
    early = source.open_reader()
    source.stop()
    assert await ended(early)
    assert await ended(source.open_reader())
    assert source.viewers == 0


async def test_a_receiver_that_lost_pictures_is_sent_the_group_again() -> None:
    clock = Clock()
    source = EncodedVideoSource(clock=clock)
    reader = source.open_reader()
    feed(source, 0, 3)
    assert await take(reader, 3) == [0, FRAME, 2 * FRAME]
    reader.request_key_frame()  # type: ignore[attr-defined]
    reader.request_key_frame()  # type: ignore[attr-defined]
    source.push(unit(3))
    again = [await reader.recv() for _ in range(4)]
    assert [packet.pts for packet in again] == [2 * FRAME + 1, 2 * FRAME + 2, 2 * FRAME + 3, 3 * FRAME]
    assert [bytes(packet)[0] for packet in again] == [0, 1, 2, 3]
    assert again[0].is_keyframe
    assert (source.stats().key_frame_requests, source.stats().replays) == (2, 1)


async def test_a_source_that_makes_key_frames_is_asked_once_for_all_who_ask_together() -> None:
    clock = Clock()
    asked: list[float] = []
    source = EncodedVideoSource(clock=clock, on_key_frame_wanted=lambda: asked.append(clock.now_s))
    readers: list[Any] = [source.open_reader(), source.open_reader()]
    readers[0].request_key_frame()
    assert asked == [], "nobody reads yet"
    feed(source, 0, 1)
    for reader in readers:
        await reader.recv()
        reader.request_key_frame()
    assert asked == [100.0]
    clock.now_s += 0.6
    readers[1].request_key_frame()
    assert asked == [100.0, 100.6]
    assert source.stats().replays == 0


async def test_who_waits_for_a_key_frame_gets_one_before_its_time_but_not_more_often_than_all_bear() -> None:
    clock = Clock()
    asked: list[float] = []
    source = EncodedVideoSource(clock=clock, on_key_frame_wanted=lambda: asked.append(clock.now_s))
    reader: Any = source.open_reader()
    reader.await_key_frame()
    feed(source, 0, 1)
    await reader.recv()
    for _ in range(70):  # 7 s, and no key frame comes
        clock.now_s += 0.1
        reader.await_key_frame()
    assert asked == pytest.approx([103.0, 106.0], abs=0.2)
    assert source.stats().replays == 0


async def test_a_source_that_makes_no_key_frames_sends_nothing_again_to_who_waits_for_one() -> None:
    clock = Clock()
    source = EncodedVideoSource(clock=clock)
    reader: Any = source.open_reader()
    feed(source, 0, 1)
    await reader.recv()
    clock.now_s += 60
    reader.await_key_frame()
    assert source.stats().replays == 0


async def test_a_source_that_can_make_no_key_frame_now_replays_the_last_group() -> None:
    clock = Clock()
    answers = [False, True]
    source = EncodedVideoSource(clock=clock, on_key_frame_wanted=lambda: answers.pop(0))
    reader: Any = source.open_reader()
    feed(source, 0, 1)
    await reader.recv()
    reader.request_key_frame()
    clock.now_s += 5
    assert bytes(await reader.recv()) == bytes(10)
    reader.request_key_frame()
    assert (answers, source.stats().key_frame_requests, source.stats().replays) == ([], 2, 1)


@pytest.mark.parametrize(("after_s", "options"), [(1.0, {}), (4.0, {"new_group_after_s": 4.0})])
async def test_a_newcomer_to_an_old_group_gets_a_new_key_frame(after_s: float, options: dict[str, float]) -> None:
    clock = Clock()
    asked: list[float] = []
    source = EncodedVideoSource(clock=clock, on_key_frame_wanted=lambda: asked.append(clock.now_s), **options)
    feed(source, 0, 3)
    await source.open_reader().recv()
    clock.now_s += after_s - 0.1
    await source.open_reader().recv()
    assert asked == []
    clock.now_s += 0.2
    late = source.open_reader()
    assert (await late.recv()).pts == 0, "a picture at once, whatever comes"
    assert asked == [pytest.approx(100.1 + after_s)]
    source.push(unit(3, key=True))
    assert (await late.recv()).pts == 3 * FRAME


def encode(count: int) -> list[AccessUnit]:
    """Return real pictures of 320x240, key frame first."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 320, 240, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 30), Fraction(30)
    codec.gop_size = 1000
    codec.profile = "Baseline"
    codec.options = {"preset": "ultrafast", "tune": "zerolatency"}
    packets: list[Any] = []
    for number in range(count):
        frame = av.VideoFrame(320, 240, "yuv420p")
        frame.pts = number
        packets += codec.encode(frame)
    return [AccessUnit(bytes(packet), number * FRAME, packet.is_keyframe) for number, packet in enumerate(packets)]


async def test_aiortc_sends_it_as_it_is_and_the_other_side_decodes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    units = encode(40)
    made: list[tuple[str, str]] = []
    create = av.CodecContext.create

    def watched(name: str, mode: str, *rest: Any) -> Any:
        made.append((name, mode))
        return create(name, mode, *rest)

    class WatchedContext:
        create = staticmethod(watched)

    # aiortc makes its codecs through this one name, for encoding and decoding alike.
    monkeypatch.setattr(h264.av, "CodecContext", WatchedContext)
    source = EncodedVideoSource()
    for item in units[:30]:
        source.push(item)
    reader = source.open_reader()
    async with asyncio.timeout(20), two_peers(reader) as received:
        track = await received
        frames = []
        for number in range(30):
            frames.append(await track.recv())
            if number == 5:
                for item in units[30:]:
                    source.push(item)
    assert {(frame.width, frame.height) for frame in frames} == {(320, 240)}
    assert frames[1].pts - frames[0].pts == FRAME
    assert made == [("h264", "r")], "one decoder at the receiver, no encoder and no decoder at the sender"
    assert reader.readyState == "ended"
    assert source.viewers == 0
