from __future__ import annotations

import signal
import subprocess
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


def test_one_that_hangs_ends_by_itself_when_its_starter_is_gone() -> None:
    program = "from metered_realtime.media.encoder_trial import end_after; end_after(1); import time; time.sleep(30)"
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == -signal.SIGALRM
