from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime import MeteredPeer, events
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source import SharedSource
from metered_realtime.media.video_source import VideoSource
from tests.sdk.media.pictures import (
    BLUE,
    GREEN,
    RED,
    array,
    decoded,
    is_near,
    native_threads,
    solid,
    threads_end,
    two_peers,
    until,
)
from tests.sdk.real_hub import KEY, channel, hub_url  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _no_thread_is_left_to_the_next_test() -> Iterator[None]:
    yield
    assert threads_end("video encoder")


def encoders() -> int:
    return sum(thread.name == "video encoder" for thread in threading.enumerate())


@asynccontextmanager
async def playing(source: VideoSource, rgb: list[tuple[int, ...]], *, fps: int = 30) -> AsyncIterator[None]:
    """Push pictures of the colour in `rgb[0]` all the while."""

    async def play() -> None:
        while True:
            source.push(solid(rgb[0], 160, 120))
            await asyncio.sleep(1 / fps)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def shows(track: Any, rgb: tuple[int, ...]) -> Any:
    """Return the first frame of this colour."""
    async with asyncio.timeout(15):
        while not is_near(frame := await track.recv(), rgb):
            pass
    return frame


async def test_it_is_a_source_that_serves_each_peer_itself() -> None:
    source = VideoSource(id="screen", codec="VP8")
    assert isinstance(source, SharedSource)
    assert (source.kind, source.id, source.mime_type) == ("video", "screen", "video/VP8")
    assert source.open_reader().id == "screen"
    assert VideoSource().id != VideoSource().id


@pytest.mark.parametrize("wrong", [{"codec": "AV1"}, {"fps": 0}, {"bitrate_bps": 1}, {"max_size": (0, 0)}])
def test_values_no_encoder_takes_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VideoSource(**wrong)


async def test_nothing_is_encoded_while_nobody_watches() -> None:
    source = VideoSource()
    source.push(solid(RED))
    source.push(array(GREEN))
    await asyncio.sleep(0)
    assert encoders() == 0
    stats = source.stats()
    assert (stats.pushed_frames, stats.unwatched_frames, stats.encoded_frames, stats.encoder) == (2, 2, 0, None)
    source.end()


async def test_a_viewer_of_a_picture_that_stands_still_sees_it_and_the_encoder_leaves_with_him() -> None:
    source = VideoSource()
    source.push(array(BLUE))
    reader = source.open_reader()
    packet = await reader.recv()
    assert packet.is_keyframe
    decoder: Any = av.CodecContext.create("h264", "r")
    assert is_near([*decoder.decode(packet), *decoder.decode(None)][0], BLUE)
    assert (encoders(), source.viewers) == (1, 1)
    reader.stop()
    await until(lambda: encoders() == 0)
    again = source.open_reader()
    later = await again.recv()
    assert later.is_keyframe
    assert later.pts > packet.pts, "the timeline goes on"
    source.end()
    await until(lambda: encoders() == 0)


async def test_the_end_ends_readers_and_threads() -> None:
    before = native_threads()
    source = VideoSource()
    reader = source.open_reader()
    waiting = asyncio.create_task(reader.recv())
    await until(lambda: encoders() == 1)
    source.end()
    source.end()
    with pytest.raises(MediaStreamError):
        await waiting
    with pytest.raises(MediaStreamError):
        await source.recv()
    source.push(solid(RED))
    assert source.stats().pushed_frames == 0
    await until(lambda: native_threads() <= before)


async def test_frames_may_come_from_another_thread() -> None:
    source = VideoSource()
    reader = source.open_reader()
    first = asyncio.create_task(reader.recv())
    await until(lambda: encoders() == 1)
    pushing = threading.Thread(target=source.push, args=(solid(GREEN),))
    pushing.start()
    async with asyncio.timeout(5):
        assert (await first).is_keyframe
    pushing.join()
    source.end()


async def test_push_never_waits_and_what_is_too_much_is_dropped() -> None:
    source = VideoSource()
    reader = source.open_reader()
    first = asyncio.create_task(reader.recv())
    await until(lambda: encoders() == 1)
    frame = solid(RED, 1280, 720)
    for _ in range(100):
        source.push(frame)  # had it waited for the encoder, nothing would be dropped
    await first
    await until(lambda: source.stats().encoded_frames + source.stats().dropped_frames == 100)
    assert source.stats().dropped_frames > 50
    source.end()


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_three_peers_share_one_encoder_and_a_late_one_sees_a_picture_at_once(codec: Any) -> None:
    source = VideoSource(codec=codec, bitrate_bps=500_000, key_frame_interval_s=600)
    rgb = [RED]
    mime_type = f"video/{codec}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(playing(source, rgb))
        tracks = []
        for _ in range(2):
            tracks.append(await (await stack.enter_async_context(two_peers(source.open_reader(), mime_type))))
            await shows(tracks[-1], RED)
        await asyncio.sleep(1.1)
        keys = source.stats().key_frames
        late = await (await stack.enter_async_context(two_peers(source.open_reader(), mime_type)))
        await shows(late, RED)
        await until(lambda: source.stats().key_frames == keys + 1)
        rgb[0] = GREEN
        for track in (*tracks, late):
            assert (await shows(track, GREEN)).width == 160
        assert encoders() == 1
        assert source.viewers == 3
    await until(lambda: encoders() == 0)
    source.end()


async def test_add_track_is_all_it_takes_between_members_of_a_channel(hub_url: str, channel: str) -> None:  # noqa: F811
    source = VideoSource(fps=30)
    async with AsyncExitStack() as stack:
        sender, *viewers = [MeteredPeer(api_key=KEY, url=hub_url) for _ in range(4)]
        for peer in (sender, *viewers):
            stack.push_async_callback(peer.close)
        received: list[Any] = []
        for viewer in viewers:
            viewer.on(events.PeerJoined, lambda joined: joined.peer.on(events.Track, received.append) and None)
        sender.add_track(source)
        await sender.join(channel)
        for viewer in viewers:
            await viewer.join(channel)
        async with playing(source, [BLUE]):
            await until(lambda: len(received) == 3)
            for event in received:
                await shows(event.track, BLUE)
        assert (encoders(), source.viewers) == (1, 3)
    await until(lambda: encoders() == 0)


def test_what_was_encoded_can_be_decoded_by_anybody() -> None:
    async def collect() -> list[Any]:
        source = VideoSource(codec="VP8", max_size=(64, 64))
        source.push(array(GREEN, 256, 128))
        packet = await source.recv()
        source.end()
        return [packet]

    packet = asyncio.run(collect())[0]
    frames = decoded([AccessUnit(bytes(packet), packet.pts, is_key=True)], "vp8")
    assert (frames[0].width, frames[0].height) == (64, 32)
    assert is_near(frames[0], GREEN)
