"""Where a camera's pictures come from: the one place that reads `source`. What a source takes is loaded with it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, cast
from urllib.parse import quote

from edged.cameras.errors import CameraError
from edged.cameras.test_picture import TestPicture
from edged.settings import CameraSettings
from edged.settings_checks import camera_source_kind
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp import RtspClient, VideoDescription
from metered_realtime.media.rtsp_url import RtspUrl, parse_rtsp_url

_CHANGE_SETTING_S = 60.0

Road = Literal["as it is", "encoded", "foreign"]
"""As the camera sends it; decoded and encoded again; or the same for a camera that sends no H.264 at all."""


class Pictures(Protocol):
    """An open source: access units until it fails."""

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture."""

    @property
    def road(self) -> str:
        """How it comes, where that is not the usual way: "over UDP", "encoded by libx264"; else empty."""

    def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate over the pictures, the first one a key frame."""


def open_pictures(settings: CameraSettings, road: Road = "as it is") -> AbstractAsyncContextManager[Pictures]:
    """Return the source of a camera, not yet open. Raises CameraError or RtspUrlError for an address of no use."""
    source = settings.source.reveal().strip()
    kind = camera_source_kind(source)
    if kind == "test":
        return TestPicture()
    if kind in ("rtsp", "rtsps"):
        return _RtspPictures(settings) if road == "as it is" else _encoded_rtsp(settings, road)
    rest = source.partition(":")[2]
    if kind == "v4l2":
        from edged.cameras.local_sources import v4l2_pictures  # noqa: PLC0415 - see the module

        return v4l2_pictures(rest, settings, encode=road != "as it is")
    if kind == "file":
        from edged.cameras.local_sources import file_pictures  # noqa: PLC0415 - see the module

        return file_pictures(rest, settings, encode=road != "as it is")
    if kind == "exec":
        from edged.cameras.command import CommandPictures  # noqa: PLC0415 - see the module

        return CommandPictures(rest, timeout_s=settings.timeout_s)
    raise CameraError(
        "its source is no address of a camera: write rtsp://HOST/PATH, v4l2:/dev/video0, or test:",
        retry_after_s=_CHANGE_SETTING_S,
    )


def can_be_encoded(settings: CameraSettings) -> bool:
    """Whether there is another road for what browsers cannot show, if it is allowed."""
    return camera_source_kind(settings.source.reveal()) not in ("test", "exec")


class _RtspPictures(RtspClient):
    """An RTSP camera that says how it sends where that is not the usual way, and is heard by whoever asks."""

    def __init__(self, settings: CameraSettings) -> None:
        super().__init__(
            settings.source.reveal().strip(),
            username=settings.username or None,
            password=settings.password.reveal() or None,
            timeout_s=settings.timeout_s,
            transport=cast("Literal['auto', 'tcp', 'udp']", settings.transport),
            ssl_context=None if settings.tls_verify else trusting_context(),
            on_audio=None if settings.audio == "none" else self._hear,
        )
        self._take_sound: Callable[[AudioUnit], None] | None = None

    def hear(self, take: Callable[[AudioUnit], None]) -> None:
        """Part of `HasSound`."""
        self._take_sound = take

    def _hear(self, sound: AudioUnit) -> None:
        if self._take_sound is not None:
            self._take_sound(sound)

    @property
    def road(self) -> str:
        """Part of `Pictures`."""
        return "over UDP" if self.transport == "udp" else ""


def trusting_context() -> ssl.SSLContext:
    """Return TLS that hides what is sent, and believes any camera to be the right one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def address_with_login(settings: CameraSettings) -> str:
    """Return the address of an RTSP camera as programs take it that know no other way to give a login."""
    url = parse_rtsp_url(settings.source.reveal())
    user = settings.username or url.username
    if not user:
        return url.request_uri
    secret = settings.password.reveal() or url.password or ""
    return _with_login(url, user, secret)


def _with_login(url: RtspUrl, user: str, secret: str) -> str:
    login = f"{quote(user, safe='')}:{quote(secret, safe='')}" if secret else quote(user, safe="")
    return f"{url.scheme}://{login}@{url.address}{url.path}"


def _encoded_rtsp(settings: CameraSettings, road: Road) -> AbstractAsyncContextManager[Pictures]:
    from edged.cameras.local_sources import rtsp_pictures  # noqa: PLC0415 - see the module

    return rtsp_pictures(address_with_login(settings), settings, is_h264=road == "encoded")
