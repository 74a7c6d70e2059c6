from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.cameras.local_sources import v4l2_pictures
from edged.cameras.probe import probe
from edged.settings import CameraSettings, Secret
from metered_realtime.media.rtsp_errors import RtspConnectError, RtspNoVideoError
from tests.edged.cameras.clips import film
from tests.edged.cameras.fakes import FakeSource
from tests.edged.cameras.onvif_service import PASSWORD, USER, OnvifService
from tests.sdk.media.camera_process import camera
from tests.sdk.media.fake_camera import CAPTURE_MPLANE, STREAMING, FakeCamera, FakeSystem


def settings(source: str = "rtsp://cam/1", **options: Any) -> CameraSettings:
    return CameraSettings(name="probe", source=Secret(source), **options)


@pytest.mark.system
async def test_a_real_camera_is_told_with_everything() -> None:
    with camera("--transport", "udp") as process:
        told = await probe(settings(process.url("/alaw", login="u:secret")), within_s=10)
    assert told.browsers == "as it is"
    assert told.facts["gop_pictures"] == 10
    assert told.facts["fps"] == pytest.approx(30, abs=1)
    assert (told.facts["transport"], told.facts["audio"], told.facts["lost_packets"]) == ("udp", ["PCMA"], 0)
    assert (told.facts["width"], told.facts["b_frames"]) == (320, False)
    assert "secret" not in told.as_text() + str(told.as_json())


async def test_a_film_is_told_and_its_b_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", b_frames=2, frames=150)
    told = await probe(settings(f"file:{path}"), within_s=0.3)
    assert (told.browsers, told.facts["b_frames"]) == ("encoded", True)
    assert (await probe(settings(f"file:{path}", transcode="never"), within_s=0.3)).browsers == "refused"


async def test_a_camera_without_h264_is_told_by_what_it_offers() -> None:
    source = FakeSource()
    source.refusal = RtspNoVideoError("the camera sends H265, not H264", ("H265",))
    told = await probe(settings(transcode="never"), within_s=1, open_source=source.open)
    assert (told.browsers, told.facts, told.reason) == (
        "refused", {"offers": ["H265"]}, "the camera sends H265, not H264",
    )  # fmt: skip


async def test_a_camera_that_cannot_be_read_is_told() -> None:
    source = FakeSource()
    source.refusal = RtspConnectError("the camera refuses connections")
    told = await probe(settings(), within_s=1, open_source=source.open)
    assert (told.browsers, told.reason) == ("unreachable", "the camera refuses connections")
    assert (await probe(settings("exec:/no/such-program"), within_s=1)).browsers == "unreachable"


async def test_a_local_camera_is_told_with_what_would_be_taken() -> None:
    path = "/dev/video0"
    system = FakeSystem({path: FakeCamera({"YUYV": [(640, 480, [30])], "H264": [(1280, 720, [30])]})})
    source = FakeSource()
    told = await probe(settings(f"v4l2:{path}"), within_s=0.1, open_source=source.open, system=system)
    assert told.facts["device"]["taken"]["format"] == "H264"
    raw = FakeSystem({path: FakeCamera({"YUYV": [(640, 480, [30])]})})
    told = await probe(settings(f"v4l2:{path}"), within_s=0.1, open_source=source.open, system=raw)
    assert told.facts["device"]["taken"]["format"] == "YUYV"
    told = await probe(settings(f"v4l2:{path}"), within_s=0.1)
    assert told.browsers == "unreachable"


async def test_a_local_camera_without_h264_is_encoded_to_see_whether_that_works() -> None:
    camera = FakeCamera({"YUYV": [(64, 48, [30])]})
    camera.give(bytes(64 * 48 * 2))
    system = FakeSystem({"/dev/video0": camera})
    asked = settings("v4l2:/dev/video0", width=64, height=48)

    def open_source(given: CameraSettings, road: Any = "as it is") -> Any:
        return v4l2_pictures("/dev/video0", given, encode=road != "as it is", system=system)

    told = await probe(asked, within_s=0.5, open_source=open_source, system=system)
    assert (told.browsers, told.facts["encoded"]["road"]) == ("encoded", "encoded by libx264")
    assert told.facts["device"]["formats"] == {"YUYV": "encoded here"}
    assert told.facts["encoder"]["asked_for"] == "auto"
    camera.caps = CAPTURE_MPLANE | STREAMING
    told = await probe(asked, within_s=0.5, open_source=open_source, system=system)
    assert (told.browsers, told.facts["device"]["taken"]) == ("unreachable", None)
    assert "separate planes" in told.facts["device"]["fault"]
    assert told.reason.startswith("the camera /dev/video0 gives its pictures in separate planes")


@pytest.mark.system
async def test_of_a_camera_without_h264_the_other_road_is_told() -> None:
    with camera() as process:
        told = await probe(settings(process.url("/mjpeg"), encoder="software"), within_s=3)
        assert (told.browsers, told.facts["offers"]) == ("encoded", ["JPEG"])
        assert told.facts["encoded"] == {
            "road": "encoded by libx264", "width": 320, "height": 240, "profile": "Constrained Baseline",
        }  # fmt: skip
        assert "Firefox      H.264 encoded here" in told.as_text()
        refused = await probe(settings(process.url("/mjpeg"), transcode="never"), within_s=3)
        assert "Safari       nothing" in refused.as_text()


@pytest.mark.system
async def test_of_an_h265_camera_it_is_told_who_gets_what() -> None:
    with camera() as process:
        told = await probe(settings(process.url("/h265")), within_s=3)
        assert (told.facts["codec"], told.facts["profile"], told.facts["width"]) == ("H265", "Main", 320)
        assert (told.browsers, told.facts["gop_pictures"]) == ("as it is", 10)
        assert "Safari       H.265 as it is (" in told.as_text()
        assert "Firefox      H.264 encoded here (has no H.265)" in told.as_text()
        alone = await probe(settings(process.url("/h265"), transcode="never"), within_s=0.5)
        assert "Firefox      sub, if that is H.264 (has no H.265)" in alone.as_text()


@pytest.mark.system
async def test_what_comes_of_asking_by_onvif_is_told() -> None:
    login = {"username": USER, "password": Secret(PASSWORD)}
    async with OnvifService() as service:
        with camera("--digest", f"{USER}:{PASSWORD}") as process:
            told = await probe(settings(process.url(), onvif=service.address, **login), within_s=0.5)
            assert told.facts["onvif"]["profile"] == "main & 1"
            assert 0 <= told.facts["onvif"]["key_frame_ms"] < 3000
            assert service.tokens == ["main & 1"]
            service.faults["GetProfiles"] = "NotAuthorized"
            told = await probe(settings(process.url(), onvif=service.address, **login), within_s=0.5)
            assert (told.browsers, told.facts["onvif"]["reason"]) == ("as it is", "it refused the login")
