"""Viewers without H.265 before a camera that sends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import pytest

from edged.cameras import transcoding
from edged.cameras.errors import CameraError
from edged.cameras.substitute import Substitute
from edged.cameras.track import CameraTrack, Codec
from metered_realtime.media.access_unit import AccessUnit
from tests.edged.cameras.fakes import settings
from tests.sdk.media.h265_samples import encoded
from tests.sdk.media.pictures import is_near, solid

RED, BLUE = (200, 30, 30), (30, 30, 200)
PICTURES, LATER = encoded([solid(RED)] * 30), encoded([solid(BLUE)] * 10)
NEVER = (
    "it sends H.265, which this viewer does not take: choose H.264 (AVC) in the camera's settings, "
    "or set transcode: auto"
)


def new_track() -> CameraTrack:
    return CameraTrack(on_demand=lambda _watched: None, clock=lambda: 0.0)


class Yard:
    """A camera's track and its substitute; `told` are the changes that it told of as (fault, road)."""

    def __init__(self, *, second: bool = False, **options: Any) -> None:
        self.told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.naps: asyncio.Queue[float] = asyncio.Queue()
        self.track = CameraTrack(
            on_demand=lambda _watched: None,
            on_key_frame_wanted=lambda _codec: self.substitute.request_key_frame(),
            clock=lambda: 0.0,
            on_read=self._read,
        )
        self.substitute = Substitute(settings(**options), self.track, on_change=self._changed, sleep=self._nap)
        self.second = self.substitute.second = new_track() if second else None

    def _read(self) -> None:
        self.substitute.consider()

    def _changed(self) -> None:
        self.told.put_nowait((self.substitute.fault, self.substitute.road))

    async def _nap(self, seconds: float) -> None:
        self.naps.put_nowait(seconds)
        await asyncio.Event().wait()

    def sends(self, codec: Codec) -> None:
        self.track.follow(codec)
        self.substitute.consider()

    async def next_told(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.told.get(), 10)


@asynccontextmanager
async def running(yard: Yard) -> AsyncIterator[Yard]:
    task = asyncio.create_task(yard.substitute.run())
    try:
        yield yard
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task


@asynccontextmanager
async def viewer(track: CameraTrack, *codecs: str) -> AsyncIterator[Any]:
    reader = track.open_reader()
    reader.agree(codecs)
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    try:
        yield waiting
    finally:
        reader.stop()
        await asyncio.wait([waiting])
        waiting.exception()


def viewing(track: CameraTrack) -> Any:
    """Return a reader of somebody without H.265 who watches."""
    reader = track.open_reader()
    reader.agree(("video/H264",))
    reader._reader.start()
    return reader


async def packet_of(reader: Any) -> Any:
    return await asyncio.wait_for(reader.recv(), 10)


async def test_it_is_encoded_once_they_watch_and_no_longer() -> None:
    async with running(Yard()) as yard:
        yard.sends("H265")
        for unit in PICTURES[:10]:
            yard.track.push(unit)
        assert not yard.track.is_read("H265")
        async with viewer(yard.track, "video/H264") as waiting:
            assert await yard.next_told() == ("", "encoded by libx264 for viewers without H.265")
            packet = await asyncio.wait_for(waiting, 10)
            (frame,) = [*av.CodecContext.create("h264", "r").decode(av.Packet(bytes(packet)))]
            assert is_near(frame, RED)
            assert yard.track.is_read("H265"), "the encoder is one more viewer"
        assert await yard.next_told() == ("", "")
        assert not yard.track.is_read("H265")


async def test_a_key_frame_that_a_viewer_needs_is_made() -> None:
    async with running(Yard()) as yard:
        yard.sends("H265")
        reader = viewing(yard.track)
        assert not yard.substitute.request_key_frame()
        for unit in PICTURES[:10]:
            yard.track.push(unit)
        last = first = await packet_of(reader)
        reader.request_key_frame()
        while last is first or not last.is_keyframe:
            last = await packet_of(reader)
        reader.stop()


async def test_a_camera_that_was_away_comes_back_to_them_with_a_key_frame() -> None:
    async with running(Yard()) as yard:
        yard.sends("H265")
        reader = viewing(yard.track)
        for unit in PICTURES[:10]:
            yard.track.push(unit)
        await packet_of(reader)
        await yard.next_told()
        yard.track.rebase()
        yard.substitute.interrupted()
        decoder: Any = av.CodecContext.create("h264", "r")
        frames: list[Any] = []
        for unit in LATER:
            yard.track.push(unit)
        while not frames or not is_near(frames[-1], BLUE):
            packet = await packet_of(reader)
            assert frames or packet.is_keyframe
            frames += decoder.decode(av.Packet(bytes(packet)))
        reader.stop()


