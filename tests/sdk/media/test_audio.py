"""Sound pushed in, sent at the speed of time."""

from __future__ import annotations

import asyncio
from array import array
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.audio import BYTES_PER_S, FRAME_SAMPLES, AudioSource
from tests.sdk.media.tracks import Clock, sound

# One channel to two keeps the power: each gets 1000 divided by the root of 2.
MONO_LOUDNESS = 707


def tone(samples: int, value: int = 1000) -> bytes:
    return array("h", [value] * samples).tobytes()


def loudness(frame: Any) -> int:
    return max(abs(value) for value in array("h", bytes(frame.planes[0])))


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_frames_are_20_ms_of_48_khz_stereo() -> None:
    source = AudioSource(input_rate=48_000, input_layout="stereo")
    await source.push(tone(2 * FRAME_SAMPLES))
    frame = await source.recv()
    assert (frame.samples, frame.sample_rate, frame.layout.name, frame.format.name) == (960, 48_000, "stereo", "s16")
    assert (frame.pts, loudness(frame)) == (0, 1000)


async def test_silence_comes_where_nothing_was_pushed(clock: Clock) -> None:
    source = AudioSource(_clock=clock)
    assert loudness(await source.recv()) == 0
    clock.now_s += 0.02
    assert (await source.recv()).pts == FRAME_SAMPLES


async def test_sound_is_resampled_and_made_stereo() -> None:
    source = AudioSource(input_rate=16_000)
    await source.push(tone(3200))
    assert source.buffered_seconds == pytest.approx(0.2, abs=0.005)


async def test_chunks_may_be_cut_anywhere() -> None:
    source = AudioSource(input_rate=48_000)
    whole = tone(FRAME_SAMPLES)
    await source.push(whole[:1])
    await source.push(b"")
    await source.push(whole[1:1001])
    await source.push(memoryview(whole)[1001:])
    assert loudness(await source.recv()) == MONO_LOUDNESS
    assert source.buffered_seconds == 0


async def test_frames_of_any_format_are_taken() -> None:
    source = AudioSource()
    await source.push(sound(0, rate=8000, layout="mono", samples=800))
    await source.push(sound(0, rate=44_100, samples=4410))
    assert source.buffered_seconds == pytest.approx(0.2, abs=0.01)


async def test_the_end_comes_after_what_waits(clock: Clock) -> None:
    source = AudioSource(input_rate=48_000, _clock=clock)
    await source.push(tone(FRAME_SAMPLES))
    source.end()
    source.end()
    await source.push(tone(FRAME_SAMPLES))
    assert loudness(await source.recv()) == MONO_LOUDNESS
    with pytest.raises(MediaStreamError):
        await source.recv()
    assert source.readyState == "ended"


async def test_a_full_buffer_makes_push_wait_until_something_was_sent(clock: Clock) -> None:
    source = AudioSource(input_rate=48_000, max_buffered_seconds=0.1, _clock=clock)
    pushing = asyncio.create_task(source.push(tone(48_000)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pushing.done()
    assert source.buffered_seconds == pytest.approx(0.1, abs=0.021)
    await source.recv()
    source.end()
    await pushing


async def test_stopping_frees_who_pushes(clock: Clock) -> None:
    source = AudioSource(input_rate=48_000, max_buffered_seconds=0.1, _clock=clock)
    pushing = asyncio.create_task(source.push(tone(48_000)))
    for _ in range(10):
        await asyncio.sleep(0)
    source.stop()
    await pushing
    with pytest.raises(MediaStreamError):
        await source.recv()


async def test_time_passes_for_sound_that_nobody_hears(clock: Clock) -> None:
    source = AudioSource(input_rate=48_000, _clock=clock)
    await source.push(tone(48_000))
    clock.now_s += 0.6
    await source.push(tone(480))
    assert source.buffered_seconds == pytest.approx(0.41, abs=0.001)


async def test_pushing_into_an_empty_room_ends() -> None:
    source = AudioSource(input_rate=48_000, max_buffered_seconds=0.05)
    async with asyncio.timeout(5):
        await source.push(tone(48_000 // 4))


async def test_late_frames_do_not_come_in_a_burst(clock: Clock) -> None:
    source = AudioSource(_clock=clock)
    await source.recv()
    clock.now_s += 10.0
    await source.recv()
    async with asyncio.timeout(5):
        receiving = asyncio.create_task(source.recv())
        await asyncio.sleep(0)
        assert not receiving.done()
        await receiving


async def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        await AudioSource().push("text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "word"), [({"input_layout": "5.1"}, "input_layout"), ({"input_rate": 0}, "input_rate")]
)
def test_impossible_formats_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        AudioSource(**options)


def test_the_limit_is_in_seconds_of_output() -> None:
    assert BYTES_PER_S == 192_000
