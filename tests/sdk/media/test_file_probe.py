"""A look at a file that never takes long."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import pytest

from metered_realtime.media import file_probe
from metered_realtime.media.file_probe import FileProbe
from tests.sdk.media.test_player import write_clip


def test_a_media_file_tells_what_it_has(tmp_path: Path) -> None:
    probe = FileProbe(str(write_clip(tmp_path / "clip.mp4")))
    probe.look(10.0)
    assert probe.exists
    assert probe.is_known
    assert probe.kinds == ("audio", "video")
    mute = FileProbe(str(write_clip(tmp_path / "mute.mp4", seconds_of_sound=0)))
    mute.look(10.0)
    assert mute.kinds == ("video",)


def test_what_is_no_local_file_is_known_to_be_none(tmp_path: Path) -> None:
    probe = FileProbe(str(tmp_path / "none.mp4"))
    probe.look(10.0)
    assert (probe.exists, probe.is_known, probe.kinds) == (False, True, None)
    os.mkfifo(tmp_path / "pipe")
    pipe = FileProbe(str(tmp_path / "pipe"))
    pipe.look(10.0)
    assert (pipe.exists, pipe.kinds) == (True, None)


def test_a_file_that_is_no_media_raises(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("not media")
    with pytest.raises(av.FFmpegError):
        FileProbe(str(tmp_path / "broken.mp4")).look(10.0)


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, done = threading.Event(), threading.Event()

    def slow(_: str) -> tuple[str, ...]:
        release.wait(10)
        done.set()
        return ("video",)

    monkeypatch.setattr(file_probe, "stream_kinds", slow)
    (tmp_path / "file").touch()
    probe = FileProbe(str(tmp_path / "file"))
    probe.look(0.01)
    assert not probe.is_known
    assert probe.kinds is None
    release.set()
    assert done.wait(10)
