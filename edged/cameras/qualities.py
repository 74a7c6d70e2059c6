"""The main picture of a camera and, where it has one, the smaller second: one stream id, so that a viewer who changes
from one to the other keeps its track, and nothing is negotiated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import inf

from edged.cameras.camera import Camera, Open
from edged.cameras.watch_messages import Quality
from edged.settings import CameraSettings, Secret
from edged.settings_checks import camera_source_kind
from edged.supervise import Report
from metered_realtime import MediaStream

_MIN_SIZE = 16
_MIN_KBPS = 10
# A second picture that was in trouble does not stand in for a main one before that.
SUB_AGAIN_S = 30.0


def sub_settings(settings: CameraSettings) -> CameraSettings | None:
    """Return the settings of the second picture; None where the camera has none.

    It has the camera's login. What is asked of a local device or encoded here has half the width and height.
    """
    if not settings.sub:
        return None
    return replace(
        settings,
        name=f"{settings.name} sub",
        source=settings.sub,
        sub=Secret(""),
        audio=settings.audio if camera_source_kind(settings.sub.reveal()) in ("rtsp", "rtsps") else "none",
        width=max(_MIN_SIZE, settings.width // 2),
        height=max(_MIN_SIZE, settings.height // 2),
        bitrate_kbps=max(_MIN_KBPS, settings.bitrate_kbps // 4),
        keep_warm=False,
    )


class Qualities:
    """One camera of the settings file: each quality opened on its own demand. `on_status` is told which one changed."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        report: Callable[[str], Report],
        on_status: Callable[[Quality], None],
        open_source: Open,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self._clock = clock
        self._on_status = on_status
        self._sub_not_before_s = -inf
        main = Camera(
            settings,
            report=report(f"camera {settings.name}"),
            on_status=lambda: on_status("main"),
            open_source=open_source,
        )
        self.cameras: dict[Quality, Camera] = {"main": main}
        if (second := sub_settings(settings)) is not None:
            self.cameras["sub"] = Camera(
                second,
                report=report(f"camera {second.name}"),
                on_status=self._sub_changed,
                open_source=open_source,
                alike=main,
            )
        self.streams: dict[Quality, MediaStream] = {
            quality: MediaStream(camera.tracks, id=f"camera-{settings.name}")
            for quality, camera in self.cameras.items()
        }

    def is_live(self, quality: Quality) -> bool:
        """Whether there is a picture of it now."""
        return quality in self.cameras and self.cameras[quality].status.state == "live"

    @property
    def lowerable_bps(self) -> float | None:
        """The bits per second of the main picture if the second one can stand in for it now, else None."""
        sub = self.cameras.get("sub")
        if sub is None or _is_in_trouble(sub) or self._clock() < self._sub_not_before_s:
            return None
        return self.main.track.bps

    def _sub_changed(self) -> None:
        if _is_in_trouble(self.cameras["sub"]):
            self._sub_not_before_s = self._clock() + SUB_AGAIN_S
        self._on_status("sub")

    @property
    def main(self) -> Camera:
        """What viewers get that ask for nothing."""
        return self.cameras["main"]


def _is_in_trouble(camera: Camera) -> bool:
    return camera.status.state in ("lost", "failed")
