from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest

from edged.cameras.command import CommandPictures
from edged.cameras.errors import CameraError
from edged.cameras.pictures import (
    MakesKeyFrames,
    address_with_login,
    can_be_encoded,
    new_group_after_s,
    open_pictures,
)
from edged.cameras.session_pictures import SessionPictures
from edged.cameras.test_picture import TestPicture
from edged.settings import CameraSettings, Secret
from metered_realtime.media.rtsp import RtspClient
from metered_realtime.media.rtsp_errors import RtspUrlError
from tests.edged.cameras.onvif_service import PASSWORD, USER, OnvifService
from tests.sdk.media.camera_process import camera as camera_process


def camera(source: str, **options: Any) -> CameraSettings:
    return CameraSettings(name="yard", source=Secret(source), **options)


def test_each_kind_of_source_is_opened_by_its_own_client() -> None:
    assert isinstance(open_pictures(camera("test:")), TestPicture)
    rtsp = open_pictures(camera(" RTSP://cam/1 "))
    assert isinstance(rtsp, RtspClient)
    assert rtsp.address == "cam:554"
    assert isinstance(open_pictures(camera("rtsps://cam/1")), RtspClient)


def test_a_source_of_another_kind_is_told() -> None:
    with pytest.raises(CameraError, match="write rtsp://HOST/PATH, v4l2:/dev/video0, or test:") as caught:
        open_pictures(camera("http://admin:secret@cam"))
    assert "secret" not in str(caught.value)
    assert caught.value.retry_after_s == 60
    with pytest.raises(RtspUrlError):
        open_pictures(camera("rtsp://"))


def test_sources_of_this_machine_have_their_own_ways() -> None:
    assert isinstance(open_pictures(camera("exec:rpicam-vid -o -")), CommandPictures)
    for source in ("v4l2:/dev/video0", "file:/srv/clip.mp4"):
        assert isinstance(open_pictures(camera(source)), SessionPictures)
        assert isinstance(open_pictures(camera(source), "encoded"), SessionPictures)
    assert isinstance(open_pictures(camera("rtsp://cam/1"), "encoded"), SessionPictures)


def test_what_gives_h264_only_has_no_other_road() -> None:
    assert [can_be_encoded(camera(source)) for source in ("rtsp://cam", "v4l2:/dev/video0", "file:/a.mp4")] == [
        True
    ] * 3
    assert [can_be_encoded(camera(source)) for source in ("test:", "exec:cat")] == [False] * 2


def test_a_login_from_the_settings_becomes_part_of_the_address() -> None:
    assert address_with_login(camera("rtsp://cam/1")) == "rtsp://cam:554/1"
    given = camera("rtsp://cam/1", username="ad min", password=Secret("p@ss/word"))
    assert address_with_login(given) == "rtsp://ad%20min:p%40ss%2Fword@cam:554/1"
    assert address_with_login(camera("rtsp://u:p%40@cam/1")) == "rtsp://u:p%40@cam:554/1"
    assert address_with_login(camera("rtsp://u@cam/1")) == "rtsp://u@cam:554/1"


def test_a_camera_whose_certificate_nobody_trusts_can_be_taken_all_the_same() -> None:
    assert isinstance(open_pictures(camera("rtsps://cam/1", tls_verify=False)), RtspClient)


@pytest.mark.parametrize("login", [{"username": USER, "password": Secret(PASSWORD)}, {}])
async def test_a_camera_is_asked_by_onvif_for_a_key_frame_with_the_login_of_its_pictures(login: dict[str, Any]) -> None:
    in_address = "" if login else f"{USER}:{quote(PASSWORD, safe='')}@"
    async with OnvifService() as service, asyncio.timeout(20):
        with camera_process("--digest", f"{USER}:{PASSWORD}") as process:
            source = process.url().replace("rtsp://", f"rtsp://{in_address}")
            async with open_pictures(camera(source, onvif=service.address, **login)) as pictures:
                assert isinstance(pictures, MakesKeyFrames)
                units = pictures.access_units()  # type: ignore[unreachable]
                await anext(units)
                assert not pictures.request_key_frame(), "it has not shown yet that it makes any"
                await service.synchronized.wait()
                assert service.tokens == ["main & 1"], "the profile of 320x240"
                while not pictures.request_key_frame():
                    await anext(units)
                await units.aclose()


async def test_without_the_setting_a_camera_is_asked_for_nothing() -> None:
    pictures: object = open_pictures(camera("rtsp://cam/1"))
    assert isinstance(pictures, MakesKeyFrames)
    assert not pictures.request_key_frame()


def test_a_camera_that_is_passed_through_loads_no_decoder_and_no_encoder() -> None:
    program = (
        "import sys; from edged.cameras.pictures import open_pictures; from edged.settings import *;"
        "open_pictures(CameraSettings(name='a', source=Secret('rtsp://cam/1')));"
        "heavy = {'av', 'aiortc', 'metered_realtime.media.decoding', 'metered_realtime.media.video_encoder'};"
        "sys.exit(' '.join(heavy & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr.strip()
        == ""
    )


def test_another_ones_camera_is_asked_for_a_newcomer_no_more_often_than_it_makes_key_frames_by_itself() -> None:
    sources = ("rtsp://cam/1", "rtsps://cam/1", "v4l2:/dev/video0", "test:")
    assert [new_group_after_s(camera(source)) for source in sources] == [4.0, 4.0, 1.0, 1.0]
