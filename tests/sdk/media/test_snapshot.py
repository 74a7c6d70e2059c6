from __future__ import annotations

import asyncio
import io
from typing import Any

import av
import pytest

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.received import ReceivedTrack
from metered_realtime.media.relay import Relay
from metered_realtime.media.snapshot import SnapshotError, snapshot
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from metered_realtime.media.video_source import VideoSource
from tests.sdk.media.pictures import BLUE, GREEN, RED, is_near, solid, until
from tests.sdk.media.tracks import Scripted, ended


def opened(data: bytes) -> tuple[str, Any]:
    with av.open(io.BytesIO(data)) as container:
        return container.streams.video[0].codec_context.name, next(container.decode(video=0))


async def test_of_a_local_track_that_peers_read_too() -> None:
    track = Scripted("video")
    relay = Relay(track)
    peer = relay.open_reader()
    for_peer, taken = asyncio.create_task(peer.recv()), asyncio.create_task(snapshot(track))
    await asyncio.sleep(0.01)
    track.items.put_nowait(solid(RED, 99, 51))
    codec, frame = opened(await taken)
    assert (codec, frame.width, frame.height) == ("mjpeg", 99, 51)
    assert is_near(frame, RED)
    assert is_near(await for_peer, RED)
    peer.stop()
    await ended(relay)


async def test_of_a_received_track_and_as_png() -> None:
    track = ReceivedTrack("video", "cam")
    taken = asyncio.create_task(snapshot(track, format="png"))
    await asyncio.sleep(0.01)
    frame = solid(GREEN, 64, 48, "rgb24")
    track.put(frame)
    codec, shown = opened(await taken)
    assert codec == "png"
    assert is_near(shown, GREEN, tolerance=2)
    assert (await track.recv()) is frame, "its own reader loses nothing"
    assert frame.pts is None


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_of_an_encoded_track_it_is_the_newest_picture(codec: Any) -> None:
    source = EncodedVideoSource(mime_type=f"video/{codec}")
    encoder = VideoEncoder(EncoderSettings(codec=codec))
    for number, rgb in enumerate([RED] * 5 + [BLUE] * 3):
        for unit in encoder.encode(solid(rgb), number * 3000):
            source.push(unit)
    assert is_near(opened(await snapshot(source))[1], BLUE)
    assert source.viewers == 0


async def test_a_damaged_picture_is_passed_over() -> None:
    source = EncodedVideoSource()
    source.push(AccessUnit(b"\0\0\0\1\x65 this is no slice", 0, is_key=True))
    taken = asyncio.create_task(snapshot(source))
    await asyncio.sleep(0.05)
    for unit in VideoEncoder(EncoderSettings()).encode(solid(GREEN), 3000):
        source.push(unit)
    assert is_near(opened(await taken)[1], GREEN)


async def test_of_a_video_source_nobody_watches() -> None:
    source = VideoSource()
    source.push(solid(RED))
    assert is_near(opened(await snapshot(source))[1], RED)
    await until(lambda: source.viewers == 0)
    source.end()


async def test_quality_makes_a_jpeg_larger() -> None:
    frame = solid(RED, 128, 128)
    frame.planes[0].update(bytes((i * i) % 251 for i in range(frame.planes[0].buffer_size)))
    sizes = []
    for quality in (10, 60, 100):
        track = ReceivedTrack("video", "cam")
        taken = asyncio.create_task(snapshot(track, quality=quality))
        await asyncio.sleep(0.01)
        track.put(frame)
        sizes.append(len(await taken))
    assert sizes == sorted(set(sizes))


async def test_without_a_picture_in_time_the_error_says_so() -> None:
    source = EncodedVideoSource()
    with pytest.raises(SnapshotError, match=r"0\.05 s") as raised:
        await snapshot(source, timeout_s=0.05)
    assert raised.value.reason == "timeout"
    assert source.viewers == 0


async def test_of_a_track_that_has_ended_the_error_says_so() -> None:
    track = ReceivedTrack("video", "cam")
    track.stop()
    with pytest.raises(SnapshotError) as raised:
        await snapshot(track)
    assert raised.value.reason == "ended"


@pytest.mark.parametrize(
    ("track", "options", "error"),
    [
        (Scripted("audio"), {}, TypeError),
        (None, {}, TypeError),
        (Scripted("video"), {"format": "gif"}, ValueError),
        (Scripted("video"), {"quality": 0}, ValueError),
    ],
)
async def test_what_cannot_be_done_is_refused(track: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await snapshot(track, **options)
