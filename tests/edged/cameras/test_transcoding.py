from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import av
import pytest

from edged.cameras import transcoding
from edged.cameras.errors import CameraError
from edged.cameras.track import CameraTrack
from metered_realtime.media.access_unit import AccessUnit
from tests.edged.cameras.fakes import settings
from tests.sdk.media.h265_samples import encoded
from tests.sdk.media.pictures import is_near, solid

RED, BLUE = (200, 30, 30), (30, 30, 200)
PICTURES = encoded([*[solid(RED)] * 20, *[solid(BLUE)] * 10])


def nobody(_ask: Any) -> None:
    """Never asks for a key frame."""


def taken_s(pts_90k: int) -> float:
    return 7.0 + pts_90k / 90_000


def h265_track() -> CameraTrack:
    track = CameraTrack(on_demand=lambda _watched: None, clock=lambda: 0.0)
    track.follow("H265")
    return track


async def test_the_present_picture_comes_soon_after_the_first() -> None:
    track, made = h265_track(), asyncio.Queue[tuple[AccessUnit, str | None]]()
    for unit in PICTURES:
        track.push(replace(unit, taken_s=taken_s(unit.pts_90k)))
    work = asyncio.create_task(
        transcoding.transcode_h265(track, settings(), lambda *given: made.put_nowait(given), nobody)
    )
    decoder: Any = av.CodecContext.create("h264", "r")
    frames = []
    while not frames or not is_near(frames[-1], BLUE):
        unit, encoder = await asyncio.wait_for(made.get(), 10)
        assert encoder == "libx264"
        assert unit.taken_s in {taken_s(each.pts_90k) for each in PICTURES}, "sound is played with what was taken then"
        frames += decoder.decode(av.Packet(unit.data))
    assert len(frames) < len(PICTURES), "what is past already is not encoded"
    work.cancel()
    await asyncio.wait([work])
    assert not track.is_read("H265")


async def test_an_encoder_that_takes_no_picture_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding.VideoEncoderThread, "_encode", _fail)
    track = h265_track()
    for unit in PICTURES[:20]:
        track.push(unit)
    giving_up = asyncio.create_task(transcoding.transcode_h265(track, settings(), lambda *_: None, nobody))
    for number in range(2000):
        if giving_up.done():
            break
        track.push(AccessUnit(PICTURES[0].data, 100_000 + number * 3000, is_key=True))
        await asyncio.sleep(0.01)
    with pytest.raises(CameraError, match="encoder takes its pictures"):
        await giving_up


def _fail(thread: Any, *_: object, force_key: bool) -> list[AccessUnit]:
    thread._counts.failed += 1
    return []
