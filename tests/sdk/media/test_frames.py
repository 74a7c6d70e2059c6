"""Frames as an iterator."""

from __future__ import annotations

from metered_realtime.media.frames import iter_frames
from tests.sdk.media.tracks import Scripted


async def test_iteration_ends_with_the_track() -> None:
    frames = [frame async for frame in iter_frames(Scripted("video", "one", "two", None))]
    assert frames == ["one", "two"]
