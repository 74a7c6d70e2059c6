"""What can go wrong with a source of media, sorted by what its owner should do. Each message is one sentence for them.

SourceError                     retry_after_s: when another try makes sense, None for soon
├── SourceNotFoundError         no such file, device, host or stream
├── SourceBusyError             another program has it
├── SourceDeniedError           this user may not open it
├── SourceFormatError           it gives nothing that can be used here
├── SourceLostError             it was there and went: unplugged, switched off, ended
├── SourceTimeoutError          it does not answer, or gives no picture
└── RtspError                   an RTSP camera, see `rtsp_errors`
"""

from __future__ import annotations

from metered_realtime.errors import MeteredRealtimeError


class SourceError(MeteredRealtimeError):
    """Base of all of them; no text ever holds a login."""

    retry_after_s: float | None = None


class SourceNotFoundError(SourceError):
    """There is no such file, device, host or stream at the moment."""


class SourceBusyError(SourceError):
    """Another program uses the device."""


class SourceDeniedError(SourceError):
    """This user may not open it, or the login was refused."""

    retry_after_s = 60.0


class SourceFormatError(SourceError):
    """It gives no picture or sound that can be used here."""

    retry_after_s = 10.0


class SourceLostError(SourceError):
    """It was there and went: unplugged, switched off, or at its end."""


class SourceTimeoutError(SourceError):
    """It does not answer, or sends nothing, for longer than the time limit."""
