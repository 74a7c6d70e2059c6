"""One file of a recording: its streams, its bytes, and an end that leaves it on disk. Blocks; used in a thread."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from metered_realtime.media.recorder_formats import AUDIO_RATE, Container, StreamFormat
from metered_realtime.media.recorder_samples import Sample

# Written in pieces of this size: large enough for flash memory, small next to what a file holds.
_BUFFER_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class RecorderFile:
    """Writes samples from `start_s` of the common clock on. All calls may raise OSError or ValueError."""

    def __init__(self, path: Path, container: Container, formats: Mapping[int, StreamFormat], start_s: float) -> None:
        self.path = path
        self.formats = dict(formats)
        self.start_s = start_s
        self.end_s = start_s
        self.written_bytes = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._output = _Output(path)
        try:
            with _plain_errors(path):
                self._container: Any = av.open(
                    self._output,
                    "w",
                    format=container.muxer,
                    container_options=dict(container.options),
                    buffer_size=_BUFFER_BYTES,
                )
                self._streams = {slot: self._add(each) for slot, each in self.formats.items()}
        except BaseException:
            self._output.close()
            raise

    def _add(self, stream: StreamFormat) -> Any:
        if stream.kind == "audio":
            # An encoder that is never used: it fills in what the head of the file says of the sound.
            audio = self._container.add_stream(stream.codec, rate=AUDIO_RATE, layout="stereo")
            audio.time_base = Fraction(1, AUDIO_RATE)
            return audio
        shape = {"width": stream.width, "height": stream.height, "time_base": Fraction(1, 90_000)}
        if not stream.head:
            return self._container.add_mux_stream(stream.codec, **shape)
        # Without its parameter sets FFmpeg waits for the first picture of each stream, and fails if one has none.
        with av.open(io.BytesIO(stream.head), format=stream.codec) as sets:
            return self._container.add_stream_from_template(sets.streams.video[0], opaque=True, **shape)

    def write(self, sample: Sample) -> None:
        """Add a sample of one of the streams, not earlier than `start_s`."""
        packet: Any = av.Packet(sample.data)
        packet.stream = self._streams[sample.slot]
        packet.time_base = Fraction(1, sample.rate)
        packet.pts = packet.dts = sample.ticks - round(self.start_s * sample.rate)
        packet.duration = sample.duration_ticks
        packet.is_keyframe = sample.is_key
        with _plain_errors(self.path):
            self._container.mux_one(packet)
        self.written_bytes += len(sample.data)
        self.end_s = max(self.end_s, sample.at_s + sample.duration_ticks / sample.rate)

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return self.end_s - self.start_s

    def finish(self) -> int:
        """Complete the file and bring it to disk; returns its size in bytes."""
        try:
            with _plain_errors(self.path):
                self._container.close()
            self._output.sync()
            return self._output.size_bytes
        finally:
            self._output.close()

    def abandon(self) -> int:
        """Close a file that cannot be written any more; returns the bytes it holds, and removes it if that is none."""
        try:
            with _plain_errors(self.path):
                self._container.close()
        except (OSError, ValueError) as error:
            _log.debug("the end of %s cannot be written: %s", self.path, error)
        size = self._output.size_bytes
        self._output.close()
        if size == 0 and self.path.is_file():
            self.path.unlink(missing_ok=True)
        return size


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Raise what FFmpeg says as an OSError of this file."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class _Output:
    """A file that writes everything it is given or raises; FFmpeg does not notice half a write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.size_bytes = 0

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
            self.size_bytes = max(self.size_bytes, self._file.tell())
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
