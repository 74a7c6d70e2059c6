from __future__ import annotations

import av
import pytest

from metered_realtime.media.encoder_open import open_encoder
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.pictures import solid

SIZE = (64, 48)


def test_software_is_opened_without_b_frames_in_a_profile_that_every_browser_takes() -> None:
    codec = open_encoder("libx264", "yuv420p", EncoderSettings(fps=25, key_frame_interval_s=2.0), SIZE)
    assert (codec.profile, codec.max_b_frames, codec.gop_size) == ("Baseline", 0, 50)
    assert len(codec.encode(solid((0, 0, 0), *SIZE))) == 1, "nothing is held back"


@pytest.mark.parametrize("name", ["h264_nonsense", "h264_v4l2m2m"])
def test_what_this_machine_does_not_have_cannot_be_opened(name: str) -> None:
    with pytest.raises((av.FFmpegError, ValueError)):
        open_encoder(name, "yuv420p", EncoderSettings(), SIZE)


def test_an_encoder_of_a_device_that_is_not_there_cannot_be_opened() -> None:
    with pytest.raises((av.FFmpegError, ValueError)):
        open_encoder("h264_vaapi", "nv12", EncoderSettings(), SIZE)
