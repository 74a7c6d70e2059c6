"""A file that is played over and over, at its own pace, in a thread of its own: its H.264 as it is, or decoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import av

from metered_realtime.media.annex_b_units import AnnexBUnits
from metered_realtime.media.file_line import FileLine
from metered_realtime.media.source_errors import SourceError, SourceFormatError, SourceNotFoundError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.thread_work import in_thread

_MAX_LATE_S = 1.0
# Whatever a damaged file says of its next picture.
_MAX_PAUSE_S = 60.0


class FileSession:
    """One life of a file for `SessionPictures`; with `decode` it gives frames, else access units.

    Raises SourceNotFoundError, and SourceFormatError for a file without pictures, or without H.264 to be passed on.
    """

    def __init__(self, path: str, *, decode: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = f"the file {path}"
        self._path = path
        self._decode = decode
        self._clock = clock

    async def __call__(self, sink: SourceSink) -> None:
        """Play until it fails. Raises SourceError."""

        def play(quit_: threading.Event) -> None:
            try:
                self._play(sink, quit_)
            except FileNotFoundError:
                raise SourceNotFoundError(f"{self.name} does not exist") from None
            except (av.FFmpegError, OSError, ValueError) as error:
                text = getattr(error, "strerror", None) or str(error)
                raise SourceError(f"{self.name} cannot be played: {text}") from None

        await in_thread(play, name=f"player of {self.name}")

    def _play(self, sink: SourceSink, quit_: threading.Event) -> None:
        line = FileLine(start_s=0.0)
        units = AnnexBUnits()
        began_s = self._clock()
        while not quit_.is_set():
            # Opened anew for every run: a bare H.264 file cannot be wound back.
            with av.open(self._path) as container:
                for item, time_s in self._items(container, self._stream_of(container)):
                    at_s = line.place("video", time_s, 0.0)
                    late_s = self._clock() - began_s - at_s
                    if late_s > _MAX_LATE_S:
                        began_s += late_s
                    if quit_.wait(min(max(0.0, -late_s), _MAX_PAUSE_S)):
                        return
                    self._give(item, at_s, units, sink)
            if not line.frames_in_run:
                raise SourceFormatError(f"{self.name} holds no pictures that can be played")
            line.again()

    def _stream_of(self, container: Any) -> Any:
        if not container.streams.video:
            raise SourceFormatError(f"{self.name} holds no pictures")
        stream = container.streams.video[0]
        if not self._decode and stream.codec_context.name != "h264":
            raise SourceFormatError(f"{self.name} holds {stream.codec_context.name}, not H.264 to be passed on")
        return stream

    def _items(self, container: Any, stream: Any) -> Iterator[tuple[Any, float | None]]:
        """Yield pictures and their times from the beginning, decoded or as Annex-B."""
        if self._decode:
            for frame in container.decode(stream):
                yield frame, frame.time
            return
        to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        first: Any = None
        for packet in container.demux(stream):
            for piece in to_annex_b.filter(packet if packet.size else None):
                stamp = piece.dts if piece.pts is None else piece.pts
                if first is None:
                    first = stamp
                in_run = None if stamp is None else float((stamp - first) * stream.time_base)
                yield bytes(piece), in_run

    def _give(self, item: Any, at_s: float, units: AnnexBUnits, sink: SourceSink) -> None:
        if isinstance(item, bytes):
            if (unit := units.push(item, at_s)) is not None:
                sink.unit_from_thread(unit)
            return
        item.pts = None
        sink.frame_from_thread(item)
