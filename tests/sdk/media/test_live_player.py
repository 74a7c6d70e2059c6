"""A source that comes and goes, played by scripted sessions: what its tracks and its owner see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.source_errors import SourceDeniedError, SourceLostError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.source_state import SourceStateChange
from tests.sdk.media.tracks import picture, sound


class Source:
    """Sessions that do what the test says: `now` is the running one's sink."""

    def __init__(self) -> None:
        self.now: SourceSink | None = None
        self.begun = 0
        self.running = 0
        self.ends: asyncio.Future[None] | None = None
        self.changed = asyncio.Condition()

    async def __call__(self, sink: SourceSink) -> None:
        self.now, self.ends = sink, asyncio.get_running_loop().create_future()
        self.begun += 1
        self.running += 1
        try:
            async with self.changed:
                self.changed.notify_all()
            await self.ends
        finally:
            self.running -= 1

    def fail(self, error: Exception) -> None:
        assert self.ends is not None
        self.ends.set_exception(error)

    async def until_begun(self, count: int) -> SourceSink:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.begun >= count)
        assert self.now is not None
        return self.now


class Sleeper:
    """A sleep that is counted and over at once."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)
        await asyncio.sleep(0)


def player(source: Callable, **options: object) -> tuple[LivePlayer, list[SourceStateChange], Sleeper]:
    sleeper = Sleeper()
    made = LivePlayer(source, name="the source", sleep=sleeper, **options)  # type: ignore[arg-type]
    seen: list[SourceStateChange] = []
    made.on(SourceStateChange, seen.append)
    return made, seen, sleeper


async def test_nothing_is_opened_before_a_track_is_read() -> None:
    source = Source()
    live, seen, _ = player(source)
    await asyncio.sleep(0)
    assert source.begun == 0
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    sink = await source.until_begun(1)
    assert live.state == "connecting"
    sink.frame(picture(0))
    await reading
    assert live.state == "live"
    assert [change.state for change in seen] == ["connecting", "live"]
    await live.aclose()
    assert source.running == 0
    assert live.state == "ended"


async def test_tracks_go_on_over_a_failure_and_the_owner_is_told(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    live, seen, sleeper = player(source)
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    (await source.until_begun(1)).frame(picture(0))
    await reading
    reading = asyncio.create_task(live.video.recv())
    with caplog.at_level(logging.INFO):
        source.fail(SourceLostError("the source went away"))
        await source.until_begun(2)
        assert live.error is not None
        source.fail(SourceLostError("the source went away"))
        (await source.until_begun(3)).frame(picture(12345))
        assert (await reading).pts > 0
    assert live.video.readyState == "live"
    assert live.error is None
    assert [(change.state, change.reason) for change in seen] == [
        ("connecting", ""),
        ("live", ""),
        ("lost", "the source went away"),
        ("live", ""),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert sleeper.delays_s[0] < sleeper.delays_s[1]
    await live.aclose()


async def test_a_session_that_ends_is_begun_again() -> None:
    source = Source()
    live, seen, _ = player(source)
    assert live.audio is not None
    reading = asyncio.create_task(live.audio.recv())
    await source.until_begun(1)
    assert source.ends is not None
    source.ends.set_result(None)
    (await source.until_begun(2)).frame(sound(0))
    await reading
    assert [change.reason for change in seen] == ["", "the source ended", ""]
    await live.aclose()


async def test_a_wrong_login_is_tried_again_slowly() -> None:
    source = Source()
    live, _, sleeper = player(source)
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    await source.until_begun(1)
    source.fail(SourceDeniedError("wrong password"))
    await source.until_begun(2)
    assert sleeper.delays_s == [pytest.approx(60, abs=0.5)]
    await live.aclose()
    with pytest.raises(MediaStreamError):
        await reading


async def test_opened_waits_for_life_or_says_why_not() -> None:
    source = Source()
    live, _, _ = player(source)
    opening = asyncio.create_task(live.opened())
    await source.until_begun(1)
    assert not opening.done()
    source.fail(SourceLostError("not there"))
    with pytest.raises(SourceLostError, match="not there"):
        await opening
    opening = asyncio.create_task(live.opened())
    with pytest.raises(SourceLostError, match="not there"):
        await opening
    (await source.until_begun(2)).frame(picture(0))
    await live.opened()
    live.stop()
    with pytest.raises(SourceLostError, match="stopped"):
        await live.opened()
    await live.aclose()


async def test_stopping_while_somebody_waits_for_it_to_open() -> None:
    source = Source()
    live, _, _ = player(source)
    opening = asyncio.create_task(live.opened())
    await source.until_begun(1)
    live.stop()
    with pytest.raises(SourceLostError, match="stopped"):
        await opening
    await live.aclose()


async def test_it_is_closed_while_nobody_reads_and_opened_for_the_next() -> None:
    source = Source()
    live, seen, _ = player(source, idle_after_s=0.02)
    assert live.video is not None
    idle = asyncio.Event()
    live.on(SourceStateChange, lambda change: idle.set() if change.state == "idle" else None)
    reading = asyncio.create_task(live.video.recv())
    (await source.until_begun(1)).frame(picture(0))
    await reading
    async with asyncio.timeout(10):
        await idle.wait()
    assert source.running == 0
    reading = asyncio.create_task(live.video.recv())
    (await source.until_begun(2)).frame(picture(0))
    await reading
    assert [change.state for change in seen] == ["connecting", "live", "idle", "connecting", "live"]
    await live.aclose()


async def test_a_reader_that_waits_keeps_it_open() -> None:
    source = Source()
    live, _, _ = player(source, idle_after_s=0.005)
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    await source.until_begun(1)
    await asyncio.sleep(0.05)
    assert source.running == 1
    assert source.begun == 1
    await live.aclose()
    with pytest.raises(MediaStreamError):
        await reading


async def test_the_last_track_stopped_closes_the_source() -> None:
    source = Source()
    live, _, _ = player(source)
    assert live.audio is not None
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    await source.until_begun(1)
    live.video.stop()
    assert live.state == "connecting"
    live.audio.stop()
    assert live.state == "ended"
    await live.aclose()
    assert source.running == 0
    with pytest.raises(MediaStreamError):
        await reading


async def test_encoded_pictures_are_opened_by_their_first_viewer() -> None:
    source = Source()
    live, _, _ = player(source, passthrough=True, kinds=("video",), idle_after_s=0.02)
    assert isinstance(live.video, EncodedVideoSource)
    assert live.audio is None
    viewer = live.video.open_reader()
    reading = asyncio.create_task(viewer.recv())
    (await source.until_begun(1)).unit(AccessUnit(b"key", 0, True))
    assert bytes(await reading) == b"key"
    idle = asyncio.Event()
    live.on(SourceStateChange, lambda change: idle.set() if change.state == "idle" else None)
    viewer.stop()
    async with asyncio.timeout(10):
        await idle.wait()
    live.video.stop()
    assert live.state == "ended"
    await live.aclose()


async def test_a_fault_of_ours_ends_the_tracks_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    live, _, _ = player(source)
    assert live.video is not None
    reading = asyncio.create_task(live.video.recv())
    await source.until_begun(1)
    source.fail(ZeroDivisionError("ours"))
    with pytest.raises(MediaStreamError):
        await reading
    await live.aclose()
    assert "ours" in caplog.text


async def test_events_end_with_the_player() -> None:
    live, _, _ = player(Source())
    changes = live.events(SourceStateChange)
    live.stop()
    assert [change.state async for change in changes] == ["ended"]
    await live.aclose()
