from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import av
import pytest
from aiortc.mediastreams import MediaStreamTrack

from edged.cameras.camera import Camera
from edged.cameras.losses import TELL_INTERVAL_S, Losses
from edged.settings import CameraSettings, Secret
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtsp import VideoDescription
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspConnectError, RtspNoVideoError
from tests.edged.cameras.fakes import FakePictures, FakeSource, settings
from tests.sdk.media.camera_process import CameraProcess
from tests.sdk.media.camera_process import camera as rtsp_camera
from tests.sdk.media.h265_samples import encoded
from tests.sdk.media.pictures import BLUE, RED, is_near, solid

REFUSED = RtspAuthError("the camera at 192.168.1.20:554 refused the login", login_given=True)


class Watched:
    """A camera that runs, with its statuses and reports as they came and its waits skipped."""

    def __init__(self, source: FakeSource | None, /, **options: Any) -> None:
        self.statuses: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.reports: list[tuple[str, str]] = []
        self.naps: list[float] = []
        seams: dict[str, Any] = {} if source is None else {"open_source": source.open, "sleep": self._nap}
        self.camera = Camera(
            settings(**{"name": "yard", **options}),
            report=lambda state, detail: self.reports.append((state, detail)),
            on_status=lambda: self.statuses.put_nowait((self.camera.status.state, self.camera.status.reason)),
            **seams,
        )

    async def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)

    async def status(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.statuses.get(), 10)

    async def states(self, count: int) -> list[str]:
        return [(await self.status())[0] for _ in range(count)]


