from __future__ import annotations

import pytest

from edged.cameras.errors import CameraError
from edged.cameras.pictures import open_pictures
from edged.cameras.test_picture import TestPicture
from edged.settings import CameraSettings, Secret
from metered_realtime.media.rtsp import RtspClient
from metered_realtime.media.rtsp_errors import RtspUrlError


def camera(source: str) -> CameraSettings:
    return CameraSettings(name="yard", source=Secret(source))


def test_each_kind_of_source_is_opened_by_its_own_client() -> None:
    assert isinstance(open_pictures(camera("test:")), TestPicture)
    rtsp = open_pictures(camera(" RTSP://cam/1 "))
    assert isinstance(rtsp, RtspClient)
    assert rtsp.address == "cam:554"
    assert isinstance(open_pictures(camera("rtsps://cam/1")), RtspClient)


def test_a_source_of_another_kind_is_told() -> None:
    with pytest.raises(CameraError, match="write rtsp://HOST/PATH, or test:") as caught:
        open_pictures(camera("http://admin:secret@cam"))
    assert "secret" not in str(caught.value)
    assert caught.value.retry_after_s == 60
    with pytest.raises(RtspUrlError):
        open_pictures(camera("rtsp://"))
