from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import pytest

from edged.cameras.channel import CameraChannel
from metered_realtime import MeteredPeer, SignallingConnectError
from metered_realtime.media.rtsp import VideoDescription
from tests.edged.cameras.fakes import FakePeer, FakeSource, settings


class Scene:
    """A channel with two cameras and as many fake peers as it asks for."""

    def __init__(self) -> None:
        self.peers = [FakePeer(), FakePeer()]
        self.opened = 0
        self.source = FakeSource()
        self.reports: list[tuple[str, str, str]] = []
        self.reported = asyncio.Event()
        self.ups: list[str] = []
        self.channel = CameraChannel(
            "farm",
            (settings("yard", metadata={"role": "outside"}, transcode="never"), settings("gate")),
            gateway="farm-1",
            open_peer=self._open,
            report=lambda name: partial(self._note, name),
            open_source=self.source.open,
        )

    def _open(self) -> MeteredPeer:
        self.opened += 1
        return cast("MeteredPeer", self.peers[self.opened - 1])

    @property
    def peer(self) -> FakePeer:
        return self.peers[self.opened - 1]

    def link_reports(self) -> list[tuple[str, str]]:
        return [(state, detail) for name, state, detail in self.reports if name == "channel farm"]

    async def until_link(self, state: str, detail: str) -> None:
        async with asyncio.timeout(10):
            while (state, detail) not in self.link_reports():
                self.reported.clear()
                await self.reported.wait()

    def _note(self, name: str, state: str, detail: str) -> None:
        self.reports.append((name, state, detail))
        self.reported.set()

    async def states(self, count: int) -> list[tuple[str | None, str, str]]:
        """Return (to whom, camera, state) of the next messages about cameras."""
        found: list[tuple[str | None, str, str]] = []
        while len(found) < count:
            peer_id, data = await self.peer.next_sent()
            if data["type"] == "edged/camera":
                found.append((peer_id, data["camera"], data["state"]))
        return found


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Scene, asyncio.Task[None]]]:
    """A channel that is joined, its cameras served, and its first announcements heard."""
    scene = Scene()
    cameras = asyncio.create_task(scene.channel.run_cameras())
    member = asyncio.create_task(scene.channel.run(scene.ups.append))
    try:
        await asyncio.sleep(0)
        assert await scene.states(2) == [(None, "yard", "idle"), (None, "gate", "idle")]
        yield scene, member
    finally:
        cameras.cancel()
        member.cancel()
        await asyncio.wait([cameras, member])


async def test_each_camera_is_a_stream_with_its_facts() -> None:
    async with joined() as (scene, _):
        assert scene.ups == ["joined channel farm"]
        assert scene.peer.channel == "farm"
        (yard, yard_facts), (gate, gate_facts) = scene.peer.streams
        assert (yard.id, gate.id) == ("camera-yard", "camera-gate")
        assert yard_facts == {"name": "yard", "camera": "yard", "gateway": "farm-1", "role": "outside"}
        assert gate_facts == {"name": "gate", "camera": "gate", "gateway": "farm-1"}
        assert yard.get_video_tracks() == [scene.channel.cameras[0].track]


async def test_changes_are_told_to_everybody_and_everything_to_a_newcomer() -> None:
    async with joined() as (scene, _):
        reader = scene.channel.cameras[0].track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        (await scene.source.life()).show(1)
        await waiting
        assert await scene.states(1) in ([(None, "yard", "connecting")], [(None, "yard", "live")])
        while scene.channel.cameras[0].status.state != "live" or scene.peer.sent.qsize():
            await scene.peer.next_sent()
        scene.peer.come("p1")
        assert await scene.states(2) == [("p1", "yard", "live"), ("p1", "gate", "idle")]
        reader.stop()
        assert await scene.states(1) == [(None, "yard", "idle")]
    assert ("camera yard", "live", "live, 1280x720, H264 Constrained Baseline") in scene.reports


async def test_a_newcomer_who_left_at_once_harms_nobody() -> None:
    async with joined() as (scene, member):
        scene.peer.come("gone")
        scene.peer.come("p2")
        scene.peer.leave("p3")
        assert await scene.states(2) == [("p2", "yard", "idle"), ("p2", "gate", "idle")]
        assert not member.done()


async def test_after_a_break_of_the_link_everything_is_told_again() -> None:
    async with joined() as (scene, _):
        scene.peer.move("reconnecting")
        scene.peer.come("p1")
        await asyncio.sleep(0)
        assert scene.peer.sent.empty()
        scene.peer.move("joined")
        assert await scene.states(2) == [(None, "yard", "idle"), (None, "gate", "idle")]