async def test_the_next_who_comes_is_shown_no_old_picture() -> None:
    async with running(Yard(transcode="never", second=True)) as yard:
        assert yard.second is not None
        yard.sends("H265")
        for shown in (b"old", b"new"):
            async with viewer(yard.track, "video/H264") as waiting:
                while not yard.second.is_read("H264"):
                    await asyncio.sleep(0)
                yard.second.push(AccessUnit(shown, 0, is_key=True))
                assert bytes(await waiting) == shown
                await yard.next_told()
            assert await yard.next_told() == ("", "")
            yard.second.rebase()


async def test_viewers_that_take_it_and_cameras_that_send_h264_need_no_encoder() -> None:
    async with running(Yard()) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264", "video/H265") as waiting:
            yard.track.push(PICTURES[0])
            assert bytes(await waiting) == PICTURES[0].data
        yard.sends("H264")
        async with viewer(yard.track, "video/H264") as waiting:
            yard.track.push(AccessUnit(b"own", 0, is_key=True))
            assert bytes(await waiting) == b"own"
        assert yard.told.empty()


async def test_a_camera_that_changes_to_h264_ends_it() -> None:
    async with running(Yard(transcode="never")) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264"):
            assert await yard.next_told() == (NEVER, "")
            yard.sends("H264")
            assert await yard.next_told() == ("", "")


async def test_where_nothing_may_be_encoded_they_are_told_why_and_it_is_tried_again() -> None:
    async with running(Yard(transcode="never")) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264"):
            assert await yard.next_told() == (NEVER, "")
            assert await asyncio.wait_for(yard.naps.get(), 5) >= 60


async def test_where_no_encoder_takes_it_they_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise CameraError("no H.264 encoder takes its pictures: see the log, or choose another encoder")

    monkeypatch.setattr(transcoding, "transcode_h265", refuse)
    async with running(Yard()) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264"):
            fault, road = await yard.next_told()
            assert fault.startswith("it sends H.265, which this viewer does not take, and no H.264 encoder takes")
            assert road == ""


async def test_the_second_picture_stands_in_where_it_is_h264() -> None:
    async with running(Yard(transcode="never", second=True)) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264") as waiting:
            assert yard.second is not None
            while not yard.second.is_read("H264"):
                await asyncio.sleep(0)
            yard.second.push(AccessUnit(b"small", 0, is_key=True))
            assert await yard.next_told() == ("", "the second picture for viewers without H.265")
            assert bytes(await waiting) == b"small"
        assert await yard.next_told() == ("", "")
        assert not yard.second.is_read("H264")


async def test_the_second_picture_goes_on_while_the_camera_of_the_first_is_away() -> None:
    async with running(Yard(transcode="never", second=True)) as yard:
        assert yard.second is not None
        yard.sends("H265")
        reader = viewing(yard.track)
        while not yard.second.is_read("H264"):
            await asyncio.sleep(0)
        yard.second.push(AccessUnit(b"key", 0, is_key=True))
        yard.second.push(AccessUnit(b"more", 3000, is_key=False))
        assert [bytes(await packet_of(reader)) for _ in range(2)] == [b"key", b"more"]
        yard.track.rebase()
        yard.substitute.interrupted()
        yard.second.push(AccessUnit(b"last", 6000, is_key=False))
        assert [bytes(await packet_of(reader)) for _ in range(3)] == [b"key", b"more", b"last"]
        reader.stop()


async def test_a_second_picture_in_h265_is_no_help() -> None:
    yard = Yard(transcode="never", second=True)
    assert yard.second is not None
    yard.second.follow("H265")
    async with running(yard):
        yard.sends("H265")
        async with viewer(yard.track, "video/H264"):
            assert await yard.next_told() == (NEVER, "")


async def test_while_the_second_picture_does_not_come_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.cameras.substitute._PATIENCE_S", 0.01)
    async with running(Yard(transcode="never", second=True)) as yard:
        yard.sends("H265")
        async with viewer(yard.track, "video/H264") as waiting:
            assert await yard.next_told() == (NEVER, "")
            assert yard.second is not None
            yard.second.push(AccessUnit(b"small", 0, is_key=True))
            assert await yard.next_told() == ("", "the second picture for viewers without H.265")
            assert bytes(await waiting) == b"small"
