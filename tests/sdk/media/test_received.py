"""Tracks from a remote peer."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.received import MAX_QUEUED, ReceivedTrack


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
