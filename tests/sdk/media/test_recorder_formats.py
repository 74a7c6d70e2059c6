from __future__ import annotations

import pytest

from metered_realtime.media.recorder_formats import StreamFormat, container_for, format_of_key
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.h264_samples import annex_b, idr, pps, sps
from tests.sdk.media.pictures import RED, solid


@pytest.mark.parametrize(
    ("name", "muxer", "video", "audio"),
    [("a.mp4", "mp4", "H264", "aac"), ("b/C.MKV", "matroska", "H264", "libopus"), ("c.webm", "webm", "VP8", "libopus")],
)
def test_the_suffix_says_what_is_written(name: str, muxer: str, video: str, audio: str) -> None:
    container = container_for(name)
    assert (container.muxer, container.video, container.audio) == (muxer, video, audio)
    assert f"video/{video.lower()}" in container.passes


@pytest.mark.parametrize("name", ["out.avi", "out", ".mp4"])
def test_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        container_for(name)


def test_a_key_frame_of_h264_tells_its_size_and_parameter_sets() -> None:
    data = annex_b(sps(width_mbs=40, height_mbs=30), pps(), idr())
    found = format_of_key(data, "H264")
    assert found == StreamFormat("video", "h264", head=annex_b(sps(width_mbs=40, height_mbs=30), pps()))
    assert (found.width, found.height) == (640, 480)


@pytest.mark.parametrize("data", [b"", annex_b(idr()), annex_b(sps(), idr()), annex_b(b"\x67\xff", pps(), idr())])
def test_a_key_frame_that_does_not_tell_is_seen(data: bytes) -> None:
    assert format_of_key(data, "H264") is None


def test_a_key_frame_of_vp8_tells_its_size() -> None:
    unit = VideoEncoder(EncoderSettings(codec="VP8")).encode(solid(RED, 98, 66), 0)[0]
    found = format_of_key(unit.data, "VP8")
    assert found == StreamFormat("video", "vp8"), "whatever its size"
    assert (found.width, found.height) == (98, 66)
    assert format_of_key(unit.data[:9], "VP8") is None
    assert format_of_key(b"\x01" + unit.data[1:], "VP8") is None
