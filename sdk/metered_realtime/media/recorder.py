"""`Recorder`: tracks of any origin into MP4, Matroska or WebM files, as they come and go, for as long as it takes."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.emitter import Emitter
from metered_realtime.events import Event
from metered_realtime.logger import Logger
from metered_realtime.media.received import ReceivedTrack
from metered_realtime.media.recorder_events import RecordingFailed, TrackRefused
from metered_realtime.media.recorder_file import RecorderFile
from metered_realtime.media.recorder_formats import container_for
from metered_realtime.media.recorder_names import FileNames
from metered_realtime.media.recorder_thread import Item, Order, RecorderThread, SlotClosed, SlotOpened
from metered_realtime.media.recorder_writer import Writer, WriterCounts
from metered_realtime.media.tap import check_track, open_tap
from metered_realtime.media.video_settings import EncoderSettings, VideoCodec
from metered_realtime.owned_tasks import OwnedTasks

# What one track may have waiting for the thread, and beside it in its own tap: raw pictures are large.
_MAX_WAITING = {"video": 8, "audio": 50}
_MAX_ENDING_S = 30.0
_KEY_FRAME_INTERVAL_S = 4.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Counters of one recorder.

    `dropped_items` came faster than they could be written, `skipped_samples` had no place in a file (no key frame
    before them), `failed_samples` met a disk that could not be written (`failures` times), `failed_items` an encoder.
    """

    files: int
    written_samples: int
    written_bytes: int
    dropped_items: int
    skipped_samples: int
    failed_samples: int
    failures: int
    failed_items: int


