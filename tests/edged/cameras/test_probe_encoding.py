from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.cameras.probe_encoding import coding_facts, encoder_facts
from edged.settings import CameraSettings, Secret
from metered_realtime.media.encoder_search import Candidate, Trial
from metered_realtime.media.hardware_encoders import HardwareEncoders
from metered_realtime.media.source_errors import SourceError
from tests.edged.cameras.clips import film


def settings(source: str, **options: Any) -> CameraSettings:
    return CameraSettings(name="probe", source=Secret(source), **options)


def test_a_film_is_described_by_its_own_coding(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", b_frames=2, frames=60)
    told = coding_facts(settings(f"file:{path}"), 1.0)
    assert (told["codec"], told["width"], told["b_frames"], told["bit_depth"]) == ("H264", 64, True, 8)
    assert told["pictures"] == 60
    assert told["audio"] == []


def test_what_ffmpeg_cannot_open_is_told() -> None:
    for source in ("file:/no/film.mp4", "rtsp://127.0.0.1:1/x"):
        with pytest.raises(SourceError):
            coding_facts(settings(source, timeout_s=1.0), 0.1)
    assert coding_facts(settings("v4l2:/dev/video0"), 0.1) == {}


def test_the_search_for_an_encoder_is_told_step_by_step() -> None:
    works = Trial(Candidate("h264_qsv", "/dev/dri/renderD128"), "nv12")
    hardware = HardwareEncoders(look=lambda: ((works.candidate,), ("/dev/video9 no",)), try_out=lambda *_: works)
    assert encoder_facts(settings("test:"), hardware) == {
        "asked_for": "auto",
        "found": "h264_qsv",
        "tried": [{"encoder": "h264_qsv", "device": "/dev/dri/renderD128", "reason": ""}],
        "passed_over": ["/dev/video9 no"],
    }


@pytest.mark.parametrize(("encoder", "found"), [("software", None), ("h264_qsv", "h264_qsv"), ("h264_vaapi", None)])
def test_for_an_encoder_that_is_named_no_other_is_searched(encoder: str, found: str | None) -> None:
    def nobody() -> Any:
        raise AssertionError("nobody asked")

    def try_out(candidate: Candidate, _within_s: float) -> Trial:
        return Trial(candidate, "nv12" if candidate.encoder == "h264_qsv" else "", "")

    told = encoder_facts(settings("test:", encoder=encoder), HardwareEncoders(look=nobody, try_out=try_out))
    assert (told["asked_for"], told["found"]) == (encoder, found)
