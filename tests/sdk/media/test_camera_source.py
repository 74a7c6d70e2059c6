"""A local camera, played live: captured, converted, passed through, unplugged and plugged in again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from metered_realtime.media import camera_source
from metered_realtime.media.camera_source import CameraSource
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.source_errors import SourceFormatError, SourceNotFoundError, SourceTimeoutError
from metered_realtime.media.source_state import SourceLife, SourceStateChange
from tests.sdk.media.fake_camera import CAPTURE_MPLANE, STREAMING, FakeCamera, FakeSystem
from tests.sdk.media.pictures import until
from tests.sdk.media.test_camera_pictures import PICTURES, jpeg
from tests.sdk.media.test_decoding import encoded_pictures

PATH = "/dev/v4l/by-id/usb-Webcam-video-index0"


def short() -> SourceLife:
    def delays():  # type: ignore[no-untyped-def]
        while True:
            yield 0.01

    return SourceLife(delays)


def live(camera: FakeCamera, *, passthrough: bool = False, device: str | None = PATH) -> LivePlayer:
    source = CameraSource(
        device, width=64, height=48, fps=30, passthrough=passthrough, system=FakeSystem({PATH: camera})
    )
    return LivePlayer(source, name=source.name, kinds=("video",), passthrough=passthrough, life=short())


def webcam() -> FakeCamera:
    return FakeCamera({"YUYV": [(64, 48, [30])], "MJPG": [(64, 48, [30]), (128, 96, [30])]})


async def first_error(player: LivePlayer) -> Exception:
    with pytest.raises(Exception) as told:
        await player.opened()
    await player.aclose()
    return told.value


async def test_pictures_become_frames_on_the_clock_of_the_camera() -> None:
    camera = webcam()
    player = live(camera)
    for number in range(3):
        camera.give(PICTURES["YUYV"], stamp_s=100 + number / 30)
    assert player.video is not None
    frames = [await player.video.recv() for _ in range(3)]
    assert [frame.pts - frames[0].pts for frame in frames] == [0, 3000, 6000]
    assert {(frame.format.name, frame.width) for frame in frames} == {("yuv420p", 64)}
    assert camera.set_formats == [("YUYV", 64, 48)]
    assert camera.rates == [(1, 30)]
    await player.aclose()
    assert (camera.opened, camera.closed) == (1, 1)
    assert "the camera" not in " ".join(thread.name for thread in threading.enumerate())


async def test_jpeg_where_raw_is_not_given_in_that_size() -> None:
    camera = FakeCamera({"YUYV": [(32, 24, [30])], "MJPG": [(64, 48, [30])]})
    player = live(camera)
    camera.give(jpeg())
    assert player.video is not None
    assert (await player.video.recv()).width == 64
    assert camera.set_formats == [("MJPG", 64, 48)]
    await player.aclose()


FORCE_KEY_FRAME = 0x0099_09E5


async def test_a_key_frame_is_asked_of_the_encoder_in_the_camera() -> None:
    camera = FakeCamera({"H264": [(64, 48, [30])]})
    camera.controls[FORCE_KEY_FRAME] = (4, "Force Key Frame", 0, 0)
    source = CameraSource(PATH, width=64, height=48, fps=30, passthrough=True, system=FakeSystem({PATH: camera}))
    assert not source.request_key_frame(), "it is not open"
    player = LivePlayer(source, name=source.name, kinds=("video",), passthrough=True, life=short())
    video = player.video
    assert isinstance(video, EncodedVideoSource)
    camera.give(encoded_pictures(1)[0].data)
    reader = video.open_reader()
    await reader.recv()
    reader.request_key_frame()  # type: ignore[attr-defined]
    camera.give(encoded_pictures(2)[1].data)
    await reader.recv()
    await until(lambda: camera.set_controls == [(FORCE_KEY_FRAME, 1)])
    assert (video.stats().key_frame_requests, video.stats().replays) == (1, 0)
    await player.aclose()
    assert not source.request_key_frame()


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_camera_that_makes_no_key_frame_is_replayed(refuses: bool) -> None:
    camera = FakeCamera({"H264": [(64, 48, [30])]})
    if refuses:
        camera.controls[FORCE_KEY_FRAME] = (4, "Force Key Frame", 0, 0)
        camera.refuses_controls = True
    source = CameraSource(PATH, width=64, height=48, fps=30, passthrough=True, system=FakeSystem({PATH: camera}))
    player = LivePlayer(source, name=source.name, kinds=("video",), passthrough=True, life=short())
    assert player.video is not None
    camera.give(encoded_pictures(1)[0].data)
    reader = player.video.open_reader()  # type: ignore[union-attr]
    first = await reader.recv()
    if refuses:
        assert source.request_key_frame(), "it says that it can"
        await until(lambda: not source.request_key_frame())
    reader.request_key_frame()
    assert bytes(await reader.recv()) == bytes(first)
    await player.aclose()


async def test_unplugged_and_plugged_in_again() -> None:
    camera = webcam()
    player = live(camera)
    changes: list[SourceStateChange] = []
    player.on(SourceStateChange, changes.append)
    assert player.video is not None
    camera.give(PICTURES["YUYV"], stamp_s=100.0)
    before = await player.video.recv()
    lost = asyncio.Event()
    player.on(SourceStateChange, lambda change: lost.set() if "not there" in change.reason else None)
    camera.unplug()
    async with asyncio.timeout(10):
        await lost.wait()
    camera.plug()
    camera.give(PICTURES["YUYV"], stamp_s=3.0)  # its clock, too, is another
    after = await player.video.recv()
    assert after.pts > before.pts
    await until(lambda: player.state == "live")
    assert [change.state for change in changes] == ["connecting", "live", "lost", "lost", "live"]
    assert isinstance(changes[3].err, SourceNotFoundError)
    await player.aclose()
    assert camera.opened == camera.closed == 2


async def test_h264_passes_through_as_it_is() -> None:
    camera = FakeCamera({"MJPG": [(64, 48, [30])], "H264": [(64, 48, [30])]})
    player = live(camera, passthrough=True)
    units = encoded_pictures(3)
    for number, unit in enumerate(units):
        camera.give(unit.data, stamp_s=50 + number / 30)
    assert player.video is not None
    packets = [await player.video.recv() for _ in range(3)]
    assert [packet.is_keyframe for packet in packets] == [True, False, False]
    assert [packet.pts for packet in packets] == [0, 3000, 6000]
    assert bytes(packets[1]) == units[1].data
    await player.aclose()


async def test_a_camera_without_h264_is_not_passed_through() -> None:
    error = await first_error(live(webcam(), passthrough=True))
    assert isinstance(error, SourceFormatError)
    assert "no H264" in str(error)
    assert "YUYV, MJPG" in str(error)


async def test_of_many_formats_a_few_are_named() -> None:
    many = FakeCamera({f"Y{number}": [(64, 48, [30])] for number in range(40)})
    assert str(await first_error(live(many))).endswith("but Y0, Y1, Y2, Y3, Y4, Y5, 34 more")


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        (FakeCamera({"Z16": [(64, 48, [30])]}), "no format that can be used here, but Z16"),
        (FakeCamera({}, caps=STREAMING), "is no camera"),
        (FakeCamera({}, caps=CAPTURE_MPLANE | STREAMING), "separate planes"),
    ],
)
async def test_what_cannot_be_used_is_a_sentence(camera: FakeCamera, says: str) -> None:
    error = await first_error(live(camera))
    assert isinstance(error, SourceFormatError)
    assert says in str(error)


async def test_a_driver_that_gives_something_else_is_refused() -> None:
    camera = webcam()
    camera.made_format = "Z16"
    assert "was asked for YUYV and gives Z16" in str(await first_error(live(camera)))


async def test_a_camera_that_gives_nothing_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_source, "STALL_S", 0.05)
    monkeypatch.setattr(camera_source, "_POLL_S", 0.01)
    assert isinstance(await first_error(live(webcam())), SourceTimeoutError)


async def test_without_a_name_the_first_camera_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_source, "first_camera", lambda system: PATH)
    camera = webcam()
    camera.give(PICTURES["YUYV"])
    player = live(camera, device=None)
    await player.opened()
    await player.aclose()
