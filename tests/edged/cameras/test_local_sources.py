from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.cameras.local_sources import encoder_settings, file_pictures, rtsp_pictures, v4l2_pictures
from edged.settings import CameraSettings, Secret
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source_errors import SourceFormatError
from metered_realtime.media.v4l2_controls import ControlError
from tests.edged.cameras.clips import film
from tests.sdk.media.fake_camera import FakeCamera, FakeSystem
from tests.sdk.media.test_decoding import encoded_pictures
from tests.sdk.media.test_rtsp import decoded_sizes

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
    assert found.encoder_names == ("h264_v4l2m2m", "libx264")


@pytest.mark.parametrize("is_h264", [True, False])
@pytest.mark.parametrize("transport", ["auto", "udp"])
def test_a_camera_that_has_to_be_decoded_is_not_opened_before_it_is_entered(transport: str, is_h264: bool) -> None:
    assert rtsp_pictures("rtsp://u:secret@cam/1", settings(transport=transport), is_h264=is_h264).road == ""  # type: ignore[attr-defined]
