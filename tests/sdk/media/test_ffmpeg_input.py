"""What FFmpeg raises, as sentences, and damage that is passed over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import pytest

from metered_realtime.media import ffmpeg_input
from metered_realtime.media.ffmpeg_input import FfmpegInput, first_streams
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspNotFoundError
from metered_realtime.media.source_errors import (
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    SourceTimeoutError,
)
from tests.sdk.media.test_player import write_clip


def raised(number: int) -> Exception:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "is_open", "kind", "says"),
    [
        (raised(errno.ETIMEDOUT), False, SourceTimeoutError, "gave no answer within 10 s"),
        (raised(errno.EACCES), False, SourceDeniedError, "may not be opened by this user"),
        (raised(errno.EBUSY), False, SourceBusyError, "in use"),
        (raised(errno.ENOENT), False, SourceNotFoundError, "is not there: No such file"),
        (raised(errno.EIO), False, SourceNotFoundError, "is not there: Input/output"),
        (raised(errno.EIO), True, SourceLostError, "went away"),
        (raised(errno.EINVAL), False, SourceFormatError, "size or rate"),
        (ValueError("no container format 'alsa'"), False, SourceFormatError, "this FFmpeg has no alsa"),
        (raised(errno.ENOMEM), False, SourceError, "cannot be read"),
        (av.HTTPUnauthorizedError(401, "no"), False, RtspAuthError, "refused the login"),
        (av.HTTPNotFoundError(404, "no"), False, RtspNotFoundError, "check the path"),
        (av.ExitError(1, "Immediate exit"), True, SourceTimeoutError, "no answer"),
        (av.EOFError(541_478_725, "End of file"), True, SourceLostError, "went away"),
    ],
)
def test_every_fault_is_a_sentence(error: Exception, is_open: bool, kind: type[Exception], says: str) -> None:
    told = FfmpegInput("default", "the microphone default", "alsa").error_of(error, is_open=is_open)
    assert type(told) is kind
    assert says in str(told)
    assert str(told).startswith("the microphone default")


def test_no_sentence_and_no_repr_holds_a_login() -> None:
    what = FfmpegInput("rtsp://user:secret@cam/", "the camera at cam:554")
    error = OSError(errno.ENOMEM, "rtsp://user:secret@cam/ failed, rtsp://user:secret@cam/x too")
    assert "secret" not in str(what.error_of(error, is_open=False))
    assert "secret" not in repr(what)


def test_frames_of_the_first_streams_and_a_damaged_packet_less(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", pictures=5, seconds_of_sound=0)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux() if packet.size][2]
        data[packet.pos + 12 : packet.pos + packet.size] = b"\xff" * (packet.size - 12)
    path.write_bytes(data)
    what = FfmpegInput(str(path), "the clip")
    with what.open() as container:
        streams = first_streams(container)
        assert [stream.type for stream in streams] == ["video"]
        packets = list(what.frames(container, streams))
        assert [] in packets, "whoever asks can end there"
        assert sum(len(frames) for frames in packets) >= 3


def test_what_cannot_be_opened_raises_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="the clip is not there"):
        FfmpegInput(str(tmp_path / "none.mkv"), "the clip").open()
    with pytest.raises(SourceFormatError, match="no nosuchformat"):
        FfmpegInput("x", "the device", "nosuchformat").open()


def test_alsa_is_shown_the_settings_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_input, "_ALSA_SETTINGS", tmp_path)
    monkeypatch.delenv("ALSA_CONFIG_DIR", raising=False)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "mine.conf"))
    (tmp_path / "mine.conf").write_text("pcm.silence { type null }\n")
    with FfmpegInput("silence", "the microphone silence", "alsa").open() as container:
        assert [stream.type for stream in first_streams(container)] == ["audio"]
    assert "ALSA_CONFIG_DIR" not in os.environ
    (tmp_path / "alsa.conf").touch()
    with FfmpegInput("silence", "the microphone silence", "alsa").open():
        assert os.environ["ALSA_CONFIG_DIR"] == str(tmp_path)
