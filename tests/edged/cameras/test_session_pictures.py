from __future__ import annotations

import asyncio

import av
import pytest

from edged.cameras.errors import CameraError
from edged.cameras.session_pictures import SessionPictures, UnitQueue, described
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source_errors import SourceLostError, SourceNotFoundError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.h264_samples import annex_b, idr, pps, slice_nal, sps

KEY = annex_b(sps(), pps(), idr())


async def test_what_a_session_gives_is_handed_on_until_it_ends() -> None:
    async def session(sink: SourceSink) -> None:
        assert sink.kinds == ("video",)
        for unit in (AccessUnit(KEY, 0, True), AccessUnit(annex_b(slice_nal()), 3000, False)):
            await asyncio.to_thread(sink.unit_from_thread, unit)
        await asyncio.sleep(0.01)

    async with SessionPictures(session, name="the film") as pictures:
        units = pictures.access_units()
        assert [(await anext(units)).pts_90k for _ in range(2)] == [0, 3000]
        assert (pictures.video.width, pictures.video.has_b_frames) == (1280, False)
        with pytest.raises(SourceLostError, match="the film ended"):
            await anext(units)


async def test_the_error_of_a_session_is_the_end_of_its_pictures() -> None:
    async def session(_: SourceSink) -> None:
        raise SourceNotFoundError("the camera is not there")

    async with SessionPictures(session, name="camera") as pictures:
        with pytest.raises(SourceNotFoundError, match="not there"):
            await anext(pictures.access_units())


async def test_leaving_ends_the_session_and_what_comes_late_is_passed_over() -> None:
    sinks: list[SourceSink] = []
    ended = asyncio.Event()

    async def session(sink: SourceSink) -> None:
        sinks.append(sink)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with SessionPictures(session, name="camera") as pictures:
        await asyncio.sleep(0)
    assert ended.is_set()
    sinks[0].unit(AccessUnit(KEY, 0, True))
    sinks[0].frame(av.VideoFrame(64, 48, "yuv420p"))
    assert pictures.video.width is None


async def test_pictures_that_no_encoder_takes_are_told() -> None:
    async def session(sink: SourceSink) -> None:
        while True:
            sink.frame_from_thread(av.VideoFrame(2, 2, "yuv420p"))
            await asyncio.sleep(0.005)

    async with SessionPictures(session, name="the camera", encoder=EncoderSettings()) as pictures:
        async with asyncio.timeout(5):
            with pytest.raises(CameraError, match=r"no H\.264 encoder takes them") as told:
                await anext(pictures.access_units())
        assert told.value.retry_after_s == 60


async def test_a_camera_that_does_not_keep_up_loses_groups_not_memory() -> None:
    queue = UnitQueue()
    for number in range(400):
        queue.push(AccessUnit(KEY, number, is_key=number % 50 == 0))
    assert (await anext(queue.units())).is_key


def test_a_key_picture_that_cannot_be_read_is_not_described() -> None:
    assert described(AccessUnit(annex_b(b"\x67\x42"), 0, True)) is None
    assert described(AccessUnit(annex_b(idr()), 0, True)) is None
