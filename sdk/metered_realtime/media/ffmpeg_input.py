"""Anything FFmpeg can open, read in a blocking way: the first sound and the first picture of it, as decoded frames."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from metered_realtime.media.rtsp_errors import RtspAuthError, RtspNotFoundError
from metered_realtime.media.source_errors import (
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    SourceTimeoutError,
)
from metered_realtime.scrub import scrub

_ALSA_SETTINGS = Path("/usr/share/alsa")
_TIMED_OUT = {errno.ETIMEDOUT, errno.EAGAIN}
_GONE = {errno.ENODEV, errno.EIO, errno.EPIPE, errno.ECONNRESET}
_MISSING = {errno.ENOENT, errno.ENXIO, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH}


@dataclass(frozen=True, slots=True)
class FfmpegInput:
    """What to open. `what` names it in errors: "the microphone default". `timeout_s` bounds opening and each read."""

    file: str = field(repr=False)
    what: str
    format: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0

    def open(self) -> Any:
        """Return the open container. Raises SourceError."""
        if self.format == "alsa":
            _show_alsa_its_settings()
        try:
            return av.open(
                self.file, format=self.format, options=dict(self.options), timeout=(self.timeout_s, self.timeout_s)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self.error_of(error, is_open=False) from None

    def frames(self, container: Any, streams: list[Any]) -> Iterator[list[Any]]:
        """Yield the frames of each packet of the open container, none for a damaged one. Raises SourceError."""
        try:
            for packet in container.demux(*streams):
                frames: list[Any] = []
                with contextlib.suppress(av.InvalidDataError):
                    frames = packet.decode()
                yield frames
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self.error_of(error, is_open=True) from None

    def error_of(self, error: Exception, *, is_open: bool) -> SourceError:
        """Return what FFmpeg raised as its owner should read it."""
        number = getattr(error, "errno", None) or 0
        text = scrub(getattr(error, "strerror", None) or str(error)).replace(self.file, "it")
        if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
            return RtspAuthError(f"{self.what} refused the login, or wants one", login_given="@" in self.file)
        if isinstance(error, av.HTTPNotFoundError):
            return RtspNotFoundError(f"{self.what} has no such stream: check the path")
        if isinstance(error, av.ExitError) or number in _TIMED_OUT:
            return SourceTimeoutError(f"{self.what} gave no answer within {self.timeout_s:g} s")
        if number in (errno.EACCES, errno.EPERM):
            return SourceDeniedError(f"{self.what} may not be opened by this user: {text}")
        if number == errno.EBUSY:
            return SourceBusyError(f"{self.what} is in use by another program")
        if number in _MISSING or (number in _GONE and not is_open):
            return SourceNotFoundError(f"{self.what} is not there: {text}")
        if number in _GONE or isinstance(error, av.EOFError):
            return SourceLostError(f"{self.what} went away: {text}")
        if number == errno.EINVAL and self.format is not None:
            return SourceFormatError(f"{self.what} does not exist in this size or rate")
        if isinstance(error, ValueError) and not isinstance(error, av.FFmpegError):
            return SourceFormatError(f"{self.what} cannot be used: this FFmpeg has no {self.format} on {sys.platform}")
        return SourceError(f"{self.what} cannot be read: {text}")


def _show_alsa_its_settings() -> None:
    """PyAV's wheels carry an ALSA that looks for its settings where they were built, and finds no microphone."""
    if (_ALSA_SETTINGS / "alsa.conf").is_file():
        os.environ.setdefault("ALSA_CONFIG_DIR", str(_ALSA_SETTINGS))


def first_streams(container: Any) -> list[Any]:
    """Return the first audio and the first video stream of an open container, as far as there are any."""
    return [*container.streams.audio[:1], *container.streams.video[:1]]
