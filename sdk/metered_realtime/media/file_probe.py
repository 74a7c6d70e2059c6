"""What a local file holds, found out beside the event loop and, if that takes long, not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import av

from metered_realtime.media.ffmpeg_input import first_streams

# The longest a caller in the event loop is held up: a file on a healthy disk takes a few milliseconds.
PROBE_S = 0.25


class FileProbe:
    """Looks at one name. `kinds` is None where it is no local file, or was not read within `PROBE_S`."""

    def __init__(self, name: str) -> None:
        self.exists = False
        self.is_known = False
        self.kinds: tuple[str, ...] | None = None
        self._name = name
        self._error: av.FFmpegError | OSError | ValueError | None = None

    def look(self, within_s: float = PROBE_S) -> None:
        """Look for at most `within_s`. Raises av.FFmpegError, OSError or ValueError for a file that is no media."""
        thread = threading.Thread(target=self._look, name="media file probe", daemon=True)
        thread.start()
        thread.join(within_s)
        if self._error is not None:
            raise self._error

    def _look(self) -> None:
        """In the thread; what it sets after the caller has gone on is not looked at."""
        try:
            self.exists = Path(self._name).exists()
            if Path(self._name).is_file():
                self.kinds = stream_kinds(self._name)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._error = error
        self.is_known = True


def stream_kinds(file: str) -> tuple[str, ...]:
    """Return which of audio and video a local file has. Raises FileNotFoundError or av.FFmpegError."""
    with av.open(file) as container:
        return tuple(stream.type for stream in first_streams(container))
