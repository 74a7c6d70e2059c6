"""Sources by name: what each asks of FFmpeg, and that none of it happens in the event loop."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media import files
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.file_probe import FileProbe
from metered_realtime.media.files import from_camera, from_file, from_microphone, from_rtsp, screen_share
from metered_realtime.media.source_state import SourceStateChange
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
        player = from_rtsp(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam", timeout_s=0.3)
        assert player.video is not None
        lost = asyncio.Event()
        player.on(SourceStateChange, lambda change: lost.set() if change.state == "lost" else None)
        receiving = asyncio.create_task(player.video.recv())
        ticks = 0
        for _ in range(20):
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks == 20
        assert not receiving.done()
        async with asyncio.timeout(10):
            await lost.wait()
        assert player.error is not None
        assert "did not answer OPTIONS within 0.3 s" in str(player.error)
        await player.aclose()
        with pytest.raises(MediaStreamError):
            await receiving


def test_passthrough_is_for_the_transports_of_our_own_client() -> None:
    assert isinstance(from_rtsp("rtsp://camera/", passthrough=True).video, EncodedVideoSource)
    assert isinstance(from_rtsp("rtsp://camera/", transport="udp", passthrough=True).video, EncodedVideoSource)
    with pytest.raises(ValueError, match="passthrough needs one of the transports auto, tcp, udp"):
        from_rtsp("rtsp://camera/", transport="http", passthrough=True)


def test_a_file_that_cannot_be_looked_at_in_time_has_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_away(probe: FileProbe, within_s: float = 0.0) -> None:
        """As if the disk did not answer."""

    monkeypatch.setattr(FileProbe, "look", look_away)
    player = from_file(tmp_path / "slow.mp4")
    assert player.audio is not None
    assert player.video is not None


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
        ("linux", "microphone", "default", "alsa"),
        ("linux", "screen", ":0.0", "x11grab"),
        ("darwin", "camera", "default:none", "avfoundation"),
        ("win32", "camera", "video=Integrated Camera", "dshow"),
        ("win32", "microphone", "audio=Microphone", "dshow"),
        ("win32", "screen", "desktop", "gdigrab"),
    ],
)
def test_each_system_has_its_devices(
    monkeypatch: pytest.MonkeyPatch, system: str, kind: str, name: str, input_format: str
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    what = files._capture_input(kind, None, {}, system)
    assert (what.file, what.format) == (name, input_format)


def test_the_screen_of_the_session_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4")
    assert files._capture_input("screen", None, {}, "linux").file == ":4"
    assert files._capture_input("screen", ":5", {}, "linux").what == "the screen :5"


def test_size_and_rate_are_asked_of_the_device() -> None:
    assert files._picture_options(320, 240, 5) == {"video_size": "320x240", "framerate": "5"}
    assert files._picture_options(0, 0, 30) == {"framerate": "30"}
    assert ("framerate", "5") in files._capture_input("screen", None, {"framerate": "5"}, "linux").options


def test_sizes_that_cannot_be_are_refused() -> None:
    for size in ({"width": 0}, {"height": -1}, {"fps": -1}):
        with pytest.raises(ValueError, match="cannot be"):
            from_camera(**size)


def test_other_systems_capture_with_ffmpeg_and_pass_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SYSTEM", "darwin")
    with pytest.raises(RuntimeError, match="Linux only"):
        from_camera(passthrough=True)


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(RuntimeError, match="plan9"):
        files._capture("camera", None, {}, "plan9")
