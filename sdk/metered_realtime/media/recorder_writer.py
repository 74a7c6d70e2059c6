"""The mind of a recorder: which samples go into which file, when the next begins, what to do when none can. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from metered_realtime.events import Event
from metered_realtime.media.recorder_events import FileFinished, FileStarted, RecordingFailed
from metered_realtime.media.recorder_formats import StreamFormat
from metered_realtime.media.recorder_samples import Interleaver, Sample

# The first file waits this long for streams that are known and have brought nothing.
SETTLE_S = 1.0
# A file without streams stays open this long: a peer that reconnects goes on in it.
LINGER_S = 5.0
RETRY_AFTER_S = (2.0, 10.0, 60.0)
# After a failure, writing has to work for this long before another one is news.
HEALTHY_AFTER_S = 10.0
# Pictures that stopped coming are not waited for: the next file begins without them. It has them again once they come.
_PICTURES_GONE_S = 2.0

WRITE_ERRORS = (OSError, ValueError)


class File(Protocol):
    """What is written to, see `RecorderFile`."""

    path: Path
    start_s: float
    formats: dict[int, StreamFormat]
    written_bytes: int

    @property
    def duration_s(self) -> float: ...
    def write(self, sample: Sample) -> None: ...
    def finish(self) -> int: ...
    def abandon(self) -> int: ...


OpenFile = Callable[[Path, Mapping[int, StreamFormat], float], File]


@dataclass(slots=True)
class WriterCounts:
    """What became of the samples; written by one thread, read by any."""

    files: int = 0
    written_samples: int = 0
    written_bytes: int = 0
    skipped_samples: int = 0
    failed_samples: int = 0
    failures: int = 0


@dataclass(slots=True)
class Writer:
    """Owns the open file. `next_path` names the next one, `want_key_frame` asks every source of pictures for one."""

    next_path: Callable[[], Path]
    open_file: OpenFile
    emit: Callable[[Event], None]
    want_key_frame: Callable[[], None]
    rotate_s: float | None = None
    rotate_bytes: int | None = None
    counts: WriterCounts = field(default_factory=WriterCounts)
    _interleaver: Interleaver = field(default_factory=Interleaver)
    _active: set[int] = field(default_factory=set)
    _formats: dict[int, StreamFormat] = field(default_factory=dict)
    _file: File | None = None
    _path: Path = field(default_factory=Path)
    _first_s: float | None = None
    _empty_since_s: float | None = None
    _begun: set[int] = field(default_factory=set)
    _picture_s: dict[int, float] = field(default_factory=dict)
    _key_asked: bool = False
    _opened_s: float | None = None
    _retry_s: float | None = None
    _tries: int = 0

    def slot_opened(self, slot: int) -> None:
        """A track now feeds this slot."""
        self._active.add(slot)

    def slot_closed(self, slot: int) -> None:
        """The slot's track has ended; another may take its place."""
        self._active.discard(slot)

    def take(self, sample: Sample, now_s: float) -> None:
        """Take the next sample of a slot."""
        if self._first_s is None:
            self._first_s = now_s
        self._interleaver.push(sample)
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Write what is ready, and end a file nobody feeds; call it at least once a second."""
        if self._is_settled(now_s):
            while (sample := self._interleaver.pop(self._active)) is not None:
                self._place(sample, now_s)
        if self._active or self._file is None:
            self._empty_since_s = None
        elif self._empty_since_s is None:
            self._empty_since_s = now_s
        elif now_s - self._empty_since_s >= LINGER_S:
            self.finish(now_s)

    def finish(self, now_s: float) -> None:
        """Write everything that waits and end the file; the next sample begins another."""
        while (sample := self._interleaver.pop(self._active, is_last=True)) is not None:
            self._place(sample, now_s)
        self._end_file(now_s)
        self._formats.clear()
        self._picture_s.clear()
        self._first_s = self._empty_since_s = None

    def _is_settled(self, now_s: float) -> bool:
        """Tell whether the streams of the first file are known."""
        if self._file is not None or self._first_s is None:
            return True
        return now_s - self._first_s >= SETTLE_S or self._active <= self._interleaver.formats.keys()

    def _place(self, sample: Sample, now_s: float) -> None:
        is_picture = sample.format.kind == "video"
        if is_picture:
            self._picture_s[sample.slot] = sample.at_s
        if not is_picture or sample.is_key:
            self._formats[sample.slot] = sample.format
        if self._is_pausing(now_s):
            self.counts.failed_samples += 1
            return
        streams = self._streams(sample)
        is_due = self._is_due(sample, streams)
        if is_due and self._may_begin_file(sample, streams):
            self._end_file(now_s)
            self._begin_file(sample, streams, now_s)
        elif is_due and not self._key_asked:
            self._key_asked = True
            self.want_key_frame()
        if self._file is not None:
            self._write(self._file, sample, now_s)
        elif self._is_pausing(now_s):
            self.counts.failed_samples += 1
        else:
            self.counts.skipped_samples += 1

    def _is_pausing(self, now_s: float) -> bool:
        """Tell whether writing failed a short while ago."""
        return self._retry_s is not None and now_s < self._retry_s

    def _streams(self, sample: Sample) -> dict[int, StreamFormat]:
        """Return the streams of a file that would begin with this sample, without pictures that have stopped."""
        queued = self._interleaver.formats
        alive = self._active | queued.keys() | {sample.slot}
        known = {**queued, **{slot: each for slot, each in self._formats.items() if slot in alive}}
        streams = {
            slot: each
            for slot, each in known.items()
            if sample.at_s - self._picture_s.get(slot, sample.at_s) <= _PICTURES_GONE_S
        }
        return dict(sorted(streams.items(), key=lambda item: (item[1].kind == "audio", item[0])))

    def _may_begin_file(self, sample: Sample, streams: dict[int, StreamFormat]) -> bool:
        """A file begins with a key frame of its first pictures, or with sound where it has none."""
        pictures = [slot for slot, each in streams.items() if each.kind == "video"]
        return sample.is_key and sample.slot == min(pictures, default=sample.slot)

    def _is_due(self, sample: Sample, streams: dict[int, StreamFormat]) -> bool:
        file = self._file
        if file is None or any(file.formats.get(slot) != each for slot, each in streams.items()):
            return True
        is_long = self.rotate_s is not None and sample.at_s - file.start_s >= self.rotate_s
        return is_long or (self.rotate_bytes is not None and file.written_bytes >= self.rotate_bytes)

    def _begin_file(self, sample: Sample, streams: dict[int, StreamFormat], now_s: float) -> None:
        self._begun.clear()
        self._key_asked = False
        try:
            self._path = self.next_path()
            self._file = self.open_file(self._path, streams, sample.at_s)
        except WRITE_ERRORS as error:
            self._failed(error, now_s)
            return
        self._opened_s = now_s
        self.counts.files += 1
        self.emit(FileStarted(self._path))

    def _write(self, file: File, sample: Sample, now_s: float) -> None:
        is_decodable = sample.is_key or sample.slot in self._begun
        if file.formats.get(sample.slot) != sample.format or sample.at_s < file.start_s or not is_decodable:
            self.counts.skipped_samples += 1
            self._begun.discard(sample.slot)
            return
        self._begun.add(sample.slot)
        try:
            file.write(sample)
        except WRITE_ERRORS as error:
            self.counts.failed_samples += 1
            self._failed(error, now_s)
            return
        self.counts.written_samples += 1
        self.counts.written_bytes += len(sample.data)

    def _end_file(self, now_s: float) -> None:
        file = self._file
        if file is None:
            return
        try:
            size_bytes = file.finish()
        except WRITE_ERRORS as error:
            self._failed(error, now_s)
        else:
            self._file = None
            self.emit(FileFinished(file.path, file.duration_s, size_bytes))

    def _failed(self, error: Exception, now_s: float) -> None:
        """Give the file up and try another later; say so once, until writing has worked for a while."""
        was_healthy = self._opened_s is not None and now_s - self._opened_s >= HEALTHY_AFTER_S
        if self._retry_s is None or was_healthy:
            self._tries = 0
            self.emit(RecordingFailed(self._path, error))
        self.counts.failures += 1
        self._retry_s = now_s + RETRY_AFTER_S[min(self._tries, len(RETRY_AFTER_S) - 1)]
        self._tries += 1
        self._opened_s, self._key_asked = None, False
        file, self._file = self._file, None
        if file is not None and (size_bytes := file.abandon()):
            self.emit(FileFinished(file.path, file.duration_s, size_bytes))
