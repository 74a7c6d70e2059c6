"""The cameras of one channel behind one peer: each a stream with its facts, and their states told to every viewer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from edged.cameras.announcements import Announcements
from edged.cameras.camera import Camera, Open
from edged.cameras.link_choice import LinkWaits
from edged.cameras.membership import Membership
from edged.cameras.pictures import open_pictures
from edged.cameras.qualities import Qualities
from edged.cameras.state import CameraStatus
from edged.cameras.watch_messages import Quality, gateway_message
from edged.settings import CameraSettings
from edged.supervise import Report, keep_running
from metered_realtime import MeteredPeer

# A piece of news: who we are, or the state of one quality of one camera.
_OURSELVES = ""


def _ignore(_state: str, _detail: str) -> None:
    """Nobody asked to be told."""


def _news_of(camera: str, quality: Quality) -> str:
    return f"{quality}/{camera}"


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
        waits: LinkWaits = LinkWaits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._channel = channel
        self._gateway = gateway
        self._open_peer = open_peer
        self._report = report(f"channel {channel}")
        self._waits = waits
        self._viewers = ""
        self._camera_changed: Callable[[], None] | None = None
        self._cameras = {
            settings.name: Qualities(
                settings,
                report=report,
                on_status=partial(self._tell_all, settings.name),
                open_source=open_source,
            )
            for settings in cameras
        }
        states = (_news_of(name, quality) for name, one in self._cameras.items() for quality in one.cameras)
        self._news = Announcements((_OURSELVES, *states))

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Every picture, in the order of the settings; of one camera the main one first."""
        return tuple(camera for one in self._cameras.values() for camera in one.cameras.values())

    def figures(self) -> dict[str, dict[str, str | int | float | None]]:
        """Return the figures of every picture by its name."""
        return {camera.name: camera.figures() for camera in self.cameras}

    async def run_cameras(self) -> None:
        """Serve every camera until cancelled; a camera in trouble does not touch another."""
        async with asyncio.TaskGroup() as group:
            for camera in self.cameras:
                group.create_task(camera.run(), name=f"demand for camera {camera.name}")

    async def run(self, up: Callable[[str], None]) -> None:
        """Be a member of the channel until the link ends for good; raises what ended it."""
        peer = self._open_peer()
        membership = Membership(
            peer,
            self._news,
            self._cameras,
            self._message_of,
            refusal_of=self._refusal_of,
            on_viewers=partial(self._tell_viewers, peer),
            waits=self._waits,
        )
        self._camera_changed = membership.camera_changed
        try:
            await peer.join(self._channel, media="send")  # nothing that viewers or other gateways send is taken
            for one in self._cameras.values():
                for stream in one.streams.values():
                    peer.add_stream(stream, self._facts(one.settings))
            up(self._joined)
            await self._announce(membership)
        finally:
            self._camera_changed = None
            self._viewers = ""
            membership.end()
            await peer.close()

    @property
    def _joined(self) -> str:
        return f"joined channel {self._channel}{self._viewers}"

    async def _announce(self, membership: Membership) -> None:
        """Tell the states of the cameras to the others, and those of the link to the operator."""

        def tell(state: str, detail: str) -> None:
            if state != "connecting":  # it stays lost until it is back
                self._report(state, self._joined if state == "live" else detail)

        words = keep_running(f"channel {self._channel}", partial(membership.watch_link, self._joined), report=tell)
        watcher = asyncio.create_task(words, name=f"link of channel {self._channel}")
        try:
            await membership.announce()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    def _tell_viewers(self, peer: MeteredPeer, viewers: str) -> None:
        """Tell the operator who watches; while the link is down, that is the news."""
        self._viewers = viewers
        if peer.state == "joined":
            self._report("live", self._joined)

    def _tell_all(self, camera: str, quality: Quality) -> None:
        self._news.changed(_news_of(camera, quality))
        if self._camera_changed is not None:
            self._camera_changed()

    def _message_of(self, news: str) -> dict[str, Any]:
        if news == _OURSELVES:
            return gateway_message(self._gateway)
        camera, name, quality = self._picture_of(news)
        return camera.status.message(name, quality)

    def _refusal_of(self, news: str) -> dict[str, Any] | None:
        if news == _OURSELVES:
            return None
        camera, name, quality = self._picture_of(news)
        fault = camera.substitute.fault
        if not fault or camera.status.state != "live":
            return None
        return CameraStatus("failed", fault, camera.status.since_ms).message(name, quality)

    def _picture_of(self, news: str) -> tuple[Camera, str, Quality]:
        word, _, name = news.partition("/")
        quality: Quality = "sub" if word == "sub" else "main"
        return self._cameras[name].cameras[quality], name, quality

    def _facts(self, settings: CameraSettings) -> dict[str, Any]:
        return {"name": settings.name, "camera": settings.name, "gateway": self._gateway, **settings.metadata}