class Recorder(Emitter):
    """Records tracks, local or received, with one clock, while it is entered.

    ::

        async with Recorder("yard-%Y%m%d-%H%M%S.mp4", [camera], rotate_s=600) as recorder:
            remote.on(Track, lambda event: recorder.add_track(event.track))
            recorder.on(FileFinished, lambda event: print(event.path, event.duration_s))
            await until_done()

    `path` ends in `.mp4`, `.mkv` or `.webm`, and may hold strftime codes (local time) and `{n}` or `{n:04}`, a number
    that counts up; folders are made. No file is written over but one of a fixed name. Every `rotate_s` seconds or
    `rotate_bytes` bytes the next file begins, with a key frame, without a gap; and so it does when a track with another
    format comes, or H.264 changes its size. A track that ends is taken off by itself, one of the same kind that comes
    takes its place in the file. A file can be played up to its last second even if the program is killed.

    Encoded pictures (`EncodedVideoSource`, `VideoSource`, cameras passed through, and what a peer sends where the file
    can hold its codec) are written as they are, all others are encoded: H.264 and AAC in `.mp4`, H.264 and Opus in
    `.mkv`, VP8 and Opus in `.webm`, at these bit rates, larger pictures than `max_size` scaled down.

    Events: FileStarted, FileFinished, RecordingFailed, TrackRefused. Nothing is raised while recording.
    Raises ValueError for another suffix or values no encoder takes.
    """

    def __init__(
        self,
        path: str | Path,
        tracks: Iterable[Any] = (),
        *,
        rotate_s: float | None = None,
        rotate_bytes: int | None = None,
        video_bitrate_bps: int = 3_000_000,
        audio_bitrate_bps: int = 96_000,
        max_size: tuple[int, int] | None = None,
        fps: int = 30,
        logger: Logger | None = None,
    ) -> None:
        super().__init__(logger=logger)
        self._container = container_for(str(path))
        if (rotate_s is not None and rotate_s <= 0) or (rotate_bytes is not None and rotate_bytes <= 0):
            raise ValueError("rotate_s and rotate_bytes must be positive, or None for never")
        self._settings = EncoderSettings(self._container.video, video_bitrate_bps, fps, _KEY_FRAME_INTERVAL_S, max_size)
        self._names = FileNames(str(path))
        self._rotate_s, self._rotate_bytes = rotate_s, rotate_bytes
        self._audio_bitrate_bps = audio_bitrate_bps
        self._waiting_tracks = list(tracks)
        self._counts = WriterCounts()
        self._slots: dict[int, str] = {}
        self._readers: dict[Any, tuple[int, asyncio.Task[None]]] = {}
        self._taps: dict[int, Any] = {}
        self._dropped_by_gone = 0
        self._tasks = OwnedTasks()
        self._thread: RecorderThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._written = asyncio.Event()
        self._is_closed = False

    @property
    def tracks(self) -> list[Any]:
        """The tracks that are recorded now."""
        return list(self._readers) or ([] if self._thread is not None else list(self._waiting_tracks))

    def stats(self) -> RecorderStats:
        """Return the counters."""
        counts = self._counts
        return RecorderStats(
            files=counts.files,
            written_samples=counts.written_samples,
            written_bytes=counts.written_bytes,
            dropped_items=self._dropped_by_gone + sum(_dropped(tap) for tap in self._taps.values()),
            skipped_samples=counts.skipped_samples,
            failed_samples=counts.failed_samples,
            failures=counts.failures,
            failed_items=self._thread.failed_items if self._thread is not None else 0,
        )

    async def __aenter__(self) -> Self:
        if self._thread is not None or self._is_closed:
            raise RuntimeError("a Recorder is entered once; make another for the next recording")
        self._loop = asyncio.get_running_loop()
        self._thread = self._new_thread(self._loop)
        self._thread.start()
        for track in self._waiting_tracks:
            self.add_track(track)
        self._waiting_tracks.clear()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def add_track(self, track: Any) -> None:
        """Record this track as well, from now on; one that is recorded already goes on. No effect after the end.

        Raises TypeError for what is not a track.
        """
        kind = getattr(track, "kind", None)
        if kind not in ("audio", "video"):
            raise TypeError("add_track: expected an audio or video track")
        if self._thread is None:
            self._waiting_tracks.append(track)
            return
        if track in self._readers or self._is_closed:
            return
        check_track(track)
        slot = self._free_slot(kind)
        self._order(SlotOpened(slot))
        task = self._tasks.start(self._read(track, slot), f"recording of a {kind} track")
        self._readers[track] = (slot, task)
        task.add_done_callback(functools.partial(self._track_done, track))

    def remove_track(self, track: Any) -> None:
        """Record this track no more; silent where it is not recorded."""
        if track in self._waiting_tracks:
            self._waiting_tracks.remove(track)
        if track in self._readers:
            task = self._readers[track][1]
            self._track_done(track, task)
            task.cancel()

    async def aclose(self) -> None:
        """Write what has come, finish the file and end all handlers. May be called again."""
        if self._thread is None or self._is_closed:
            self._is_closed = True
            return
        self._is_closed = True
        await self._tasks.aclose()
        self._order(None)
        try:
            await asyncio.wait_for(self._written.wait(), _MAX_ENDING_S)
        except TimeoutError:
            _log.warning("the recording could not be brought to disk within %g s", _MAX_ENDING_S)
        else:
            self._thread.join(timeout_s=1.0)
        await self._end_handlers()

    # Tracks --------------------------------------------------------------------------------------------

    def _free_slot(self, kind: str) -> int:
        """Return the slot of a track of this kind that has ended, else a new one."""
        used = {slot for slot, _ in self._readers.values()}
        free = [slot for slot, its_kind in self._slots.items() if its_kind == kind and slot not in used]
        slot = min(free) if free else len(self._slots)
        self._slots[slot] = kind
        return slot

    async def _read(self, track: Any, slot: int) -> None:
        room = asyncio.Semaphore(_MAX_WAITING[track.kind])
        try:
            # Again where somebody else ended what we shared, and the track goes on.
            while await self._read_tap(track, await self._open_tap(track), slot, room):
                self._forget_tap(slot)
        except MediaStreamError:
            _log.debug("a track ended before anything of it came")
        finally:
            self._forget_tap(slot)

    async def _open_tap(self, track: Any) -> MediaStreamTrack:
        """Read what a peer sends as it was sent, where the container takes it."""
        encoded = await track.encoded() if isinstance(track, ReceivedTrack) else None
        if encoded is not None and str(encoded.mime_type).lower() in self._container.passes:
            reader: MediaStreamTrack = encoded.open_reader()
            return reader
        return open_tap(track, max_queued=_MAX_WAITING[track.kind])

    async def _read_tap(self, track: Any, tap: MediaStreamTrack, slot: int, room: asyncio.Semaphore) -> bool:
        """Hand over everything the tap gives; True if it ended after it gave something, and the track did not."""
        self._taps[slot] = tap
        has_given = False
        while True:
            try:
                media: Any = await tap.recv()
            except MediaStreamError:
                return has_given and getattr(track, "readyState", "live") == "live"
            has_given = True
            codec = self._codec_of(media, track.kind, getattr(tap, "mime_type", None))
            if codec is None:
                sentence = f"{track.kind} that comes as {type(media).__name__} cannot be written to this kind of file"
                self.emit(TrackRefused(str(track.id), ValueError(sentence)))
                return False
            await room.acquire()
            arrived_s = getattr(tap, "arrived_s", None)
            self._order(
                Item(
                    slot,
                    media,
                    arrived_s if arrived_s is not None else time.monotonic(),
                    codec,
                    functools.partial(self._in_loop, room.release),
                )
            )

    def _codec_of(self, media: Any, kind: str, mime_type: str | None) -> VideoCodec | None:
        """Return the codec of a packet, or what frames are encoded as; None for what cannot be written."""
        if isinstance(media, av.VideoFrame if kind == "video" else av.AudioFrame):
            return self._container.video
        if kind != "video" or not isinstance(media, av.Packet):
            return None
        mime_type = (mime_type or "video/H264").lower()
        return cast("VideoCodec", mime_type[6:].upper()) if mime_type in self._container.passes else None

    def _forget_tap(self, slot: int) -> None:
        tap = self._taps.pop(slot, None)
        if tap is not None:
            self._dropped_by_gone += _dropped(tap)
            tap.stop()

    def _track_done(self, track: Any, task: asyncio.Task[None]) -> None:
        slot, reading = self._readers.get(track, (0, None))
        if reading is task:
            del self._readers[track]
            self._order(SlotClosed(slot))

    # The thread ----------------------------------------------------------------------------------------

    def _new_thread(self, loop: asyncio.AbstractEventLoop) -> RecorderThread:
        writer = Writer(
            next_path=lambda: self._names.next(datetime.now().astimezone(), Path.exists),
            open_file=lambda path, formats, start_s: RecorderFile(path, self._container, formats, start_s),
            emit=lambda event: self._in_loop(self._emit_and_log, event),
            want_key_frame=self._want_key_frame,
            rotate_s=self._rotate_s,
            rotate_bytes=self._rotate_bytes,
            counts=self._counts,
        )
        return RecorderThread(
            writer,
            self._container,
            self._settings,
            self._audio_bitrate_bps,
            is_orphaned=lambda: loop.is_closed() or not threading.main_thread().is_alive(),
            finished=lambda: self._in_loop(self._written.set),
        )

    def _order(self, order: Order) -> None:
        if self._thread is not None:
            self._thread.orders.put(order)

    def _want_key_frame(self) -> None:
        """Called in the thread: the next file should begin soon."""
        if self._thread is not None:
            self._thread.force_key_frames()
        self._in_loop(self._ask_sources)

    def _ask_sources(self) -> None:
        for track in self._readers:
            if callable(ask := getattr(track, "request_key_frame", None)):
                ask()

    def _emit_and_log(self, event: Event) -> None:
        if isinstance(event, RecordingFailed):
            _log.warning("the recording cannot be written to %s: %s", event.path, event.err)
        self.emit(event)

    def _in_loop(self, call: Callable[..., object], *values: Any) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(call, *values)
        except RuntimeError:
            _log.debug("the event loop has ended before the recording")


def _dropped(tap: Any) -> int:
    return int(getattr(tap, "dropped_frames", 0)) + int(getattr(tap, "dropped_units", 0))
