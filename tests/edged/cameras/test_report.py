from __future__ import annotations

import json
from typing import Any

import pytest

from edged.cameras.measure import Rates
from edged.cameras.report import Report, judged, shown_source, video_facts
from metered_realtime.media.video_description import VideoDescription

GOOD = VideoDescription("H264", 1280, 720, "Main", "3.1", "4:2:0", "4d401f", False, 8)
FIREFOX = (
    "with its OpenH264 plug-in, which it fetches by itself soon after its first start; "
    "it promises Baseline only, and usually plays this profile too"
)
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
        "            Chrome, Edge H.264 as it is",
        f"            Firefox      H.264 as it is ({FIREFOX})",
        "            Safari       H.264 as it is",
        "            Android      H.264 as it is (where the phone decodes H.264 in hardware, as nearly all do)",
    ]
    assert json.loads(json.dumps(told.as_json()))["gop_s"] == 2.0


@pytest.mark.parametrize(("can_encode", "others"), [(True, "encoded again"), (False, "get its sub")])
def test_h265_is_told_with_what_becomes_of_browsers_without_it(can_encode: bool, others: str) -> None:
    video = VideoDescription("H265", 1280, 720, "Main", "3.1", "4:2:0", has_b_frames=False, bit_depth=8)
    told = judged("cam", video_facts(video, NO_RATES, 9), video, can_encode=can_encode)
    assert told.browsers == "as it is"
    assert others in told.reason
    assert "  video     H265 Main, level 3.1, 1280x720, 4:2:0, 8 bits" in told.as_text()


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


def test_what_is_offered_instead_is_listed() -> None:
    assert "offers    H265, PCMA" in Report("cam", {"offers": ["H265", "PCMA"]}, "refused", "no").as_text()


def test_the_road_and_the_encoder_are_told() -> None:
    encoded = {"road": "encoded by h264_qsv", "width": 1280, "height": 720, "profile": "Constrained Baseline"}
    tried = [
        {"encoder": "h264_vaapi", "device": "/dev/dri/renderD128", "reason": "this FFmpeg has no h264_vaapi"},
        {"encoder": "h264_qsv", "device": "/dev/dri/renderD128", "reason": ""},
    ]
    encoder = {
        "asked_for": "auto",
        "found": "h264_qsv",
        "tried": tried,
        "passed_over": ["/dev/video9 cannot be opened"],
    }
    text = Report("cam", {"encoded": encoded, "encoder": encoder}, "encoded", "it sends H265").as_text()
    assert text.splitlines()[1:5] == [
        "  road      encoded by h264_qsv, 1280x720, H264 Constrained Baseline",
        "  encoder   h264_vaapi on /dev/dri/renderD128 is not used: this FFmpeg has no h264_vaapi",
        "  encoder   h264_qsv on /dev/dri/renderD128 works",
        "  encoder   /dev/video9 cannot be opened",
    ]
    nothing = {"asked_for": "auto", "found": None, "tried": [], "passed_over": []}
    assert "software: no device of this machine" in Report("cam", {"encoder": nothing}, "encoded").as_text()
    assert (
        "software: none that was tried works"
        in Report("cam", {"encoder": nothing | {"tried": tried[:1]}}, "encoded").as_text()
    )
    named = {"encoder": nothing | {"asked_for": "libx264"}}
    wrong = {"encoder": nothing | {"asked_for": "h264_rkmpp"}}
    assert "h264_rkmpp, which does not work here" in Report("cam", wrong, "encoded").as_text()
    assert "libx264, as the settings say" in Report("cam", named, "encoded").as_text()


@pytest.mark.parametrize(
    ("onvif", "says"),
    [
        ({"profile": "m", "key_frame_ms": 40, "reason": ""}, "asked for profile m: a key frame in 40 ms"),
        ({"profile": "m", "key_frame_ms": None, "reason": ""}, "asked for profile m: no key frame came of it"),
        ({"profile": None, "key_frame_ms": None, "reason": "it refused the login"}, "of no use: it refused the login"),
    ],
)
def test_what_came_of_asking_by_onvif_is_told(onvif: dict[str, Any], says: str) -> None:
    assert f"  onvif     {says}" in Report("cam", facts(onvif=onvif), "as it is").as_text()
