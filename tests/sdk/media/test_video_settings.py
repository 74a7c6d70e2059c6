from __future__ import annotations

from typing import Any

import pytest

from metered_realtime.media.video_settings import EncoderSettings, fitted_size


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"codec": "H265"}, "codec"),
        ({"bitrate_bps": 100}, "bitrate_bps"),
        ({"fps": 0}, "fps"),
        ({"key_frame_interval_s": 0}, "key_frame_interval_s"),
        ({"max_size": (1280, 2)}, "max_size"),
    ],
)
def test_values_no_encoder_takes_are_named(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        EncoderSettings(**wrong)


def test_what_settings_mean() -> None:
    settings = EncoderSettings(codec="VP8", fps=25, key_frame_interval_s=2.0)
    assert (settings.mime_type, settings.gop_pictures) == ("video/VP8", 50)


@pytest.mark.parametrize(
    ("size", "bound", "fitted"),
    [
        ((1920, 1080), None, (1920, 1080)),
        ((1920, 1080), (1280, 720), (1280, 720)),
        ((1080, 1920), (1280, 720), (404, 720)),
        ((640, 480), (1280, 720), (640, 480)),
        ((99, 51), None, (98, 50)),
        ((4000, 20), (400, 400), (400, 16)),
    ],
)
def test_a_picture_is_scaled_down_in_shape_and_even(size: Any, bound: Any, fitted: Any) -> None:
    assert fitted_size(*size, bound) == fitted


@pytest.mark.parametrize("size", [(0, 0), (8, 100), (100, 9000)])
def test_a_picture_nobody_can_encode_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be encoded"):
        fitted_size(*size, None)
