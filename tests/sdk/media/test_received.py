"""Tracks from a remote peer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.received import MAX_QUEUED, ReceivedTrack
from metered_realtime.media.received_gate import DecoderGate


async def test_frames_come_in_order_under_the_announced_id() -> None:
    track = ReceivedTrack("video", "t")
    track.put("one")
    track.put("two")
    assert [await track.recv(), await track.recv()] == ["one", "two"]
    assert (track.id, track.kind) == ("t", "video")


async def test_the_oldest_are_lost_when_nobody_reads() -> None:
    track = ReceivedTrack("video", "t")
    for number in range(MAX_QUEUED["video"] + 3):
        track.put(number)
    assert await track.recv() == 3
    assert track.dropped_frames == 3


async def test_the_end_comes_after_what_is_still_there() -> None:
    track = ReceivedTrack("audio", "t")
    track.put("last")
    track.put(None)
    track.put("too late")
    assert await track.recv() == "last"
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_stopping_wakes_who_waits() -> None:
    track = ReceivedTrack("audio", "t")
    receiving = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await receiving


async def test_who_looks_opens_the_way_to_the_decoder_and_pictures_can_be_had_encoded() -> None:
    asked: list[int] = []
    gate = DecoderGate("video", want_key_frame=lambda: asked.append(1))
    track = ReceivedTrack("video", "cam", gate=gate)
    track.request_key_frame()
    encoded = asyncio.create_task(track.encoded())
    await asyncio.sleep(0)
    assert not encoded.done()
    codec = SimpleNamespace(name="VP8", mimeType="video/VP8")
    gate.put((codec, SimpleNamespace(data=b"\x01", timestamp=0)))
    assert await encoded is gate.encoded is not None
    track.request_key_frame()
    assert asked == [1]
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    assert asked == [1, 1], "nothing to begin with was kept"
    track.stop()
    with pytest.raises(MediaStreamError):
        await reading
    with pytest.raises(MediaStreamError):
        await track.encoded()


async def test_without_a_way_to_look_encoded_there_are_only_frames() -> None:
    assert await ReceivedTrack("video", "cam").encoded() is None
    assert await ReceivedTrack("audio", "mic", gate=DecoderGate("audio", want_key_frame=lambda: None)).encoded() is None


async def test_a_track_that_ends_before_anything_came_says_so() -> None:
    track = ReceivedTrack("video", "cam", gate=DecoderGate("video", want_key_frame=lambda: None))
    waiting = asyncio.create_task(track.encoded())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await waiting


async def test_the_pictures_as_they_came_end_with_the_track() -> None:
    gate = DecoderGate("video", want_key_frame=lambda: None)
    codec = SimpleNamespace(name="VP8", mimeType="video/VP8")
    track = ReceivedTrack("video", "cam", gate=gate)
    gate.put((codec, SimpleNamespace(data=b"\x00", timestamp=0)))
    encoded = await track.encoded()
    assert encoded is not None
    reader = encoded.open_reader()
    assert bytes(await reader.recv()) == b"\x00"
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(waiting, 5)
    again = ReceivedTrack("video", "cam", gate=gate)
    gate.put((codec, SimpleNamespace(data=b"\x00", timestamp=3000)))
    assert (await again.encoded()) not in (None, encoded)


async def test_a_second_reader_that_leaves_ends_the_decoding_it_began() -> None:
    gate = DecoderGate("video", want_key_frame=lambda: None)
    codec = SimpleNamespace(name="VP8", mimeType="video/VP8")
    track = ReceivedTrack("video", "cam", gate=gate)

    def decoded_of_one_more() -> int:
        gate.put((codec, SimpleNamespace(data=b"\x00", timestamp=0)))
        return gate._queue.qsize() - before

    before = 0
    assert decoded_of_one_more() == 1
    await track.encoded()
    before = gate._queue.qsize()
    first, second = track.open_tap(), track.open_tap()
    reading = [asyncio.create_task(tap.recv()) for tap in (first, second)]
    await asyncio.sleep(0)
    first.stop()
    assert decoded_of_one_more() == 1
    second.stop()
    assert decoded_of_one_more() == 1
    reading.append(asyncio.create_task(track.recv()))
    await asyncio.sleep(0)
    count = gate._queue.qsize() - before
    third = track.open_tap()
    reading.append(asyncio.create_task(third.recv()))
    await asyncio.sleep(0)
    third.stop()
    assert decoded_of_one_more() == count + 1, "the track itself is read"
    track.stop()
    assert all(isinstance(each, MediaStreamError) for each in await asyncio.gather(*reading, return_exceptions=True))
