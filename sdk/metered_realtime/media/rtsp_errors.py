"""What can go wrong with a camera, sorted by what its owner should do. Each message is one sentence for them."""

from __future__ import annotations

from metered_realtime.media.source_errors import SourceError


class RtspError(SourceError):
    """Base of all errors of the RTSP client; the text names the camera's address and holds no login."""


class RtspUrlError(RtspError):
    """The address cannot be used; no connection was tried."""

    retry_after_s = 60.0


class RtspConnectError(RtspError):
    """Nothing answers at the address, or the connection broke."""


class RtspTimeoutError(RtspError):
    """The camera was too slow: no connection, no answer, or no picture within the time given."""


class RtspAuthError(RtspError):
    """The camera wants a login, or refused the one given (`login_given`).

    Trying again at once may lock the account: `retry_after_s` says when.
    """

    retry_after_s = 60.0

    def __init__(self, message: str, *, login_given: bool) -> None:
        self.login_given = login_given
        super().__init__(message)


class RtspNotFoundError(RtspError):
    """The camera has no stream at this path (while it starts, some have none yet)."""

    retry_after_s = 10.0


class RtspNoVideoError(RtspError):
    """The camera sends no H.264 video; `codecs` lists what it offers, for example ("H265", "PCMA")."""

    retry_after_s = 60.0

    def __init__(self, message: str, codecs: tuple[str, ...]) -> None:
        self.codecs = codecs
        super().__init__(message)


class RtspProtocolError(RtspError):
    """The camera answered something that is not RTSP, or refused a step of it."""


class RtspTransportError(RtspProtocolError):
    """The camera does not send over the transport it was asked for: try the other one."""

    retry_after_s = 60.0
