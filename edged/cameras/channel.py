"""The cameras of one channel behind one peer: each a stream with its facts, and their states told to every viewer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from edged.cameras.announcements import Announcements
from edged.cameras.camera import Camera, Open
from edged.cameras.errors import LinkLostError
from edged.cameras.pictures import open_pictures
from edged.settings import CameraSettings
from edged.supervise import Report, keep_running
from metered_realtime import (
    FatalError,
    MediaStream,
    MeteredPeer,
    MeteredRealtimeError,
    PeerJoined,
    PeerLeft,
    StateChange,
)

_log = logging.getLogger(__name__)


def _ignore(_state: str, _detail: str) -> None:
    """Nobody asked to be told."""


class CameraChannel:
    """Two lives, both for the application's task group: `run_cameras()` for ever, and `run(up)`, one membership of
    the channel, inside `keep_running`. The cameras and their sources outlive every membership.

    `report(name)` gives the status board's reporter for the channel ("channel farm") and one camera ("camera yard").
    """

    def __init__(
        self,
        channel: str,
        cameras: tuple[CameraSettings, ...],
        *,
        gateway: str,
        open_peer: Callable[[], MeteredPeer],
        report: Callable[[str], Report] = lambda _name: _ignore,
        open_source: Open = open_pictures,
    ) -> None:
        self._channel = channel
        self._gateway = gateway
        self._open_peer = open_peer
        self._report = report(f"channel {channel}")
        self._news = Announcements(settings.name for settings in cameras)
        self._wake: Callable[[], None] | None = None
        self._cameras = {
            settings.name: Camera(
                settings,
                report=report(f"camera {settings.name}"),
                on_status=partial(self._tell_all, settings.name),
                open_source=open_source,
            )
            for settings in cameras
        }

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras, in the order of the settings."""
        return tuple(self._cameras.values())

    async def run_cameras(self) -> None:
        """Serve every camera until cancelled; a camera in trouble does not touch another."""
        async with asyncio.TaskGroup() as group:
            for camera in self._cameras.values():
                group.create_task(camera.run(), name=f"demand for camera {camera.name}")

    async def run(self, up: Callable[[str], None]) -> None:
        """Be a member of the channel until the link ends for good; raises what ended it."""
        peer = self._open_peer()
        membership = _Membership(peer, self._news, lambda name: self._cameras[name].status.message(name))
        self._wake = membership.wake
        try:
            await peer.join(self._channel, media="send")  # nothing that viewers or other gateways send is taken
            for camera in self._cameras.values():
                peer.add_stream(MediaStream(camera.tracks, id=f"camera-{camera.name}"), self._facts(camera.settings))
            up(self._joined)
            await self._announce(membership)
        finally:
            self._wake = None
            await peer.close()

    @property
    def _joined(self) -> str:
        return f"joined channel {self._channel}"

    async def _announce(self, membership: _Membership) -> None:
        """Tell the states of the cameras to the others, and those of the link to the operator."""

        def tell(state: str, detail: str) -> None:
            if state != "connecting":  # it stays lost until it is back
                self._report(state, detail)

        words = keep_running(f"channel {self._channel}", partial(membership.watch_link, self._joined), report=tell)
        watcher = asyncio.create_task(words, name=f"link of channel {self._channel}")
        try:
            await membership.announce()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    def _tell_all(self, name: str) -> None:
        self._news.changed(name)
        if self._wake is not None:
            self._wake()

    def _facts(self, settings: CameraSettings) -> dict[str, Any]:
        return {"name": settings.name, "camera": settings.name, "gateway": self._gateway, **settings.metadata}


class _Membership:
    """Tells the others the states of the cameras, from joining to the link's end."""

    def __init__(self, peer: MeteredPeer, news: Announcements, message_of: Callable[[str], dict[str, Any]]) -> None:
        self._peer = peer
        self._news = news
        self._message_of = message_of
        self._awake = asyncio.Event()
        self._link_moved = asyncio.Event()
        self._link_broke = False
        self._fatal: Exception | None = None
        peer.on(FatalError, self._end)
        peer.on(PeerJoined, self._arrived)
        peer.on(PeerLeft, self._gone)
        peer.on(StateChange, self._moved)

    def wake(self) -> None:
        """There is something to tell."""
        self._awake.set()

    async def announce(self) -> None:
        """Send what there is to tell until the link ends for good; raises what ended it."""
        self._news.rejoined()
        while self._fatal is None:
            news = self._news.take() if self._peer.state == "joined" else None
            if news is None:
                self._awake.clear()
                await self._awake.wait()
                continue
            peer_id, camera = news
            message = self._message_of(camera)
            try:
                await (self._peer.send(message) if peer_id is None else self._peer.send_to(peer_id, message))
            except MeteredRealtimeError as error:
                # A viewer who left, or a link that is down: after that everything is told again.
                _log.debug("the state of camera %s was not sent: %s", camera, error)
        raise self._fatal

    async def watch_link(self, detail: str, up: Callable[[str], None]) -> None:
        """One spell of the link, for `keep_running`: raises LinkLostError when it breaks. The first is up already."""
        if self._link_broke:
            await self._until_link("joined")
            up(detail)
        await self._until_link("reconnecting")
        self._link_broke = True
        raise LinkLostError("the connection to the hub is lost")

    async def _until_link(self, state: str) -> None:
        while self._peer.state != state:
            self._link_moved.clear()
            await self._link_moved.wait()

    def _end(self, event: FatalError) -> None:
        self._fatal = event.err
        self.wake()

    def _arrived(self, event: PeerJoined) -> None:
        self._news.arrived(event.peer.id)
        self.wake()

    def _gone(self, event: PeerLeft) -> None:
        self._news.gone(event.peer.id)

    def _moved(self, event: StateChange) -> None:
        if event.to == "joined":
            self._news.rejoined()
        self._link_moved.set()
        self.wake()
