from __future__ import annotations

import asyncio

import av

from edged.cameras.test_picture import CLIP_S, FRAMES_PER_S, HEIGHT, WIDTH, Clip, TestPicture
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264 import nal_type, split_annex_b

CLIP = Clip()


async def first(count: int) -> list[AccessUnit]:
    units: list[AccessUnit] = []
    async with TestPicture(CLIP) as picture:
        async for unit in picture.access_units():
            units.append(unit)
            if len(units) == count:
                break
    return units


async def test_it_is_described_and_has_no_b_frames() -> None:
    async with TestPicture(CLIP) as picture:
        video = picture.video
    assert (video.codec, video.width, video.height) == ("H264", WIDTH, HEIGHT)
    assert video.profile == "Constrained Baseline"
    assert video.has_b_frames is False


async def test_it_comes_at_its_own_pace_with_steady_timestamps() -> None:
    started_s = asyncio.get_running_loop().time()
    units = await first(5)
    elapsed_s = asyncio.get_running_loop().time() - started_s
    assert [unit.pts_90k for unit in units] == [step * 6000 for step in range(5)]
    assert 4 / FRAMES_PER_S <= elapsed_s < 2
    assert units[0].is_key


def test_every_key_frame_can_be_started_at_and_every_frame_decodes() -> None:
    frames = CLIP.frames()
    assert len(frames) == FRAMES_PER_S * CLIP_S
    codec = av.CodecContext.create("h264", "r")
    shown = [frame for data, _ in frames for frame in codec.decode(av.Packet(data))] + codec.decode(None)
    assert len(shown) == len(frames)
    assert len({bytes(frame.planes[0]) for frame in shown}) == len(frames), "it moves in every frame"
    keys = [data for data, is_key in frames if is_key]
    assert len(keys) == CLIP_S
    assert all([nal_type(nal) for nal in split_annex_b(data)][:2] == [7, 8] for data in keys)


def test_it_is_encoded_once() -> None:
    assert CLIP.frames() is CLIP.frames()


def test_it_is_small() -> None:
    assert sum(len(data) for data, _ in CLIP.frames()) < 400_000
