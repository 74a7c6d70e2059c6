from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from metered_realtime.media import video_thread
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.taken import mark_taken
from metered_realtime.media.video_settings import EncoderSettings
from metered_realtime.media.video_thread import EncoderCounts, VideoEncoderThread
from tests.sdk.media.pictures import BLUE, GREEN, RED, decoded, is_near, solid, until
from tests.sdk.media.tracks import Clock


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "video encoder"]


class Bench:
    """A thread at work, and what it delivered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, **settings: Any) -> None:
        self.units: list[AccessUnit] = []
        self.counts = EncoderCounts()
        self.thread = VideoEncoderThread(
            EncoderSettings(**settings),
            loop=asyncio.get_running_loop(),
            deliver=self.units.extend,
            counts=self.counts,
            clock=clock,
        )


@pytest.fixture
async def bench() -> Any:
    bench = Bench()
    yield bench
    bench.thread.stop()
    await until(lambda: not running())


async def test_the_newest_of_the_pictures_that_wait_is_encoded(bench: Bench) -> None:
    for rgb in (RED, GREEN, BLUE):
        bench.thread.offer(solid(rgb))
    bench.thread.start()
    await until(lambda: bench.units)
    assert is_near(decoded(bench.units)[0], BLUE)
    assert (bench.counts.dropped, bench.counts.encoded) == (2, 1)
    assert (bench.counts.encoder, bench.counts.size) == ("libx264", (64, 48))


async def test_timestamps_are_those_of_the_frames_on_one_clock(bench: Bench) -> None:
    bench.thread.start()
    for number in range(3):
        frame = solid(RED)
        frame.pts, frame.time_base = 500 + number, Fraction(1, 10)
        bench.thread.offer(frame)
        await until(lambda wanted=number + 1: len(bench.units) == wanted)
    assert [b.pts_90k - a.pts_90k for a, b in zip(bench.units, bench.units[1:], strict=False)] == [9000, 9000]


async def test_it_is_known_of_a_picture_when_it_was_taken_but_of_none_that_is_encoded_again(bench: Bench) -> None:
    bench.thread.start()
    bench.thread.offer(mark_taken(solid(GREEN), 12.5))
    await until(lambda: bench.units)
    bench.thread.request_key_frame()
    await until(lambda: len(bench.units) == 2)
    assert [unit.taken_s for unit in bench.units] == [12.5, None]


async def test_a_key_frame_of_a_picture_that_stands_still_comes_all_the_same(bench: Bench) -> None:
    bench.thread.start()
    bench.thread.offer(solid(GREEN))
    await until(lambda: bench.units)
    bench.thread.request_key_frame()
    await until(lambda: len(bench.units) == 2)
    first, again = bench.units
    assert again.is_key
    assert again.pts_90k > first.pts_90k
    assert is_near(decoded([again])[0], GREEN)


async def test_a_picture_that_cannot_be_encoded_is_counted_and_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.thread.start()
    for wanted in (1, 2):
        bench.thread.offer(solid(RED, 4, 4))
        await until(lambda wanted=wanted: bench.counts.failed == wanted)
    bench.thread.offer(solid(RED))
    await until(lambda: bench.units)
    assert len(caplog.records) == 1


async def test_a_stopped_thread_ends(bench: Bench) -> None:
    bench.thread.start()
    assert len(running()) == 1
    bench.thread.stop()
    bench.thread.offer(solid(RED))
    await until(lambda: not running())
    assert bench.units == []


@pytest.mark.parametrize("has_work", [True, False])
def test_a_thread_nobody_stopped_ends_with_its_event_loop(has_work: bool) -> None:
    async def forget() -> Bench:
        bench = Bench()
        bench.thread.start()
        return bench

    bench = asyncio.run(forget())
    if has_work:
        bench.thread.offer(solid(RED))
    for thread in running():
        thread.join(5)
    assert running() == []


async def test_a_driver_that_keeps_a_picture_is_left_behind_and_software_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, made, failed, let_go = video_thread.VideoEncoder, [], [], threading.Event()

    class Hanging:
        """Chooses its encoder, and never comes back from it."""

        trying: str | None = None
        size = None
        name = "h264_v4l2m2m"

        def encode(self, *_: Any, **__: Any) -> list[AccessUnit]:
            self.trying = self.name
            let_go.wait(30)
            return [AccessUnit(b"late", 0, True)]

        def close(self) -> None:
            made.append("closed")

    def encoder(settings: EncoderSettings) -> Any:
        made.append("made")
        return Hanging() if len(made) == 1 else real(settings)

    hardware = SimpleNamespace(failed=failed.append)
    monkeypatch.setattr(video_thread, "VideoEncoder", encoder)
    monkeypatch.setattr(video_thread, "HARDWARE", hardware)
    clock = Clock()
    bench = Bench(clock=clock)
    bench.thread.start()
    bench.thread.offer(solid(RED))
    await until(lambda: bench.thread._encoder is not None and bench.thread._encoder.trying)
    for after_s in (0.0, 9.9):
        clock.now_s += after_s
        bench.thread.offer(solid(GREEN))
    assert (made, failed) == (["made"], [])
    clock.now_s += 0.2
    bench.thread.offer(solid(GREEN))
    await until(lambda: bench.units)
    assert is_near(decoded(bench.units)[0], GREEN)
    assert (bench.counts.encoder, failed) == ("libx264", ["h264_v4l2m2m"])
    let_go.set()
    await until(lambda: "closed" in made)
    bench.thread.stop()
    await until(lambda: not running())
    assert b"late" not in [unit.data for unit in bench.units]
