"""What a camera's owner has to change, in the words of the settings file."""

from __future__ import annotations

import ssl

from edged.errors import EdgedError
from edged.settings import CameraSettings
from metered_realtime.media.rtsp_errors import RtspAuthError
from metered_realtime.media.source_errors import SourceError


class CameraError(EdgedError):
    """A camera cannot be shown at the moment; `retry_after_s` is set where somebody has to change a setting."""


class UnshowableError(CameraError):
    """Browsers cannot show what the camera sends; the sentence says what to change."""

    retry_after_s = 60.0


class LinkLostError(EdgedError):
    """The connection to the hub broke; the peer mends it by itself."""


def owner_error(error: SourceError, settings: CameraSettings) -> CameraError:
    """Return the error as the owner of the settings should read it."""
    retry_after_s = getattr(error, "retry_after_s", None)
    return CameraError(_sentence(error, settings), retry_after_s=retry_after_s)


def _sentence(error: SourceError, settings: CameraSettings) -> str:
    text = str(error)
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return f"{text}; or give it as tls_ca_file"
    if not isinstance(error, RtspAuthError):
        return text
    password = "password_file" if settings.password_file or not settings.password else "password"
    if not error.login_given:
        return f"{text}: set username and {password}"
    if not settings.username:
        return f"{text}: check the login in source"
    user = f'user "{settings.username}"'
    named = text.replace("the login", user).replace("this login", user)
    return f"{named}: check username and {password}"
