from __future__ import annotations

from typing import NoReturn

import pytest

from metered_realtime.media.encoder_ladder import Rung, ladder
from metered_realtime.media.encoder_search import Candidate, Trial
from metered_realtime.media.video_settings import EncoderSettings

SOFTWARE = Rung("libx264", ("yuv420p",))


def nobody() -> NoReturn:
    raise AssertionError("nobody wants hardware")


def test_hardware_is_looked_for_where_it_is_wanted_and_software_is_under_it() -> None:
    found = Trial(Candidate("h264_qsv", "/dev/dri/renderD128"), "nv12")
    assert ladder(EncoderSettings(encoder="auto"), lambda: found) == [Rung("h264_qsv", ("nv12",)), SOFTWARE]
    assert ladder(EncoderSettings(encoder="auto"), lambda: None) == [SOFTWARE]


@pytest.mark.parametrize(
    ("encoder", "rungs"),
    [
        (None, [SOFTWARE]),
        ("libx264", [SOFTWARE]),
        ("libopenh264", [Rung("libopenh264", ("yuv420p",)), SOFTWARE]),
        ("h264_v4l2m2m", [Rung("h264_v4l2m2m", ("yuv420p", "nv12")), SOFTWARE]),
    ],
)
def test_an_encoder_that_is_named_is_tried_first_without_a_search(encoder: str | None, rungs: list[Rung]) -> None:
    assert ladder(EncoderSettings(encoder=encoder), nobody) == rungs


def test_vp8_is_encoded_by_software() -> None:
    assert ladder(EncoderSettings(codec="VP8", encoder="auto"), nobody) == [Rung("libvpx", ("yuv420p",))]
