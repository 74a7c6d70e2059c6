"""`from_camera` and its sisters on real device nodes: every road, every fault."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import av
import pytest

from metered_realtime import from_camera, list_cameras
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.source_errors import (
    SourceBusyError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    SourceTimeoutError,
)
from metered_realtime.media.source_state import SourceStateChange
from metered_realtime.media.v4l2_controls import ControlError, list_controls, set_controls
from scripts.lib.child import Child
from tests.v4l2.conftest import (
    BY_ID,
    BY_PATH,
    COMPRESSED,
    MOTION,
    PATIENCE_S,
    node,
    node_in_planes,
    plug_in,
    set_fault,
    unplug,
    until,
)

SMALL: dict[str, Any] = {"width": 320, "height": 180, "fps": 10}

Open = Callable[..., LivePlayer]


@pytest.fixture
async def open_camera() -> AsyncIterator[Open]:
    """`from_camera`; what it opened ends with the test."""
    players: list[LivePlayer] = []

    def open_(device: str | None, **options: Any) -> LivePlayer:
        players.append(from_camera(device, **{**SMALL, **options}))
        return players[-1]

    yield open_
    for player in players:
        await player.aclose()


async def frames(player: LivePlayer, count: int) -> list[Any]:
    assert player.video is not None
    async with asyncio.timeout(PATIENCE_S):
        return [await player.video.recv() for _ in range(count)]


async def read_on(player: LivePlayer) -> None:
    while True:
        await frames(player, 1)


class Lives:
    """The states a player goes through."""

    def __init__(self, player: LivePlayer) -> None:
        self.changes: list[SourceStateChange] = []
        player.on(SourceStateChange, self.changes.append)

    async def next(self, state: str) -> SourceStateChange:
        """Wait until it is in that state, and forget what was before."""
        await until(lambda: any(change.state == state for change in self.changes), f"state {state}")
        while (change := self.changes.pop(0)).state != state:
            pass
        return change


async def test_raw_pictures_come_at_the_camera_s_pace(raw_camera: str, open_camera: Open) -> None:
    taken = await frames(open_camera(raw_camera), 12)
    assert {(frame.width, frame.height, frame.format.name) for frame in taken} == {(320, 180, "yuv420p")}
    gaps_s = [float((after.pts - before.pts) * after.time_base) for before, after in pairwise(taken)]
    assert min(gaps_s) > 0
    assert sorted(gaps_s)[len(gaps_s) // 2] == pytest.approx(0.1, abs=0.05)


async def test_motion_jpeg_is_decoded(motion_camera: Child, open_camera: Open) -> None:
    taken = await frames(open_camera(MOTION, width=320, height=240, fps=15), 8)
    assert {(frame.width, frame.height, frame.format.name) for frame in taken} == {(320, 240, "yuv420p")}
    luma = bytes(taken[-1].planes[0])
    assert max(luma) - min(luma) > 150, "there is something to see"


async def test_h264_is_decoded_where_frames_are_wanted(compressed_camera: Child, open_camera: Open) -> None:
    taken = await frames(open_camera(COMPRESSED), 20)
    assert {(frame.width, frame.height) for frame in taken} == {(320, 240)}


async def test_h264_is_passed_through_as_it_is(compressed_camera: Child, open_camera: Open) -> None:
    player = open_camera(COMPRESSED, passthrough=True)
    assert player.video is not None
    reader = player.video.open_reader()
    async with asyncio.timeout(PATIENCE_S):
        packets = [await reader.recv() for _ in range(40)]
    assert packets[0].is_keyframe
    assert sum(packet.is_keyframe for packet in packets) >= 2
    assert [packet.pts for packet in packets] == sorted({packet.pts for packet in packets})
    decoder = av.CodecContext.create("h264", "r")
    shown = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    assert {(frame.width, frame.height) for frame in shown} == {(320, 240)}
    assert len(shown) >= 38
    reader.stop()


async def test_a_raw_camera_has_nothing_to_pass_through(raw_camera: str, open_camera: Open) -> None:
    player = open_camera(raw_camera, passthrough=True)
    with pytest.raises(SourceFormatError, match="no H264 to be passed through, but"):
        await asyncio.wait_for(player.opened(), PATIENCE_S)


async def test_cameras_are_listed_by_their_lasting_names(
    raw_camera: str, motion_camera: Child, compressed_camera: Child
) -> None:
    found = {camera.path: camera for camera in await asyncio.to_thread(list_cameras)}
    raw = found[node()]
    assert (raw.stable_path, raw.driver, raw.problem) == (BY_ID, "vivid", "")
    assert {"YUYV", "NV12", "YU12"} <= {mode.fourcc for mode in raw.modes}
    assert (320, 180) in {(mode.width, mode.height) for mode in raw.modes}
    assert {mode.fourcc for mode in found[MOTION].modes} == {"MJPG"}
    assert {(mode.fourcc, mode.width, mode.height) for mode in found[COMPRESSED].modes} == {("H264", 320, 240)}
    assert found[COMPRESSED].name == "Compressed"


async def test_a_camera_is_opened_by_the_name_of_its_port(raw_camera: str, open_camera: Open) -> None:
    assert len(await frames(open_camera(BY_PATH), 2)) == 2
    assert node(BY_PATH) == node(BY_ID)


async def test_without_a_name_the_first_camera_is_taken(raw_camera: str, open_camera: Open) -> None:
    assert len(await frames(open_camera(None), 2)) == 2


async def test_unplugged_and_plugged_in_again_the_same_track_goes_on(raw_camera: str, open_camera: Open) -> None:
    player = open_camera(raw_camera)
    lives = Lives(player)
    before = await frames(player, 3)
    reading = asyncio.create_task(read_on(player))
    await lives.next("live")
    for _ in range(2):
        await unplug()
        lost = await lives.next("lost")
        assert isinstance(lost.err, SourceLostError | SourceNotFoundError)
        assert "went away" in lost.reason or "is it plugged in?" in lost.reason
        await plug_in()
        await lives.next("live")
    reading.cancel()
    await asyncio.wait((reading,))
    after = await frames(player, 3)
    stamps = [frame.pts * frame.time_base for frame in (*before, *after)]
    assert stamps == sorted(set(stamps)), "one clock over all lives"


async def test_a_camera_that_is_cut_off_while_it_is_read_is_lost(raw_camera: str, open_camera: Open) -> None:
    player = open_camera(raw_camera)
    lives = Lives(player)
    await frames(player, 2)
    set_fault("disconnect")
    lost = await lives.next("lost")
    assert isinstance(lost.err, SourceLostError)
    assert lost.reason == f"the camera {raw_camera} went away: No such device"


async def test_damaged_and_dropped_pictures_are_left_out(raw_camera: str, open_camera: Open) -> None:
    player = open_camera(raw_camera)
    await frames(player, 2)
    set_fault("percentage_of_dropped_buffers", 50)
    for _ in range(3):
        set_fault("inject_v4l2_buf_flag_error")
    assert len(await frames(player, 10)) == 10
    assert player.state == "live"


async def test_a_camera_that_stalls_is_opened_again(motion_camera: Child, open_camera: Open) -> None:
    player = open_camera(MOTION, width=320, height=240)
    lives = Lives(player)
    reading = asyncio.create_task(read_on(player))
    await lives.next("live")
    motion_camera.signal(signal.SIGSTOP)
    lost = await lives.next("lost")
    assert isinstance(lost.err, SourceTimeoutError)
    assert "gives no picture for 10 s" in lost.reason
    motion_camera.signal(signal.SIGCONT)
    await lives.next("live")
    reading.cancel()
    await asyncio.wait((reading,))


async def test_a_camera_in_use_is_told_as_such_and_taken_when_it_is_free(raw_camera: str, open_camera: Open) -> None:
    first, second = open_camera(raw_camera), open_camera(raw_camera)
    await frames(first, 2)
    with pytest.raises(SourceBusyError) as refused:
        await asyncio.wait_for(second.opened(), PATIENCE_S)
    assert str(refused.value) == f"the camera {raw_camera} is in use by another program"
    await first.aclose()
    assert len(await frames(second, 2)) == 2


async def test_no_camera_and_no_camera_at_all_are_one_clear_sentence(raw_camera: str, open_camera: Open) -> None:
    for path, kind, sentence in (
        ("/dev/video77", SourceNotFoundError, "the camera /dev/video77 is not there: is it plugged in?"),
        ("/dev/null", SourceFormatError, "the camera /dev/null is no camera that can be read: "),
        (node_in_planes(), SourceFormatError, "in separate planes, which cannot be read here"),
        (MOTION, SourceFormatError, f"the camera {MOTION} is no camera: Motion gives no pictures to read"),
    ):
        with pytest.raises(kind) as refused:
            await asyncio.wait_for(open_camera(path).opened(), PATIENCE_S)
        assert sentence in str(refused.value), path


async def test_controls_are_listed_read_and_set(raw_camera: str) -> None:
    controls = {control.key: control for control in list_controls(raw_camera)}
    brightness = controls["brightness"]
    assert (brightness.kind, brightness.minimum, brightness.maximum) == ("number", 0, 255)
    assert (controls["horizontal_flip"].kind, controls["disconnect"].kind) == ("switch", "button")
    set_controls(raw_camera, {"brightness": 77, "horizontal_flip": 1})
    values = {control.key: control.value for control in list_controls(raw_camera)}
    assert (values["brightness"], values["horizontal_flip"]) == (77, 1)
    with pytest.raises(ControlError, match="has no control 'zoom'"):
        set_controls(raw_camera, {"zoom": 1})
