"""A real camera played live, killed and restarted; scripted ones for what that never does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.files import from_rtsp
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.player_track import PlayerTrack
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspConnectError, RtspNoVideoError
from metered_realtime.media.rtsp_source import RtspSource, ffmpeg_options, shown_address
from metered_realtime.media.rtsp_tls import RtspTls
from metered_realtime.media.source_state import SourceLife, SourceStateChange
from metered_realtime.media.taken import taken_s
from tests.sdk.media.camera_process import CameraProcess, camera
from tests.sdk.media.test_player import write_clip
from tests.sdk.media.test_rtsp_setup import self_made

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def open_camera() -> Iterator[CameraProcess]:
    with camera() as process:
        yield process


def quick() -> SourceLife:
    def delays() -> Iterator[float]:
        while True:
            yield 0.1

    return SourceLife(delays)


def live(url: str, *, passthrough: bool = False, transport: str = "tcp") -> LivePlayer:
    source = RtspSource(url, transport=transport, timeout_s=8.0, passthrough=passthrough)
    return LivePlayer(source, name="the camera", passthrough=passthrough, life=quick())


class Ticker:
    """Counts how often the loop comes around, and the longest it was held."""

    def __init__(self) -> None:
        self.ticks = 0
        self.longest_s = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            await asyncio.sleep(0.005)
            self.ticks += 1
            self.longest_s = max(self.longest_s, loop.time() - before_s)


@pytest.mark.parametrize("passthrough", [False, True])
async def test_a_camera_that_is_restarted_comes_back_by_itself(passthrough: bool) -> None:
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    with camera() as process:
        player = live(process.url(), passthrough=passthrough)
        video: Any = player.video
        seen: list[SourceStateChange] = []
        player.on(SourceStateChange, seen.append)
        lost = asyncio.Event()
        player.on(SourceStateChange, lambda change: lost.set() if change.state == "lost" else None)
        async with asyncio.timeout(TIMEOUT_S):
            before = [await video.recv() for _ in range(5)]
            await asyncio.to_thread(process.kill)
            await lost.wait()
            assert player.error is not None
            await asyncio.to_thread(process.start)
            while player.state != "live":
                await video.recv()
            after = [await video.recv() for _ in range(5)]
        stamps = [item.pts for item in (*before, *after)]
        assert stamps == sorted(set(stamps))
        assert [seen[0].state, seen[1].state, seen[2].state, seen[-1].state] == ["connecting", "live", "lost", "live"]
        await player.aclose()
    ticking.cancel()
    assert ticker.ticks > 20
    assert ticker.longest_s < 1.0
    await until_no_thread("camera decoder")


async def until_no_thread(prefix: str) -> None:
    async with asyncio.timeout(10):
        while [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]:
            await asyncio.sleep(0.01)


async def test_sound_beside_the_picture(open_camera: CameraProcess) -> None:
    player = live(open_camera.url("/alaw"))
    assert player.audio is not None
    video: Any = player.video
    async with asyncio.timeout(TIMEOUT_S):
        sounds = [await player.audio.recv() for _ in range(4)]
        assert (await video.recv()).width == 320
    assert {frame.sample_rate for frame in sounds} == {8000}
    ends = [frame.pts + frame.samples for frame in sounds]
    assert ends[:-1] == [frame.pts for frame in sounds[1:]]
    await player.aclose()


async def test_sound_also_beside_a_picture_that_is_passed_through(open_camera: CameraProcess) -> None:
    player = live(open_camera.url("/alaw"), passthrough=True)
    assert player.audio is not None
    video: Any = player.video
    async with asyncio.timeout(TIMEOUT_S):
        assert (await video.recv()).is_keyframe
        assert (await player.audio.recv()).samples
    await player.aclose()


async def test_a_camera_without_sound_ends_that_track_alone(open_camera: CameraProcess) -> None:
    player = live(open_camera.url())
    assert player.audio is not None
    async with asyncio.timeout(TIMEOUT_S):
        with pytest.raises(MediaStreamError):
            await player.audio.recv()
        await player.opened()
    assert player.video is not None
    assert player.video.readyState == "live"
    await player.aclose()


async def test_a_camera_without_h264_is_left_to_ffmpeg(open_camera: CameraProcess) -> None:
    player = live(open_camera.url("/mjpeg"))
    video: Any = player.video
    async with asyncio.timeout(TIMEOUT_S):
        assert (await video.recv()).width == 320
    await player.aclose()
    await until_no_thread("player of")


async def test_a_camera_without_h264_cannot_be_passed_through(open_camera: CameraProcess) -> None:
    player = live(open_camera.url("/mjpeg"), passthrough=True)
    async with asyncio.timeout(TIMEOUT_S):
        with pytest.raises(RtspNoVideoError, match="JPEG"):
            await player.opened()
    await player.aclose()


@pytest.mark.parametrize("transport", ["udp", "auto"])
@pytest.mark.parametrize(("path", "by"), [("/cam", "camera decoder"), ("/mjpeg", "player of")])
async def test_a_camera_that_sends_over_udp_only_is_decoded_too(path: str, by: str, transport: str) -> None:
    with camera("--transport", "udp") as process:
        player = live(process.url(path), transport=transport)
        video: Any = player.video
        async with asyncio.timeout(TIMEOUT_S):
            assert (await video.recv()).width == 320
        assert by in " ".join(thread.name for thread in threading.enumerate())
        await player.aclose()


@pytest.mark.parametrize("path", ["/cam", "/mjpeg"])
async def test_a_camera_behind_tls_is_decoded_as_its_certificate_is_judged(path: str, tmp_path: Path) -> None:
    certificate, key = self_made(tmp_path)

    async def width(**tls: Any) -> int:
        player = from_rtsp(process.url(path), timeout_s=8.0, **tls)
        assert isinstance(player.video, PlayerTrack)
        try:
            await player.opened()
            return int((await player.video.recv()).width)
        finally:
            await player.aclose()

    with camera("--tls", certificate, key) as process:
        async with asyncio.timeout(TIMEOUT_S):
            assert await width(tls_verify=False) == 320
            assert await width(tls_ca_file=certificate) == 320
            with pytest.raises(RtspConnectError, match=r"the certificate .* is not accepted"):
                await width()


def test_ffmpeg_is_told_the_transport_and_how_to_judge_a_certificate() -> None:
    tls = RtspTls(verify=False)
    assert ffmpeg_options("rtsp://cam/1", "udp", tls) == (("rtsp_transport", "udp"),)
    assert ffmpeg_options("rtsp://cam/1", "auto", tls) == (("rtsp_flags", "prefer_tcp"),)
    assert ffmpeg_options("rtsps://cam/1", "auto", tls) == (("rtsp_transport", "tcp"), ("tls_verify", "0"))


async def test_a_wrong_password_is_a_reason_and_waits_long(caplog: pytest.LogCaptureFixture) -> None:
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)
        await asyncio.Event().wait()

    with camera("--digest", "admin:right") as process:
        source = RtspSource(process.url(login="admin:wrong"), transport="tcp", timeout_s=8.0, passthrough=False)
        player = LivePlayer(source, name="the camera", sleep=sleep)
        async with asyncio.timeout(TIMEOUT_S):
            with pytest.raises(RtspAuthError, match="refused the login"):
                await player.opened()
            while not slept:
                await asyncio.sleep(0.01)
        assert slept == [pytest.approx(60, abs=1)]
        assert player.state == "lost"
        await player.aclose()
    assert "wrong" not in caplog.text


async def test_stopping_while_a_camera_does_not_answer_is_prompt() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(4096):
            pass
        gone.set()
        writer.close()

    asked, gone = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        player = from_rtsp(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/cam")
        assert player.video is not None
        reading = asyncio.create_task(player.video.recv())
        async with asyncio.timeout(5):
            await asked.wait()
            await player.aclose()
            await gone.wait()
        with pytest.raises(MediaStreamError):
            await reading


async def test_an_address_of_no_use_is_a_reason() -> None:
    player = from_rtsp("udp://user:secret@camera/")
    with pytest.raises(Exception, match="begins with rtsp") as told:
        await player.opened()
    assert "secret" not in str(told.value)
    await player.aclose()
    assert shown_address("http://user:secret@camera:80/x?key=1") == "camera:80"
    assert shown_address("rtsp://user:secret@camera/x") == "camera:554"
    assert shown_address("secret words") == shown_address("http://[secret") == "this address"


async def test_a_camera_at_an_http_address_is_left_to_ffmpeg(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.mkv", pictures=50, seconds_of_sound=0).read_bytes()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\n\r\n" + data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        player = from_rtsp(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/live")
        video: Any = player.video
        async with asyncio.timeout(TIMEOUT_S):
            assert (await video.recv()).width == 64
        await player.aclose()


async def test_frames_say_when_they_were_taken(open_camera: CameraProcess) -> None:
    player = live(open_camera.url("/alaw"))
    assert player.audio is not None
    async with asyncio.timeout(TIMEOUT_S):
        picture, voice = await asyncio.gather(*(track.recv() for track in player.tracks))
    now_s = time.monotonic()
    for frame in (picture, voice):
        at_s = taken_s(frame)
        assert at_s is not None
        assert now_s - 5 < at_s <= now_s
    await player.aclose()
