"""Sources by name: what each asks of FFmpeg, and that none of it happens in the event loop."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media import files
from metered_realtime.media.files import from_camera, from_file, from_microphone, from_rtsp, screen_share
from tests.sdk.media.test_player import write_clip


async def test_a_local_file_has_the_tracks_it_has(tmp_path: Path) -> None:
    player = from_file(write_clip(tmp_path / "mute.mp4", seconds_of_sound=0))
    assert player.audio is None
    assert player.video is not None
    async with asyncio.timeout(10):
        assert (await player.video.recv()).width == 64
    player.stop()


def test_a_local_file_that_is_no_media_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("not media")
    with pytest.raises(av.FFmpegError):
        from_file(str(broken))


def test_a_missing_local_file_is_said_at_once(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.mp4", str(tmp_path / "none.mp4"), "none.mp4"):
        with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
            from_file(missing)


@pytest.mark.parametrize("name", ["rtsp://127.0.0.1:9/none", "concat:a.ts|b.ts", "picture-%03d.png"])
def test_what_is_more_than_a_path_is_left_to_ffmpeg(name: str) -> None:
    player = from_file(name)
    assert player.video is not None
    assert player.audio is not None


async def test_a_camera_that_does_not_answer_does_not_stop_the_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        player = from_rtsp(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam")
        assert player.video is not None
        receiving = asyncio.create_task(player.video.recv())
        ticks = 0
        for _ in range(20):
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks == 20
        assert not receiving.done()
        player.stop()
        with pytest.raises(MediaStreamError):
            await receiving


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="tcp, udp"):
        from_rtsp("rtsp://camera/", transport="pigeon")


def test_devices_have_one_kind_of_track() -> None:
    assert from_camera().audio is None
    assert from_camera().video is not None
    assert from_microphone().video is None
    assert from_microphone().audio is not None
    assert screen_share().audio is None


@pytest.mark.parametrize(
    ("system", "kind", "name", "input_format"),
    [
        ("linux", "camera", "/dev/video0", "v4l2"),
        ("linux", "microphone", "default", "alsa"),
        ("linux", "screen", ":0.0", "x11grab"),
        ("darwin", "camera", "default:none", "avfoundation"),
        ("win32", "camera", "video=Integrated Camera", "dshow"),
        ("win32", "microphone", "audio=Microphone", "dshow"),
        ("win32", "screen", "desktop", "gdigrab"),
    ],
)
def test_each_system_has_its_devices(system: str, kind: str, name: str, input_format: str) -> None:
    player = files._capture(kind, None, {}, system)
    assert (player._file, player._format) == (name, input_format)


def test_size_and_rate_are_asked_of_the_device() -> None:
    assert from_camera(width=320, height=240, fps=5)._options == {"video_size": "320x240", "framerate": "5"}
    assert screen_share()._options == {"framerate": "30"}


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(RuntimeError, match="plan9"):
        files._capture("camera", None, {}, "plan9")
