"""One camera: opened when somebody watches, tried again when it fails, its viewers kept while it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from edged.cameras.demand import Demand
from edged.cameras.errors import CameraError, UnshowableError, owner_error
from edged.cameras.garbage import camera_closes, camera_opens
from edged.cameras.losses import LossReport
from edged.cameras.pictures import (
    HandsOver,
    MakesKeyFrames,
    Pictures,
    Road,
    can_be_encoded,
    new_group_after_s,
    open_pictures,
)
from edged.cameras.sound import CameraSound
from edged.cameras.state import CameraStatus, idle, next_status
from edged.cameras.substitute import Substitute
from edged.cameras.track import CameraTrack, Codec
from edged.settings import CameraSettings
from edged.supervise import Report, keep_running
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.browser_video import browser_fault
from metered_realtime.media.rtsp import VideoDescription
from metered_realtime.media.rtsp_errors import RtspNoVideoError
from metered_realtime.media.source_errors import SourceError, SourceFormatError

_log = logging.getLogger(__name__)

Open = Callable[[CameraSettings, Road], AbstractAsyncContextManager[Pictures]]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Camera:
    """`track` is what viewers read and lives as long as the camera object, over every reconnect.

    `alike` is another picture of the same camera, whose track ids are taken over: no viewer is sent both.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        report: Report,
        on_status: Callable[[], None],
        open_source: Open = open_pictures,
        alike: Camera | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = _wall_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.track: CameraTrack = CameraTrack(
            on_demand=self._watched,
            on_key_frame_wanted=self._want_key_frame,
            clock=clock,
            id=alike.track.id if alike else None,
            on_read=self._consider,
            new_group_after_s=new_group_after_s(settings),
        )
        self.substitute = Substitute(settings, self.track, on_change=self._substitute_changed, sleep=sleep)
        if alike is not None:
            alike.substitute.second = self.track
        self.sound: CameraSound | None = (
            None if settings.audio == "none" else _sound_of(settings, alike.sound if alike else None)
        )
        self.status: CameraStatus = idle(wall_ms())
        self._report = report
        self._on_status = on_status
        self._open_source = open_source
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._demand = Demand(linger_s=settings.linger_s, keep_warm=settings.keep_warm)
        self._pictures: Pictures | None = None
        self._is_read = self._is_prepared = False
        self._changed = asyncio.Event()
        self._not_before_s = clock()
        self._fault = ""

    @property
    def tracks(self) -> list[Any]:
        """What viewers are sent: the picture, and the sound if the settings promise one."""
        return [self.track] if self.sound is None else [self.track, self.sound]

    def figures(self) -> dict[str, str | int | float | None]:
        """Return what an operator wants to know of it now."""
        video = self._pictures.video if self._pictures is not None and self.status.state == "live" else None
        return {
            "state": self.status.state,
            "detail": self.status.reason,
            "viewers": self.track.viewers,
            "fps": None if video is None else round(self.track.fps, 1),
            "kbps": None if video is None else round(self.track.bps / 1000),
            "codec": None if video is None else video.codec,
            "missed_by_viewers": self.track.missed_by_viewers,
        }

    async def run(self) -> None:
        """Serve viewers until cancelled."""
        self._take_report("idle", "")
        while True:
            await self._until(wanted=True)
            try:
                await self._serve()
            finally:
                camera_closes(self)
            self._take_report("idle", "")

    async def _serve(self) -> None:
        """Serve until nobody watches."""
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(self._keep_open(f"camera {self.name}"), name=f"camera {self.name}")
            others = group.create_task(self.substitute.run(), name=f"viewers without H.265 of {self.name}")
            await self._until(wanted=False)
            kept.cancel()
            others.cancel()

    async def _keep_open(self, name: str) -> None:
        await keep_running(name, self._session, report=self._take_report, sleep=self._sleep)

    async def _session(self, up: Callable[[str], None]) -> None:
        """One life of the connection to the camera."""
        # Viewers who come and go must not have a camera count wrong logins faster than the retry loop would.
        await self._sleep(max(0.0, self._not_before_s - self._clock()))
        try:
            await self.track.load()
            camera_opens(self)
            await self._show_somehow(up)
        except SourceError as error:
            told = owner_error(error, self.settings)
            self._not_before_s = self._clock() + (told.retry_after_s or 0.0)
            raise told from error
        except CameraError as error:
            self._not_before_s = self._clock() + (error.retry_after_s or 0.0)
            raise
        finally:
            self._pictures = None
            self.track.rebase()
            self.substitute.interrupted()

    async def _show_somehow(self, up: Callable[[str], None]) -> None:
        """As the camera sends it, or, where browsers cannot show that, encoded again."""
        try:
            await self._show("as it is", up)
        except (UnshowableError, RtspNoVideoError, SourceFormatError) as error:
            if not can_be_encoded(self.settings):
                raise
            if self.settings.transcode == "never":
                raise UnshowableError(f"{error}; or set transcode: auto") from error
            reason = str(error)
            road: Road = "foreign" if isinstance(error, RtspNoVideoError) else "encoded"
        if reason != self._fault:
            _log.warning("camera %s: %s; it is decoded and encoded here, once for all viewers", self.name, reason)
        self._fault = reason
        self.track.rebase()
        await self._show(road, up)

    async def _show(self, road: Road, up: Callable[[str], None]) -> None:
        known: VideoDescription | None = None
        lost = LossReport(self._clock(), self.track.missed_by_viewers)
        async with self._open_source(self.settings, road) as pictures:
            self._pictures = pictures
            _check(pictures.video)
            if self.sound is not None:
                self.sound.follow(pictures)
            if isinstance(pictures, HandsOver):
                pictures.hand_over(lambda unit: pictures.video is known and self._passed_on(unit))
            async for unit in pictures.access_units():
                if (video := pictures.video) is not known and video != known:
                    _check(video)
                    known = video
                    self._follow(video)
                    self.track.push(unit)
                    up(self._words(pictures))
                    continue
                self.track.push(unit)
                if unit.is_key and lost.take(self._clock(), pictures, self.track.missed_by_viewers):
                    up(self._words(pictures, lost.words))

    def _passed_on(self, unit: AccessUnit) -> bool:
        """Give viewers a picture at the moment it comes; False for a key frame, with which there is more to do."""
        if not unit.is_key:
            self.track.push(unit)
        return not unit.is_key

    def _words(self, pictures: Pictures, lost: str = "") -> str:
        silence = f"; no sound: {self.sound.fault}" if self.sound is not None and self.sound.fault else ""
        more = self.substitute.fault or self.substitute.road
        return _describe(pictures.video, pictures.road, lost) + silence + (f"; {more}" if more else "")

    def prepare(self, *, wanted: bool) -> None:
        """Be open as if somebody watched: somebody will, as soon as there is a picture. Ends when it is read."""
        if wanted != self._is_prepared:
            self._is_prepared = wanted
            self._demand_changed()

    def _want_key_frame(self, codec: Codec) -> bool:
        """A viewer needs one; False where it is better given the last group of pictures again."""
        if codec != self.track.own_codec:
            return self.substitute.request_key_frame()
        pictures: object = self._pictures
        return isinstance(pictures, MakesKeyFrames) and pictures.request_key_frame()

    def _follow(self, video: VideoDescription) -> None:
        """Viewers that take what the camera sends now are sent that, the others what can be made of it."""
        self.track.follow("H265" if video.codec == "H265" else "H264")
        self._consider()

    def _consider(self) -> None:
        self.substitute.consider()

    def _substitute_changed(self) -> None:
        """Who does not take H.265 is sent another picture now, or none."""
        if self.status.state == "live" and self._pictures is not None:
            self._report("live", self._words(self._pictures))
        self._on_status()

    def _watched(self, watched: bool) -> None:
        self._is_read, self._is_prepared = watched, self._is_prepared and not watched
        self._demand_changed()

    def _demand_changed(self) -> None:
        self._demand.watch(self._clock(), watched=self._is_read or self._is_prepared)
        self._changed.set()

    async def _until(self, *, wanted: bool) -> None:
        while self._demand.wanted(self._clock()) is not wanted:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._demand.changes_in_s(self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _take_report(self, state: str, detail: str) -> None:
        status = next_status(self.status, state, detail, self._wall_ms())
        if status.state == state:  # what is tried again stays lost, with its reason, for the operator, too
            self._report(state, detail)
        if status != self.status:
            self.status = status
            self._on_status()


def _sound_of(settings: CameraSettings, alike: CameraSound | None) -> CameraSound:
    track_id = alike.id if alike is not None else None
    return CameraSound(settings.name, settings.audio, may_encode=settings.transcode == "auto", id=track_id)


def _check(video: VideoDescription) -> None:
    """Before anything is sent: a picture that browsers do not show is worse than the reason why."""
    if (fault := browser_fault(video)) is not None:
        raise UnshowableError(fault)


def _describe(video: VideoDescription, *more: str) -> str:
    size = f"{video.width}x{video.height}" if video.width is not None else "picture of unknown size"
    what = f"live, {size}, {video.codec} {video.profile or ''}".rstrip()
    return ", ".join((what, *filter(None, more)))
