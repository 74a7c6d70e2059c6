"""The few frames between a player and whoever reads it."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.player_track import MAX_QUEUED, MAX_QUEUED_LIVE, PlayerTrack
from tests.sdk.media.tracks import picture, sound


class Calls:
    def __init__(self) -> None:
        self.demanded = self.stopped = 0
        self.now_s = 100.0

    def track(self, kind: str = "video", *, is_live: bool = False) -> PlayerTrack:
        return PlayerTrack(kind, demanded=self._demand, stopped=self._stop, is_live=is_live, clock=lambda: self.now_s)

    def _demand(self) -> None:
        self.demanded += 1

    def _stop(self) -> None:
        self.stopped += 1


async def test_frames_come_in_their_order_and_each_read_is_a_demand() -> None:
    calls = Calls()
    track = calls.track()
    track.offer(picture(1))
    track.offer(picture(2))
    assert [(await track.recv()).pts for _ in range(2)] == [1, 2]
    assert calls.demanded == 2


@pytest.mark.parametrize("kind", ["video", "audio"])
async def test_the_oldest_frame_is_lost_and_counted_when_nobody_reads(kind: str) -> None:
    track = Calls().track(kind)
    for number in range(MAX_QUEUED[kind] + 3):
        track.offer(picture(number) if kind == "video" else sound(number))
    assert track.dropped_frames == 3
    assert (await track.recv()).pts == 3


async def test_who_comes_back_to_a_live_track_sees_what_is_now() -> None:
    calls = Calls()
    track = calls.track(is_live=True)
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.offer(picture(1))
    await reading
    for number in range(2, 10):
        track.offer(picture(number))
    assert [(await track.recv()).pts for _ in range(MAX_QUEUED_LIVE["video"])] == [7, 8, 9]
    track.offer(picture(10))
    calls.now_s += 5
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.offer(picture(11))
    assert (await reading).pts == 11


async def test_a_thread_hands_frames_over_and_wakes_the_loop_once() -> None:
    track = Calls().track()
    loop = asyncio.get_running_loop()
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)

    def produce() -> None:
        for number in range(5):
            track.offer_from_thread(loop, picture(number))

    await asyncio.to_thread(produce)
    assert (await reading).pts == 0
    assert [(await track.recv()).pts for _ in range(4)] == [1, 2, 3, 4]


async def test_what_waits_is_still_delivered_after_the_end() -> None:
    calls = Calls()
    track = calls.track()
    track.offer(picture(1))
    track.finish()
    assert (await track.recv()).pts == 1
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert track.readyState == "ended"
    assert calls.stopped == 1


async def test_stopping_ends_a_read_and_is_told_once() -> None:
    calls = Calls()
    track = calls.track()
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    track.stop()
    with pytest.raises(MediaStreamError):
        await reading
    assert calls.stopped == 1
    track.offer(picture(1))
    demanded = calls.demanded
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert calls.demanded == demanded


async def test_who_waits_or_took_a_frame_lately_reads() -> None:
    calls = Calls()
    track = calls.track()
    assert not track.is_read(10.0)
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    calls.now_s += 1000
    assert track.is_read(10.0)
    track.offer(picture(1))
    await reading
    calls.now_s += 10
    assert track.is_read(10.0)
    calls.now_s += 1
    assert not track.is_read(10.0)
