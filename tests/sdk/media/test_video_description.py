from __future__ import annotations

from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.video_description import VideoDescription
from tests.sdk.media.h264_samples import sps


def test_h264_is_described_by_its_parameter_set() -> None:
    found = VideoDescription.of(parse_sps(sps(profile=110, constraints=0, bit_depth=10)), has_b_frames=None)
    assert found == VideoDescription("H264", 1280, 720, "High 10", "3.1", "4:2:0", "6e001f", None, 10)


def test_what_is_not_told_is_left_open() -> None:
    assert VideoDescription("H264").width is None