@asynccontextmanager
async def running(source: FakeSource | None, /, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(source, **options)
    task = asyncio.create_task(watched.camera.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task


@asynccontextmanager
async def viewer(watched: Watched) -> AsyncIterator[MediaStreamTrack]:
    """Somebody who watches for the length of a block and reads what comes."""
    reader = watched.camera.track.open_reader()
    task = asyncio.create_task(reader.recv())
    try:
        yield reader
    finally:
        reader.stop()
        await asyncio.wait([task])
        task.exception()


async def test_it_opens_for_the_first_viewer_and_closes_after_the_last() -> None:
    source = FakeSource()
    async with running(source) as watched:
        await asyncio.sleep(0)
        assert source.count == 0
        async with viewer(watched):
            life = await source.life()
            life.show(1)
            assert await watched.states(2) == ["connecting", "live"]
            figures = watched.camera.figures()
            assert (figures["state"], figures["viewers"], figures["codec"]) == ("live", 1, "H264")
        await asyncio.wait_for(life.closed.wait(), 5)
        assert await watched.status() == ("idle", "")
        figures = watched.camera.figures()
        assert (figures["state"], figures["viewers"], figures["codec"], figures["fps"]) == ("idle", 0, None, None)
        async with viewer(watched):
            await source.life()
            assert await watched.states(1) == ["connecting"]
    assert watched.reports[0] == ("idle", "")
    assert ("live", "live, 1280x720, H264 Constrained Baseline") in watched.reports


async def test_it_lingers_after_the_last_viewer() -> None:
    source = FakeSource()
    async with running(source, linger_s=0.2) as watched:
        async with viewer(watched):
            life = await source.life()
            life.show(1)
            await watched.states(2)
        async with viewer(watched):
            await asyncio.sleep(0.3)
            assert not life.closed.is_set(), "the next viewer came in time"
        await asyncio.wait_for(life.closed.wait(), 5)
    assert source.count == 1


async def test_kept_warm_it_is_open_with_nobody_watching() -> None:
    source = FakeSource()
    async with running(source, keep_warm=True) as watched:
        (await source.life()).show(1)
        assert await watched.states(2) == ["connecting", "live"]
        reader = watched.camera.track.open_reader()
        assert (await asyncio.wait_for(reader.recv(), 5)).is_keyframe, "a picture at once"
        reader.stop()
    assert source.count == 1


async def test_it_opens_for_who_will_watch_and_closes_when_they_do_not_come() -> None:
    source = FakeSource()
    async with running(source) as watched:
        watched.camera.prepare(wanted=True)
        watched.camera.prepare(wanted=True)
        life = await source.life()
        life.show(1)
        assert await watched.states(2) == ["connecting", "live"]
        watched.camera.prepare(wanted=False)
        await asyncio.wait_for(life.closed.wait(), 5)
        watched.camera.prepare(wanted=True)
        life = await source.life()
        async with viewer(watched):
            watched.camera.prepare(wanted=False)
        await asyncio.wait_for(life.closed.wait(), 5)
    assert source.count == 2


async def test_two_pictures_of_one_camera_have_the_same_track_ids() -> None:
    source = FakeSource()
    async with running(source, audio="pcma") as watched:
        second = Camera(
            settings(audio="pcma"), report=lambda _state, _detail: None, on_status=lambda: None, alike=watched.camera
        )
        assert [track.id for track in second.tracks] == [track.id for track in watched.camera.tracks]


async def test_viewers_keep_their_session_over_a_lost_camera_and_go_on_with_a_key_frame() -> None:
    source = FakeSource()
    async with running(source) as watched:
        reader = watched.camera.track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        first = await source.life()
        first.show(100)
        before = await waiting
        first.fail(RtspConnectError("the camera at 192.168.1.20:554 ended the connection"))
        second = await source.life()
        second.show(0, key=False)
        second.show(1)
        after = await asyncio.wait_for(reader.recv(), 5)
        assert after.is_keyframe
        assert after.pts > before.pts
        assert [await watched.status() for _ in range(4)] == [
            ("connecting", ""),
            ("live", ""),
            ("lost", "the camera at 192.168.1.20:554 ended the connection"),
            ("live", ""),
        ]
        told = [state for state, _ in watched.reports]
        assert told == ["idle", "connecting", "live", "lost", "live"], "while it is tried again the reason stands"
        reader.stop()


async def test_a_camera_that_is_set_to_h265_keeps_its_viewers_and_so_does_its_restart() -> None:
    source = FakeSource()
    async with running(source) as watched:
        both, old = watched.camera.track.open_reader(), watched.camera.track.open_reader()
        both.agree(("video/H264", "video/H265"))
        old.agree(("video/H264",))
        waiting = [asyncio.create_task(each.recv()) for each in (both, old)]
        life = await source.life()
        life.show(0)
        assert [bytes(await packet) for packet in waiting] == [b"picture"] * 2
        source.video = VideoDescription("H265", 64, 48, "Main", has_b_frames=False)
        decoder: Any = av.CodecContext.create("h264", "r")
        for colour in (RED, BLUE):
            life.fail(RtspConnectError("the camera ended the connection"))
            life = await source.life()
            pictures = encoded([solid(colour)] * 10)
            for unit in pictures:
                life.give(unit)
            assert bytes(await asyncio.wait_for(both.recv(), 5)) == pictures[0].data
            frames: list[Any] = []
            while not frames or not is_near(frames[-1], colour):
                packet = await asyncio.wait_for(old.recv(), 10)
                frames += decoder.decode(av.Packet(bytes(packet)))
            for _ in pictures[1:]:
                await asyncio.wait_for(both.recv(), 5)
        both.stop()
        old.stop()


async def test_a_refused_login_is_one_warning_that_names_the_setting(caplog: pytest.LogCaptureFixture) -> None:
    source = FakeSource()
    caplog.set_level(logging.INFO)
    options = {"username": "admin", "password_file": "/etc/edged/yard.password"}
    async with running(source, **options) as watched, viewer(watched):
        for _ in range(3):
            (await source.life()).fail(REFUSED)
        await source.life()
    sentence = 'the camera at 192.168.1.20:554 refused user "admin": check username and password_file'
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"camera yard: {sentence}")
    assert ("failed", sentence) in [watched.statuses.get_nowait() for _ in range(watched.statuses.qsize())]
    assert max(watched.naps) >= 60


async def test_viewers_who_come_and_go_do_not_make_it_try_a_refused_login_faster() -> None:
    source = FakeSource()
    async with running(source) as watched:
        async with viewer(watched):
            (await source.life()).fail(REFUSED)
            assert await watched.states(2) == ["connecting", "failed"]
        assert await watched.status() == ("idle", "")
        watched.naps.clear()
        async with viewer(watched):
            await source.life()
    assert watched.naps[0] == pytest.approx(60, abs=1)


async def test_a_source_of_no_use_is_a_failure_not_a_crash() -> None:
    source = FakeSource()
    source.refusal = RtspConnectError("no such host")
    async with running(source) as watched, viewer(watched):
        assert [await watched.status() for _ in range(2)] == [("connecting", ""), ("lost", "no such host")]


B_FRAMES = VideoDescription("H264", 1280, 720, "High", has_b_frames=True)


async def test_b_frames_are_encoded_again_which_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    source = FakeSource(B_FRAMES)
    async with running(source) as watched, viewer(watched):
        for _ in range(2):
            refused = await source.life()
            await refused.closed.wait()
            life = await source.life()
            life.show(1)
            life.fail(RtspConnectError("gone"))
        await source.life()
    assert source.roads[:4] == ["as it is", "encoded"] * 2
    assert ("live", "live, 1280x720, H264 Constrained Baseline, encoded by libx264") in watched.reports
    warnings = [record.getMessage() for record in caplog.records if "B-frames" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("camera yard: it sends B-frames")
    assert warnings[0].endswith("it is decoded and encoded here, once for all viewers")


async def test_b_frames_are_refused_with_a_reason_where_encoding_is_not_allowed() -> None:
    source = FakeSource(B_FRAMES)
    async with running(source, transcode="never") as watched, viewer(watched):
        await source.life()
        _, (state, reason) = [await watched.status() for _ in range(2)]
        assert state == "failed"
        assert reason.startswith("it sends B-frames, which browsers show jerkily or not at all: switch them off")
        assert reason.endswith("or set transcode: auto")
        assert watched.naps[-1] >= 60
    assert "encoded" not in source.roads


async def test_nothing_is_shown_of_a_camera_that_turns_out_to_be_unshowable() -> None:
    source = FakeSource(VideoDescription("H264"))
    async with running(source, transcode="never") as watched, viewer(watched) as reader:
        life = await source.life()
        life.video = VideoDescription("H264", 1280, 720, "High 4:2:2", chroma_format="4:2:2")
        life.show(1)
        assert [(await watched.status())[0] for _ in range(2)] == ["connecting", "failed"]
        assert reader.readyState == "live"


async def test_a_camera_without_h264_that_cannot_be_encoded_either_says_why() -> None:
    source = FakeSource()
    source.refusal = RtspNoVideoError("the camera sends H265, not H264", ("H265",))
    async with running(source, source=Secret("exec:cat")) as watched, viewer(watched):
        assert [await watched.status() for _ in range(2)][1] == ("failed", "the camera sends H265, not H264")
    assert set(source.roads) == {"as it is"}


async def test_a_picture_is_passed_on_at_the_moment_it_comes_unless_there_is_more_to_do_with_it() -> None:
    source = FakeSource()
    async with running(source) as watched:
        reader = watched.camera.track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        life = await source.life()
        life.show(1)
        await watched.states(2)
        await waiting
        assert life.take(AccessUnit(b"at once", 2 * 3000, is_key=False))
        assert bytes(await reader.recv()) == b"at once"
        assert not life.take(AccessUnit(b"key", 3 * 3000, is_key=True)), "losses are told with it"
        life.video = VideoDescription("H264", 640, 360, "Constrained Baseline", has_b_frames=False)
        assert not life.take(AccessUnit(b"of another size", 4 * 3000, is_key=False)), "it is looked at first"
        reader.stop()


async def test_a_new_picture_size_in_mid_stream_is_told_and_the_viewer_stays() -> None:
    source = FakeSource()
    async with running(source) as watched, viewer(watched):
        life = await source.life()
        life.show(1)
        await watched.states(2)
        life.video = VideoDescription("H264", 640, 360, "Constrained Baseline", has_b_frames=False)
        life.show(2)
        await asyncio.sleep(0.01)
        assert watched.reports[-1] == ("live", "live, 640x360, H264 Constrained Baseline")
        assert not life.closed.is_set()


async def test_what_is_lost_is_told_to_the_operator_and_not_to_viewers() -> None:
    source, now_s = FakeSource(), [100.0]
    async with running(source) as watched:
        watched.camera._clock = lambda: now_s[0]
        async with viewer(watched):
            life = await source.life()
            life.show(1)
            await watched.states(2)
            life.lost = Losses(packets=12)
            now_s[0] += TELL_INTERVAL_S
            life.show(2, key=False)
            life.show(3)
            await asyncio.sleep(0.01)
            told = "live, 1280x720, H264 Constrained Baseline, lost: 12 packets from the camera"
            assert watched.reports[-1] == ("live", told)
            assert watched.statuses.empty()


async def test_a_newcomer_to_a_closed_camera_is_shown_no_old_picture() -> None:
    source = FakeSource()
    async with running(source) as watched:
        async with viewer(watched):
            (await source.life()).show(1)
            await watched.states(2)
        await watched.status()
        reader = watched.camera.track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        life = await source.life()
        life.show(2, key=False)
        assert await watched.states(2) == ["connecting", "live"]
        assert not waiting.done()
        life.show(3)
        assert (await asyncio.wait_for(waiting, 5)).is_keyframe
        reader.stop()


@pytest.fixture(scope="module")
def real_camera() -> Iterator[CameraProcess]:
    with rtsp_camera("--digest", "admin:secret") as process:
        yield process


@pytest.mark.system
async def test_a_real_camera_that_reboots_comes_back_to_the_same_viewer(real_camera: CameraProcess) -> None:
    statuses: asyncio.Queue[str] = asyncio.Queue()
    camera = Camera(
        CameraSettings(
            name="yard", source=Secret(real_camera.url()), username="admin", password=Secret("secret"), timeout_s=5
        ),
        report=lambda _state, _detail: None,
        on_status=lambda: statuses.put_nowait(camera.status.state),
    )
    task = asyncio.create_task(camera.run())
    reader = camera.track.open_reader()
    async with asyncio.timeout(20):
        pts = [(await reader.recv()).pts for _ in range(5)]
        real_camera.kill()
        assert [await statuses.get() for _ in range(3)] == ["connecting", "live", "lost"]
        real_camera.start()
        after = await reader.recv()
        while after.pts < pts[-1] + 9000:
            after = await reader.recv()
        assert after.is_keyframe, "the first picture after the pause"
        assert await statuses.get() == "live"
    reader.stop()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.system
async def test_a_real_camera_that_hangs_is_found_by_its_missing_pictures_and_comes_back() -> None:
    statuses: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    with rtsp_camera("--transport", "udp") as process:
        camera = Camera(
            CameraSettings(name="yard", source=Secret(process.url()), timeout_s=1),
            report=lambda _state, _detail: None,
            on_status=lambda: statuses.put_nowait((camera.status.state, camera.status.reason)),
        )
        task = asyncio.create_task(camera.run())
        reader = camera.track.open_reader()
        async with asyncio.timeout(30):
            last = [await reader.recv() for _ in range(5)][-1]
            process.freeze()
            while (lost := await statuses.get())[0] != "lost":
                pass
            assert "sent no picture for 1 s" in lost[1]
            process.thaw()
            packet = await reader.recv()
            while packet.pts < last.pts + 90_000:
                packet = await reader.recv()
            assert packet.is_keyframe, "the first picture after the pause"
            while (await statuses.get())[0] != "live":
                pass
        reader.stop()
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.system
@pytest.mark.parametrize("path", ["/h265", "/mjpeg", "/bframes", "/422"])
async def test_what_browsers_cannot_show_is_encoded_for_them(plain_camera: CameraProcess, path: str) -> None:
    reports: list[str] = []
    camera = Camera(
        CameraSettings(name="yard", source=Secret(plain_camera.url(path)), timeout_s=8),
        report=lambda _state, detail: reports.append(detail),
        on_status=lambda: None,
    )
    task = asyncio.create_task(camera.run())
    reader = camera.track.open_reader()
    reader.agree(["video/H264"])
    decoder = av.CodecContext.create("h264", "r")
    async with asyncio.timeout(40):
        packets = [await reader.recv() for _ in range(12)]
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    assert packets[0].is_keyframe
    assert len(frames) >= 10
    assert (frames[0].width, frames[0].height, decoder.profile) == (320, 240, "Constrained Baseline")
    assert [packet.pts for packet in packets] == sorted({packet.pts for packet in packets})
    encoded = "live, 320x240, H264 Constrained Baseline, encoded by libx264"
    besides = "live, 320x240, H265 Main; encoded by libx264 for viewers without H.265"
    assert reports[-1] == (besides if path == "/h265" else encoded)
    reader.stop()
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture(scope="module")
def plain_camera() -> Iterator[CameraProcess]:
    with rtsp_camera() as process:
        yield process


@pytest.mark.parametrize("makes", [True, False])
async def test_a_viewer_that_cannot_decode_gets_a_key_frame_or_the_last_group_again(makes: bool) -> None:
    class Pictures(FakePictures):
        asked = 0

        def request_key_frame(self) -> bool:
            self.asked += 1
            return makes

    source = FakeSource()
    life = Pictures(source.video)
    source.open = lambda _settings, _road="as it is": life  # type: ignore[method-assign, assignment]
    async with running(source) as watched:
        reader: Any = watched.camera.track.open_reader()
        reading = asyncio.create_task(reader.recv())
        life.show(0)
        await asyncio.wait_for(reading, 5)
        reader.request_key_frame()
        assert life.asked == 1
        if not makes:
            assert (await asyncio.wait_for(reader.recv(), 5)).pts == 1, "again, a tick later"
        reader.stop()
        await asyncio.wait_for(life.closed.wait(), 5)
