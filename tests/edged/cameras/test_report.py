from __future__ import annotations

import json
from typing import Any

import pytest

from edged.cameras.measure import Rates
from edged.cameras.report import Report, device_facts, judged, shown_source, video_facts
from metered_realtime.media.v4l2_controls import CameraControl
from metered_realtime.media.v4l2_formats import CameraMode
from metered_realtime.media.video_description import VideoDescription

GOOD = VideoDescription("H264", 1280, 720, "Main", "3.1", "4:2:0", "4d401f", False, 8)
NO_RATES = Rates(None, None, None, None)


def facts(video: VideoDescription = GOOD, **options: Any) -> dict[str, Any]:
    return video_facts(video, Rates(25.0, 2000.4, 50, 2.0), 100) | options


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://u:secret@cam/live?token=secret", "rtsp://cam:554/live"),
        ("rtsps://cam", "rtsps://cam:322"),
        ("rtsp://u:secret@", "rtsp://..."),
        ("exec:curl -u me:secret x", "exec:curl ..."),
        ("exec:", "exec: ..."),
        ("v4l2:/dev/video0", "v4l2:/dev/video0"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(source: str, shown: str) -> None:
    assert shown_source(source) == shown


def test_a_good_camera_is_told_in_lines() -> None:
    told = judged("cam", facts(opened_ms=20, transport="udp", audio=["PCMA", "MPEG4-GENERIC"]), GOOD, can_encode=True)
    assert told.as_text().splitlines() == [
        "cam",
        "  opened    in 20 ms, over UDP",
        "  video     H264 Main, level 3.1 (4d401f), 1280x720, 4:2:0, 8 bits",
        "  rate      25 pictures a second, 2000 kbit/s",
        "  key frame every 50 pictures (2 s)",
        "  B-frames  no",
        "  audio     PCMA (sent with audio: pcma), MPEG4-GENERIC (browsers do not play it; encoded with audio: opus)",
        "  browsers  get it as the camera sends it, with no work here",
    ]
    assert json.loads(json.dumps(told.as_json()))["gop_s"] == 2.0


@pytest.mark.parametrize(("can_encode", "verdict"), [(True, "encoded"), (False, "refused")])
def test_what_browsers_do_not_show_is_judged_by_what_may_be_done_about_it(can_encode: bool, verdict: str) -> None:
    video = VideoDescription("H264", has_b_frames=True)
    told = judged("cam", video_facts(video, NO_RATES, 1), video, can_encode=can_encode)
    assert told.browsers == verdict
    assert "switch them off" in told.reason
    assert "  why       it sends B-frames" in told.as_text()


def test_a_camera_that_gave_no_picture_is_not_good() -> None:
    assert judged("cam", video_facts(GOOD, NO_RATES, 0), GOOD, can_encode=True).browsers == "unreachable"


def test_far_key_frames_and_losses_come_with_advice() -> None:
    text = Report("cam", facts(gop_s=10.0, lost_packets=3, audio=[]), "as it is").as_text()
    assert "advice    key frames are far apart" in text
    assert "advice    3 packets were lost" in text
    assert "audio     none" in text
    lonely = video_facts(VideoDescription("H264"), NO_RATES, 2)
    assert "only one in 2 pictures" in Report("cam", lonely, "as it is").as_text()
    assert "size not told" in Report("cam", lonely, "as it is").as_text()


def test_a_device_that_would_not_be_taken_has_no_such_line() -> None:
    device = device_facts("Cam", "uvcvideo", [], [], None)
    assert "taken" not in Report("v4l2:/dev/video0", {"device": device}, "refused", "no").as_text()


def test_what_is_offered_instead_is_listed() -> None:
    assert "offers    H265, PCMA" in Report("cam", {"offers": ["H265", "PCMA"]}, "refused", "no").as_text()


def test_a_local_camera_is_told_with_formats_and_controls() -> None:
    modes = [CameraMode("YUYV", 640, 480, 30.0), CameraMode("YUYV", 1280, 720), CameraMode("H264", 1280, 720, 30.0)]
    controls = [
        CameraControl(1, "Brightness", "number", 0, 255, 1, 128, 100),
        CameraControl(2, "Force Key Frame", "button", 0, 0, 0, 0, None),
    ]
    device = device_facts("Cam", "uvcvideo", modes, controls, modes[2])
    assert Report("v4l2:/dev/video0", {"device": device}, "as it is").as_text().splitlines()[1:-1] == [
        "  device    Cam (uvcvideo)",
        "  YUYV      640x480@30 1280x720",
        "  H264      1280x720@30",
        "  taken     H264 1280x720",
        "  control   brightness: now 100, number 0 to 255, default 128",
        "  control   force_key_frame: button",
    ]
    assert device_facts("Cam", "x", [], [], None)["taken"] is None
