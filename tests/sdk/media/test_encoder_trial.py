from __future__ import annotations

import sys

import pytest

from metered_realtime.media import encoder_trial


def trial(monkeypatch: pytest.MonkeyPatch, encoder: str) -> int:
    monkeypatch.setattr(sys, "argv", ["encoder_trial", encoder])
    return encoder_trial.main()


def test_an_encoder_works_when_its_picture_can_be_decoded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial(monkeypatch, "libx264") == 0
    assert capsys.readouterr().out == "yuv420p\n"


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        ("h264_nonsense", "this FFmpeg has no h264_nonsense"),
        ("h264_v4l2m2m", "it cannot be opened, or does not work: "),
        ("mjpeg", "it cannot be opened, or does not work: "),
    ],
)
def test_one_that_does_not_says_why(
    encoder: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial(monkeypatch, encoder) == 1
    assert capsys.readouterr().err.startswith(reason)


def test_an_encoder_of_something_else_is_none_of_h264(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial(monkeypatch, "libvpx") == 1
    assert capsys.readouterr().out == ""
