"""One camera: opened when somebody watches, tried again when it fails, its viewers kept while it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from edged.cameras.demand import Demand
from edged.cameras.errors import owner_error
from edged.cameras.pictures import Pictures, open_pictures
from edged.cameras.state import CameraStatus, idle, next_status
from edged.cameras.track import CameraTrack
from edged.settings import CameraSettings
from edged.supervise import Report, keep_running
from metered_realtime.media.rtsp import RtspError, VideoDescription

_log = logging.getLogger(__name__)

Open = Callable[[CameraSettings], AbstractAsyncContextManager[Pictures]]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Camera:
    """`track` is what viewers read and lives as long as the camera object, over every reconnect."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        report: Report,
        on_status: Callable[[], None],
        open_source: Open = open_pictures,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = _wall_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.track = CameraTrack(on_demand=self._watched, clock=clock)
        self.status: CameraStatus = idle(wall_ms())
        self._report = report
        self._on_status = on_status
        self._open_source = open_source
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._demand = Demand(linger_s=settings.linger_s, keep_warm=settings.keep_warm)
        self._changed = asyncio.Event()
        self._not_before_s = clock()
        self._warned = False

    async def run(self) -> None:
        """Serve viewers until cancelled."""
        self._take_report("idle", "")
        while True:
            await self._until(wanted=True)
            async with asyncio.TaskGroup() as group:
                kept = group.create_task(self._keep_open(f"camera {self.name}"), name=f"camera {self.name}")
                await self._until(wanted=False)
                kept.cancel()
            self._take_report("idle", "")

    async def _keep_open(self, name: str) -> None:
        await keep_running(name, self._session, report=self._take_report, sleep=self._sleep)

    async def _session(self, up: Callable[[str], None]) -> None:
        """One life of the connection to the camera."""
        # Viewers who come and go must not have a camera count wrong logins faster than the retry loop would.
        await self._sleep(max(0.0, self._not_before_s - self._clock()))
        is_up = False
        try:
            await self.track.load()
            async with self._open_source(self.settings) as pictures:
                async for unit in pictures.access_units():
                    self.track.push(unit)
                    if not is_up:
                        is_up = True
                        up(_describe(pictures.video))
                        self._warn_of_b_frames(pictures.video)
        except RtspError as error:
            told = owner_error(error, self.settings)
            self._not_before_s = self._clock() + (told.retry_after_s or 0.0)
            raise told from error
        finally:
            self.track.rebase()

    def _warn_of_b_frames(self, video: VideoDescription) -> None:
        if video.has_b_frames and not self._warned:
            _log.warning(
                "camera %s: it sends B-frames, which browsers show jerkily or not at all: "
                "switch them off in the camera, or choose its Baseline profile",
                self.name,
            )
        self._warned = bool(video.has_b_frames)

    def _watched(self, watched: bool) -> None:
        self._demand.watch(self._clock(), watched=watched)
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
        self._report(state, detail)
        status = next_status(self.status, state, detail, self._wall_ms())
        if status != self.status:
            self.status = status
            self._on_status()


def _describe(video: VideoDescription) -> str:
    size = f"{video.width}x{video.height}" if video.width is not None else "picture of unknown size"
    return f"live, {size}, {video.codec} {video.profile or ''}".rstrip()
