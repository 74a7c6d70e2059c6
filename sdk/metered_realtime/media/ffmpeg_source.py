"""One life of a source that FFmpeg reads - a device, or an address - for a live player, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from metered_realtime.media.ffmpeg_input import FfmpegInput, first_streams
from metered_realtime.media.source_errors import SourceFormatError, SourceLostError, SourceTimeoutError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.thread_work import in_thread


class FfmpegSource:
    """A session factory for `LivePlayer`: frames as they come, at the pace of the source."""

    def __init__(self, what: FfmpegInput, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._input = what
        self._clock = clock

    async def __call__(self, sink: SourceSink) -> None:
        """Play until it fails. Raises SourceError."""

        def play(quit_: threading.Event) -> None:
            self._play(sink, quit_)

        await in_thread(play, name=f"player of {self._input.what}")

    def _play(self, sink: SourceSink, quit_: threading.Event) -> None:
        with self._input.open() as container:
            streams = [stream for stream in first_streams(container) if stream.type in sink.kinds]
            if not streams:
                raise SourceFormatError(f"{self._input.what} sends nothing that can be played")
            for kind in set(sink.kinds) - {stream.type for stream in streams}:
                sink.lacks_from_thread(kind)
            seen_s = self._clock()
            for frames in self._input.frames(container, streams):
                if quit_.is_set():
                    return
                for frame in frames:
                    sink.frame_from_thread(frame)
                if frames:
                    seen_s = self._clock()
                elif self._clock() - seen_s >= self._input.timeout_s:
                    raise SourceTimeoutError(
                        f"{self._input.what} gives nothing that can be decoded for {self._input.timeout_s:g} s"
                    )
        raise SourceLostError(f"{self._input.what} ended")
