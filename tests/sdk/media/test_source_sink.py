"""What sessions hand on: one line of time, and silence from one that is over."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.player_track import PlayerTrack
from metered_realtime.media.source_sink import SourceClock, SourceSink
from metered_realtime.media.taken import mark_taken
from tests.sdk.media.tracks import picture, sound


class Desk:
    """Tracks, a clock that is set by hand, and sinks over both."""

    def __init__(self, *, passthrough: bool = False) -> None:
        self.now_s = 50.0
        self.arrived = 0
        self.audio = PlayerTrack("audio", demanded=lambda: None, stopped=lambda: None)
        self.video: Any = (
            EncodedVideoSource(clock=lambda: self.now_s)
            if passthrough
            else PlayerTrack("video", demanded=lambda: None, stopped=lambda: None)
        )
        self.clock = SourceClock(lambda: self.now_s)

    def sink(self) -> SourceSink:
        return SourceSink(audio=self.audio, video=self.video, clock=self.clock, arrived=self._arrive)

    def _arrive(self) -> None:
        self.arrived += 1


async def test_time_begins_at_0_and_goes_on_over_sessions() -> None:
    desk = Desk()
    first = desk.sink()
    for number in range(3):
        first.frame(picture(777_000 + 3000 * number))
        desk.now_s += 1 / 30
    first.close()
    desk.now_s += 7
    second = desk.sink()
    second.frame(picture(5, time_base=Fraction(1, 1000)))
    frames = [await desk.video.recv() for _ in range(4)]
    assert [frame.pts for frame in frames[:3]] == [0, 3000, 6000]
    assert frames[3].pts == 3 * 3000 + 7 * 90_000
    assert {frame.time_base for frame in frames} == {Fraction(1, 90_000)}
    assert desk.arrived == 2


async def test_sound_keeps_its_own_rate() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.frame(sound(123_456, rate=44_100, samples=1024))
    desk.now_s += 1024 / 44_100
    sink.frame(sound(123_456 + 1024, rate=44_100, samples=1024))
    frames = [await desk.audio.recv() for _ in range(2)]
    assert [frame.pts for frame in frames] == [0, 1024]
    assert frames[0].time_base == Fraction(1, 44_100)
    sink.frame(sound(0, rate=8000, samples=160))  # a camera that came back with another
    other = await desk.audio.recv()
    assert other.pts * other.time_base >= 2048 * Fraction(1, 44_100) - Fraction(1, 8000)
    assert other.time_base == Fraction(1, 8000)


@pytest.mark.parametrize("late_s", [1.9, -1.9])
async def test_sound_that_is_told_anew_goes_on(late_s: float) -> None:
    desk = Desk()
    sink = desk.sink()
    for number in range(20):
        taken_s = desk.now_s if number < 10 else desk.now_s - late_s
        sink.frame(mark_taken(sound(number * 160, rate=8_000, samples=160), taken_s))
        desk.now_s += 0.02
    stamps = [(await desk.audio.recv()).pts for _ in range(20)]
    assert stamps == [number * 160 for number in range(20)]


async def test_frames_that_say_when_they_were_taken_lie_there() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.now_s += 1
    sink.frame(mark_taken(picture(900), desk.now_s))
    desk.now_s += 0.3
    sink.frame(mark_taken(sound(70, rate=8_000, samples=160), desk.now_s - 0.3))
    assert ((await desk.video.recv()).time, (await desk.audio.recv()).time) == (1.0, 1.0)


async def test_what_is_told_anew_in_mid_stream_tears_no_sound() -> None:
    desk = Desk()
    sink = desk.sink()
    for number in range(5):
        late_s = 1.8 if number > 2 else 0.0
        sink.frame(mark_taken(sound(70 + number * 160, rate=8_000, samples=160), desk.now_s - late_s))
        desk.now_s += 0.02
    assert [(await desk.audio.recv()).pts for _ in range(5)] == [number * 160 for number in range(5)]


async def test_frames_without_a_stamp_lie_where_they_came() -> None:
    desk = Desk()
    desk.now_s += 2
    desk.sink().frame(picture(None))
    assert (await desk.video.recv()).pts == 180_000


async def test_a_session_that_is_over_disturbs_nobody() -> None:
    desk = Desk()
    late = desk.sink()
    late.close()
    late.frame(picture(0))
    late.lacks("video")
    await asyncio.to_thread(late.frame_from_thread, picture(0))
    desk.sink().frame(picture(90_000))
    assert (await desk.video.recv()).pts == 0
    assert desk.arrived == 1
    assert desk.video.readyState == "live"


async def test_a_thread_hands_on_frames_and_what_the_source_lacks() -> None:
    desk = Desk()
    sink = desk.sink()
    assert sink.kinds == ("audio", "video")

    def produce() -> None:
        sink.lacks_from_thread("audio")
        for number in range(3):
            sink.frame_from_thread(picture(3000 * number))

    await asyncio.to_thread(produce)
    assert [(await desk.video.recv()).pts for _ in range(3)] == [0, 3000, 6000]
    assert desk.arrived == 1
    with pytest.raises(MediaStreamError):
        await desk.audio.recv()


async def test_units_pass_through_and_the_next_session_waits_for_a_key_frame() -> None:
    desk = Desk(passthrough=True)
    sink = desk.sink()
    sink.frame(picture(0))  # not asked for
    sink.unit(AccessUnit(b"key", 0, True))
    reader = desk.video.open_reader()
    assert bytes(await reader.recv()) == b"key"
    sink.close()
    sink.unit(AccessUnit(b"late", 3000, True))
    following = desk.sink()
    desk.now_s += 2

    def produce() -> None:
        following.unit_from_thread(AccessUnit(b"delta", 0, False))
        following.unit_from_thread(AccessUnit(b"new key", 0, True))
        following.unit_from_thread(AccessUnit(b"new delta", 3000, False))

    await asyncio.to_thread(produce)
    packets = [await reader.recv() for _ in range(2)]
    assert [bytes(packet) for packet in packets] == [b"new key", b"new delta"]
    assert [packet.pts for packet in packets] == [180_000, 183_000]
    assert desk.arrived == 2
    desk.video.stop()


def test_a_thread_that_outlives_the_loop_is_no_fault() -> None:
    async def make() -> SourceSink:
        return Desk().sink()

    sink = asyncio.run(make())
    sink.frame_from_thread(picture(0))
    sink.lacks_from_thread("audio")
