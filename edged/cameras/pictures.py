"""Where a camera's pictures come from: the one place that reads `source`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from edged.cameras.errors import CameraError
from edged.cameras.test_picture import TestPicture
from edged.settings import CameraSettings
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtsp import RtspClient, VideoDescription

_CHANGE_SETTING_S = 60.0


class Pictures(Protocol):
    """An open source: access units until it fails."""

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture."""

    def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate over the pictures, the first one a key frame."""


def open_pictures(settings: CameraSettings) -> AbstractAsyncContextManager[Pictures]:
    """Return the source of a camera, not yet open. Raises CameraError or RtspUrlError for an address of no use."""
    source = settings.source.reveal().strip()
    scheme = source.partition(":")[0].lower()
    if scheme == "test":
        return TestPicture()
    if scheme in ("rtsp", "rtsps"):
        return RtspClient(
            source,
            username=settings.username or None,
            password=settings.password.reveal() or None,
            timeout_s=settings.timeout_s,
        )
    raise CameraError(
        "its source is no address of a camera: write rtsp://HOST/PATH, or test:", retry_after_s=_CHANGE_SETTING_S
    )