async def test_the_operator_is_told_how_many_watch_also_after_the_link_was_down() -> None:
    async with joined() as (scene, _):
        scene.peer.come("p1")
        scene.peer.come("p2")
        scene.peer.move("reconnecting")
        await scene.until_link("lost", "the connection to the hub is lost")
        scene.peer.leave("p2")
        assert scene.link_reports()[-1][0] == "lost", "that is the news"
        scene.peer.move("joined")
        await scene.until_link("live", "joined channel farm, 1 viewer")
        assert ("live", "joined channel farm, 2 viewers") in scene.link_reports()


async def test_a_broken_link_is_told_to_the_operator_once_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with joined() as (scene, member):
        assert scene.link_reports() == []
        scene.peer.move("reconnecting")
        scene.peer.move("reconnecting")
        await scene.until_link("lost", "the connection to the hub is lost")
        scene.peer.move("joined")
        await scene.until_link("live", "joined channel farm")
        assert [state for state, _ in scene.link_reports()] == ["lost", "live"]
        assert not member.done()
    said = [record.getMessage() for record in caplog.records if record.name == "edged.supervise"]
    assert len(said) == 2
    assert said[0].startswith("channel farm: the connection to the hub is lost; trying again in ")
    assert said[1] == "channel farm: joined channel farm"


async def test_a_link_that_ended_for_good_ends_the_membership_and_the_cameras_live_on() -> None:
    async with joined() as (scene, member):
        reader = scene.channel.cameras[0].track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        life = await scene.source.life()
        life.show(1)
        await waiting
        scene.peer.die(SignallingConnectError(4001, "no"))
        with pytest.raises(SignallingConnectError):
            await member
        assert scene.peers[0].closed
        again = asyncio.create_task(scene.channel.run(scene.ups.append))
        await asyncio.sleep(0)
        assert await scene.states(2) == [(None, "yard", "live"), (None, "gate", "idle")]
        assert scene.peers[1].streams[0][0].get_tracks() == [scene.channel.cameras[0].track]
        life.show(2)
        assert (await asyncio.wait_for(reader.recv(), 5)).pts == 6000
        assert scene.source.count == 1
        reader.stop()
        again.cancel()
        await asyncio.wait([again])


async def test_a_refused_join_closes_the_peer_and_is_told() -> None:
    scene = Scene()
    scene.peers[0].refusal = SignallingConnectError(4003, "no")
    with pytest.raises(SignallingConnectError):
        await scene.channel.run(scene.ups.append)
    assert scene.peers[0].closed
    assert scene.ups == []


async def test_stopping_closes_the_peer_and_the_cameras() -> None:
    async with joined() as (scene, _):
        reader = scene.channel.cameras[0].track.open_reader()
        waiting = asyncio.create_task(reader.recv())
        life = await scene.source.life()
    assert life.closed.is_set()
    assert scene.peer.closed
    reader.stop()
    await asyncio.wait([waiting])
    waiting.exception()


async def test_the_messages_have_the_agreed_shape() -> None:
    async with joined() as (scene, _):
        scene.peer.come("p1")
        assert await scene.peer.next_sent() == ("p1", {"type": "edged/gateway", "gateway": "farm-1"})
        _, data = await scene.peer.next_sent()
        assert {key: type(value) for key, value in data.items()} == {
            "type": str, "camera": str, "quality": str, "state": str, "reason": str, "since_ms": int,
        }  # fmt: skip
        assert (data["type"], data["quality"]) == ("edged/camera", "main")


async def until_told(scene: Scene, peer_id: str | None, state: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (sent := await scene.peer.next_sent()) != (peer_id, sent[1]) or sent[1].get("state") != state:
            pass
    return sent[1]


async def test_members_that_do_not_take_h265_are_told_so_and_nobody_else_is() -> None:
    async with joined() as (scene, _):
        yard = scene.channel.cameras[0]
        scene.source.video = VideoDescription("H265", 1280, 720, "Main", has_b_frames=False)
        scene.peer.come("new")
        scene.peer.come("old")
        scene.peer.remotes["new"].agree("video/H264", "video/H265")
        scene.peer.remotes["old"].agree("video/H264")
        reader = yard.track.open_reader()
        reader.agree(["video/H264"])
        waiting = asyncio.create_task(reader.recv())
        (await scene.source.life()).show(1)
        await until_told(scene, None, "live")
        refused = await until_told(scene, "old", "failed")
        assert (refused["camera"], refused["quality"]) == ("yard", "main")
        assert "set transcode: auto" in refused["reason"]
        scene.peer.come("late")
        await until_told(scene, "late", "live")
        scene.peer.remotes["late"].agree("video/H264")
        assert (await until_told(scene, "late", "failed"))["camera"] == "yard"
        reader.stop()
        await asyncio.wait([waiting])
        await until_told(scene, None, "idle")
    assert ("camera yard", "live", f"live, 1280x720, H265 Main; {refused['reason']}") in scene.reports
