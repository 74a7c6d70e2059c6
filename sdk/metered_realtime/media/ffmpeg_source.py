"""One life of a source that FFmpeg reads - a device, or an address - for a live player, in a thread of its own."""

from __future__ import annotations

import threading

from metered_realtime.media.ffmpeg_input import FfmpegInput, first_streams
from metered_realtime.media.source_errors import SourceFormatError, SourceLostError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.thread_work import in_thread


class FfmpegSource:
    """A session factory for `LivePlayer`: frames as they come, at the pace of the source."""

    def __init__(self, what: FfmpegInput) -> None:
        self._input = what

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
            for frame in self._input.frames(container, streams):
                if quit_.is_set():
                    return
                sink.frame_from_thread(frame)
        raise SourceLostError(f"{self._input.what} ended")
