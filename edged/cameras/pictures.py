"""Where a camera's pictures come from: the one place that reads `source`. What a source takes is loaded with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal, Protocol, cast, runtime_checkable
from urllib.parse import quote

from edged.cameras.errors import CameraError
from edged.cameras.losses import Losses
from edged.cameras.test_picture import TestPicture
from edged.settings import CameraSettings
from edged.settings_checks import camera_source_kind
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp import RtspClient, VideoDescription
from metered_realtime.media.rtsp_tls import RtspTls
from metered_realtime.media.rtsp_url import RtspUrl, parse_rtsp_url

if TYPE_CHECKING:
    from edged.cameras.onvif import OnvifCamera
    from edged.cameras.onvif_key_frames import OnvifKeyFrames

_CHANGE_SETTING_S = 60.0
_OWN_GROUP_S = 1.0
_ORDINARY_GROUP_S = 4.0

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


@runtime_checkable
class MakesKeyFrames(Protocol):
    """An open source that may be able to make a key frame."""

    def request_key_frame(self) -> bool:
        """A viewer needs one, soon. False where none will be made, or not soon."""


@runtime_checkable
class HandsOver(Protocol):
    """An open source that can hand pictures over at the moment they come."""

    def hand_over(self, take: Callable[[AccessUnit], bool]) -> None:
        """Ask `take` first; `access_units` has what it does not take."""


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
    if kind == "libcamera":
        return _libcamera(rest, settings)
    raise CameraError(
        "its source is no address of a camera: write rtsp://HOST/PATH, v4l2:/dev/video0, or test:",
        retry_after_s=_CHANGE_SETTING_S,
    )


def new_group_after_s(settings: CameraSettings) -> float:
    """Return how old a group a newcomer is given before a new one is asked for: another's camera makes a key frame for
    all who look at it, recorders too, and is asked no more often than one with ordinary settings makes them."""
    return _ORDINARY_GROUP_S if camera_source_kind(settings.source.reveal()) in ("rtsp", "rtsps") else _OWN_GROUP_S


def can_be_encoded(settings: CameraSettings) -> bool:
    """Whether there is another road for what browsers cannot show, if it is allowed."""
    return camera_source_kind(settings.source.reveal()) not in ("test", "exec", "libcamera")


def _libcamera(number: str, settings: CameraSettings) -> AbstractAsyncContextManager[Pictures]:
    from edged.cameras.command import CommandPictures  # noqa: PLC0415 - see the module
    from edged.cameras.libcamera import find_program, rpicam_words  # noqa: PLC0415

    program = find_program()
    words = rpicam_words(program, number, settings)
    return CommandPictures(words, timeout_s=settings.timeout_s, road=f"by {program.rpartition('/')[2]}")


class _RtspPictures(RtspClient):
    """An RTSP camera that says how it sends where that is not the usual way, and is heard by whoever asks."""

    def __init__(self, settings: CameraSettings) -> None:
        super().__init__(
            settings.source.reveal().strip(),
            username=settings.username or None,
            password=settings.password.reveal() or None,
            timeout_s=settings.timeout_s,
            transport=cast("Literal['auto', 'tcp', 'udp']", settings.transport),
            ssl_context=tls_of(settings).context() if is_tls(settings) else None,
            on_audio=None if settings.audio == "none" else self._hear,
            codecs=("H264", "H265"),
        )
        self._key_frames = _onvif_key_frames(settings) if settings.onvif else None
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

    def losses(self) -> Losses:
        """Part of `CountsLosses`."""
        stats = self.stats()
        spoiled = stats.dropped_units + stats.oversize_units + stats.units_without_sets
        return Losses(packets=stats.lost_packets + stats.bad_packets, pictures=spoiled + self.dropped_units)

    def request_key_frame(self) -> bool:
        """Part of `MakesKeyFrames`: by ONVIF, where the settings allow to ask and the camera has shown that it does."""
        if self._key_frames is None:
            return False
        width, height = self.video.width, self.video.height
        return self._key_frames.request(None if width is None or height is None else (width, height))

    def access_units(self) -> AsyncIterator[AccessUnit]:
        units = super().access_units()
        return units if self._key_frames is None else self._key_frames.watched(units)

    async def __aexit__(self, *error: object) -> None:
        if self._key_frames is not None:
            await self._key_frames.aclose()
        await super().__aexit__(*error)


def onvif_camera(settings: CameraSettings) -> OnvifCamera:
    """Return the camera as ONVIF sees it, with the login of its pictures."""
    from edged.cameras.onvif import OnvifAddress, OnvifCamera  # noqa: PLC0415 - of no use to most cameras

    url = parse_rtsp_url(settings.source.reveal())
    address = OnvifAddress.of(settings.onvif, url.host)
    return OnvifCamera(
        address,
        username=settings.username or url.username or "",
        password=settings.password.reveal() or url.password or "",
        ssl_context=tls_of(settings).context() if address.scheme == "https" else None,
    )


def _onvif_key_frames(settings: CameraSettings) -> OnvifKeyFrames:
    from edged.cameras.onvif_key_frames import OnvifKeyFrames, pace_of  # noqa: PLC0415 - as above

    camera = onvif_camera(settings)
    where = f"{camera.address.scheme}://{camera.address.shown}{camera.address.path} {settings.name}"
    login = settings.source.reveal(), settings.username, settings.password.reveal()
    return OnvifKeyFrames(settings.name, camera, pace_of(where, login))


def is_tls(settings: CameraSettings) -> bool:
    """Whether the pictures come through TLS."""
    return camera_source_kind(settings.source.reveal()) == "rtsps"


def tls_of(settings: CameraSettings) -> RtspTls:
    """Return how the camera's certificate is judged."""
    return RtspTls(verify=settings.tls_verify, ca_file=settings.tls_ca_file or None)


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
