from __future__ import annotations

from typing import Any

import pytest

from metered_realtime.media.browser_video import browser_fault
from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.video_description import VideoDescription
from tests.sdk.media.h264_samples import sps


def described(**options: Any) -> VideoDescription:
    found = parse_sps(sps(**{"constraints": 0, **options}))
    return VideoDescription.of(found, has_b_frames=found.has_b_frames)


@pytest.mark.parametrize(
    "video",
    [
        VideoDescription("H264"),
        described(),
        described(profile=77),
        described(profile=100, reorder=0),
        described(width_mbs=256, height_mbs=135, level=52),
    ],
)
def test_what_browsers_show_has_no_fault(video: VideoDescription) -> None:
    assert browser_fault(video) is None


@pytest.mark.parametrize(
    ("video", "says"),
    [
        (VideoDescription("JPEG"), "sends JPEG, which browsers do not show: choose H.264"),
        (described(profile=100, reorder=2), "B-frames, .* switch them off"),
        (VideoDescription("H264", has_b_frames=True), "B-frames"),
        (described(profile=122), "coded as 4:2:2, .* choose 4:2:0"),
        (described(profile=244), "coded as 4:4:4"),
        (described(profile=110, bit_depth=10), "10 bits a colour, .* choose 8 bits"),
        (described(width_mbs=480, height_mbs=270), "7680x4320 is larger than browsers decode: choose 4096x2160"),
        (described(level=60), "level 6.0, more than browsers decode"),
    ],
)
def test_what_they_do_not_show_is_told_with_what_to_change(video: VideoDescription, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(browser_fault(video))
