from __future__ import annotations

import asyncio
from typing import Any

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.received import ReceivedTrack
from metered_realtime.media.relay import Relay, relay_of
from metered_realtime.media.tap import open_tap
from tests.sdk.media.tracks import Scripted, ended, picture


async def test_an_ordinary_track_is_read_beside_those_who_read_it_already() -> None:
    track = Scripted("video")
    peers = Relay(track)
    reader = peers.open_reader()
    tap = open_tap(track)
    both = [asyncio.create_task(each.recv()) for each in (reader, tap)]
    await asyncio.sleep(0)
    track.items.put_nowait(picture(0))
    first, second = await asyncio.gather(*both)
    assert first is second
    assert relay_of(track) is peers
    tap.stop()
    reader.stop()
    await ended(peers)


async def test_a_track_whose_relay_has_ended_gets_another() -> None:
    track = Scripted("audio", None)
    first = Relay(track)
    with pytest.raises(MediaStreamError):
        await first.open_reader().recv()
    assert relay_of(track) is not first


async def test_a_received_track_gives_each_frame_to_both() -> None:
    track = ReceivedTrack("video", "cam")
    tap = open_tap(track)
    waiting = asyncio.create_task(tap.recv())
    await asyncio.sleep(0)
    frame = picture(0)
    track.put(frame)
    assert (await track.recv()) is frame
    assert (await waiting) is frame
    tap.stop()


async def test_an_encoded_source_gives_its_packets() -> None:
    assert isinstance(EncodedVideoSource(), EncodedVideoSource)
    reader: Any = open_tap(EncodedVideoSource(id="yard"))
    assert (reader.id, reader.mime_type) == ("yard", "video/H264")


@pytest.mark.parametrize("wrong", [None, "track", av.VideoFrame(2, 2)])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="track"):
        open_tap(wrong)
