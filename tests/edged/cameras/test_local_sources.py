from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edged.cameras.local_sources import encoder_settings, file_pictures, rtsp_pictures, v4l2_pictures
from edged.cameras.pictures import MakesKeyFrames
from edged.settings import CameraSettings, Secret
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source_errors import SourceError, SourceFormatError
from metered_realtime.media.v4l2_controls import ControlError
from tests.edged.cameras.clips import film
from tests.sdk.media.camera_process import CameraProcess
from tests.sdk.media.camera_process import camera as camera_process
from tests.sdk.media.fake_camera import FakeCamera, FakeSystem
from tests.sdk.media.test_decoding import encoded_pictures
from tests.sdk.media.test_rtsp import decoded_sizes
from tests.sdk.media.test_rtsp_setup import self_made

PATH = "/dev/v4l/by-id/usb-Webcam-video-index0"


def settings(**options: Any) -> CameraSettings:
    given = {"source": Secret("test:"), "width": 64, "height": 48, **options}
    return CameraSettings(name="yard", **given)


async def first(pictures: Any, count: int = 3) -> tuple[list[AccessUnit], Any]:
    async with pictures as open_pictures:
        units = []
        async for unit in open_pictures.access_units():
            units.append(unit)
            if len(units) == count:
                break
        return units, open_pictures


async def test_a_webcam_without_h264_is_encoded() -> None:
    camera = FakeCamera({"YUYV": [(64, 48, [30])]})
    for _ in range(6):
        camera.give(bytes(64 * 48 * 2))
    with pytest.raises(SourceFormatError, match="no H264 to be passed through, but YUYV"):
        await first(v4l2_pictures(PATH, settings(), encode=False, system=FakeSystem({PATH: camera})))
    units, pictures = await first(
        v4l2_pictures(PATH, settings(), encode=True, system=FakeSystem({PATH: camera})), count=1
    )
    assert units[0].is_key
    assert decoded_sizes([units[0].data]) == [(64, 48)]
    assert pictures.road == "encoded by libx264"


async def test_a_webcam_with_h264_is_passed_through() -> None:
    camera = FakeCamera({"H264": [(64, 48, [30])]})
    for unit in encoded_pictures(3):
        camera.give(unit.data)
    units, pictures = await first(v4l2_pictures(PATH, settings(), encode=False, system=FakeSystem({PATH: camera})))
    assert [unit.is_key for unit in units] == [True, False, False]
    assert pictures.road == ""


async def test_controls_are_set_before_the_camera_is_opened() -> None:
    camera = FakeCamera({"H264": [(64, 48, [30])]})
    wrong = settings(controls={"zoom": 3})
    with pytest.raises(ControlError, match="has no control 'zoom'"):
        await first(v4l2_pictures(PATH, wrong, encode=False, system=FakeSystem({PATH: camera})))
    assert not camera.is_streaming


async def test_a_film_with_b_frames_can_be_encoded_again(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", b_frames=2)
    units, pictures = await first(file_pictures(str(path), settings(), encode=True), count=12)
    assert decoded_sizes([unit.data for unit in units]) == [(64, 48)] * 12
    assert pictures.video.has_b_frames is False


def test_the_settings_reach_the_encoder() -> None:
    found = encoder_settings(settings(fps=15, bitrate_kbps=500, encoder="h264_v4l2m2m"))
    assert (found.fps, found.bitrate_bps, found.max_size) == (15, 500_000, (64, 48))
    assert found.encoder == "h264_v4l2m2m"


@pytest.mark.parametrize("path", ["/bframes", "/h265"])
async def test_a_camera_behind_tls_or_udp_is_encoded_as_the_settings_say(path: str, tmp_path: Path) -> None:
    async def road(process: CameraProcess, **options: Any) -> str:
        async with asyncio.timeout(20):
            pictures = rtsp_pictures(process.url(path), settings(**options), is_h264=path == "/bframes")
            return str((await first(pictures, count=1))[1].road)

    certificate, key = self_made(tmp_path)
    with camera_process("--tls", certificate, key) as process:
        assert await road(process, tls_verify=False) == "encoded by libx264"
        assert await road(process, tls_ca_file=certificate) == "encoded by libx264"
        with pytest.raises(SourceError):
            await road(process)
    with camera_process("--transport", "udp") as process:
        assert await road(process, transport="udp") == "encoded by libx264"


@pytest.mark.parametrize(("given", "tried"), [("", "auto"), ("auto", "auto"), ("software", None)])
def test_hardware_comes_first_unless_it_is_switched_off(given: str, tried: str | None) -> None:
    assert encoder_settings(settings(encoder=given)).encoder == tried


async def test_an_encoder_in_the_camera_is_asked_for_what_viewers_need_and_then_what_its_owner_wants() -> None:
    camera = FakeCamera({"H264": [(64, 48, [30])]})
    camera.controls |= {0x9909CF: (1, "Video Bitrate", 0, 10_000_000), 0x990A66: (1, "H264 I-Frame Period", 0, 500)}
    camera.give(encoded_pictures(1)[0].data)
    wanted = settings(bitrate_kbps=800, fps=25, controls={"h264_i_frame_period": 10})
    await first(v4l2_pictures(PATH, wanted, encode=False, system=FakeSystem({PATH: camera})), count=1)
    assert camera.set_controls == [(0x990A66, 50), (0x9909CF, 800_000), (0x990A66, 10)]


async def test_a_key_frame_is_asked_of_our_encoder_or_of_the_one_in_the_camera() -> None:
    plain, own = FakeCamera({"YUYV": [(64, 48, [30])]}), FakeCamera({"H264": [(64, 48, [30])]})
    own.controls[0x9909E5] = (4, "Force Key Frame", 0, 0)
    plain.give(bytes(64 * 48 * 2))
    own.give(encoded_pictures(1)[0].data)
    async with v4l2_pictures(PATH, settings(), encode=True, system=FakeSystem({PATH: plain})) as pictures:
        assert isinstance(pictures, MakesKeyFrames)
        units = pictures.access_units()  # type: ignore[unreachable]
        assert (await anext(units)).is_key
        assert pictures.request_key_frame()
        assert (await anext(units)).is_key, "of the picture that stands still"
    async with v4l2_pictures(PATH, settings(), encode=False, system=FakeSystem({PATH: own})) as pictures:
        assert isinstance(pictures, MakesKeyFrames)
        await anext(pictures.access_units())
        assert pictures.request_key_frame()
        own.give(encoded_pictures(2)[1].data)
        async with asyncio.timeout(5):
            while own.set_controls != [(0x9909E5, 1)]:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_h264", [True, False])
@pytest.mark.parametrize("transport", ["auto", "udp"])
def test_a_camera_that_has_to_be_decoded_is_not_opened_before_it_is_entered(transport: str, is_h264: bool) -> None:
    assert rtsp_pictures("rtsp://u:secret@cam/1", settings(transport=transport), is_h264=is_h264).road == ""  # type: ignore[attr-defined]
