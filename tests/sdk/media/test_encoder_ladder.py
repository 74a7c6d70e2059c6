from __future__ import annotations

import pytest

from metered_realtime.media.encoder_ladder import Rung, ladder
from metered_realtime.media.encoder_search import Candidate, Trial
from metered_realtime.media.video_settings import EncoderSettings

SOFTWARE = Rung("libx264", ("yuv420p",))
QSV = Trial(Candidate("h264_qsv", "/dev/dri/renderD128"), "nv12")


class Hardware:
    def __init__(self, found: Trial | None) -> None:
        self.found = found
        self.asked: list[str] = []

    def choice(self) -> Trial | None:
        self.asked.append("best")
        return self.found

    def named(self, encoder: str) -> Trial | None:
        self.asked.append(encoder)
        return self.found


@pytest.mark.parametrize(("encoder", "asked"), [("auto", "best"), ("h264_qsv", "h264_qsv")])
def test_hardware_comes_first_where_it_works_and_software_is_under_it(encoder: str, asked: str) -> None:
    hardware = Hardware(QSV)
    assert ladder(EncoderSettings(encoder=encoder), hardware) == [Rung("h264_qsv", ("nv12",)), SOFTWARE]
    assert ladder(EncoderSettings(encoder=encoder), Hardware(None)) == [SOFTWARE]
    assert hardware.asked == [asked]


@pytest.mark.parametrize(
    ("encoder", "rungs"),
    [
        (None, [SOFTWARE]),
        ("libx264", [SOFTWARE]),
        ("libopenh264", [Rung("libopenh264", ("yuv420p",)), SOFTWARE]),
    ],
)
def test_software_is_opened_without_any_question(encoder: str | None, rungs: list[Rung]) -> None:
    hardware = Hardware(QSV)
    assert ladder(EncoderSettings(encoder=encoder), hardware) == rungs
    assert hardware.asked == []


def test_vp8_is_encoded_by_software() -> None:
    hardware = Hardware(QSV)
    assert ladder(EncoderSettings(codec="VP8", encoder="auto"), hardware) == [Rung("libvpx", ("yuv420p",))]
    assert hardware.asked == []
