"""What one received section brings, on its way to the decoder: bounded, and left out where it is taken as it came."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import MIME_TYPES, EncodedVideoSource
from metered_realtime.media.h264 import NAL_IDR, NAL_SEI, is_exact_recovery_point, nal_type, split_annex_b

# What may wait for the decoder thread; a decoder that is slower loses up to the next key frame.
MAX_QUEUED = {"video": 60, "audio": 100}
MAX_QUEUED_BYTES = 8 * 1024 * 1024


class DecoderGate:
    """Stands where aiortc's receiver expects a `queue.Queue`: `put` is called in the event loop, `get` in its thread.

    Pictures can be had encoded (`encoded`). They are decoded but for the time between `close()` and `open()`, when
    those from the last key frame on are kept. Sound is cheap and always decoded.
    """

    def __init__(
        self, kind: str, *, want_key_frame: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kind = kind
        self._want_key_frame = want_key_frame
        self._clock = clock
        self._queue: queue.Queue[Any] = queue.Queue()
        # One is written in the loop, the other in the thread: neither needs a lock.
        self._put_bytes = self._taken_bytes = 0
        self._is_open = True
        self._waits_for_key = False
        self._group: list[Any] = []
        self._group_bytes = 0
        self.encoded: EncodedVideoSource | None = None
        self.codec_known = asyncio.Event()
        self.dropped = 0

    def open(self) -> None:
        """Decode from now on: what there is since the last key frame, and all that comes."""
        if self._is_open:
            return
        self._is_open = True
        if self._group:
            self._waits_for_key = False
            for task in self._group:
                self._enqueue(task)
            self._group.clear()
        else:
            self._want_key_frame()

    def close(self) -> None:
        """Nobody looks any more: decode nothing until the next `open()`."""
        if self._kind == "video":
            self._is_open = False
            self._waits_for_key = True

    def end_track(self) -> None:
        """The track has ended, encoded as well as decoded; what comes from now on belongs to another."""
        if not self._is_open:
            self._is_open = True  # still waiting for a key frame: the decoder has missed pictures
            self._group.clear()
            self._want_key_frame()
        if self.encoded is not None:
            self.encoded.stop()
            self.encoded = None
        self.codec_known.set()

    def put(self, task: Any) -> None:
        """Take (codec, encoded frame), or None: the end, at which nothing that waits is worth decoding."""
        if task is None:
            self._drain()
            if self.encoded is not None:
                self.encoded.stop()
            self._queue.put(None)
            return
        if self._kind != "video":
            if not self._is_full():
                self._enqueue(task)
            else:
                self.dropped += 1
            return
        codec, frame = task
        is_key = _is_key(codec.name, frame.data)
        self._offer_encoded(codec.mimeType, AccessUnit(frame.data, frame.timestamp, is_key))
        if self._is_open:
            self._decode(task, is_key=is_key)
        else:
            self._keep(task, is_key=is_key)

    def get(self) -> Any:
        """Wait for what is to be decoded next."""
        task = self._queue.get()
        if task is not None:
            self._taken_bytes += len(task[1].data)
        return task

    def _is_full(self) -> bool:
        waiting_bytes = self._put_bytes - self._taken_bytes
        return self._queue.qsize() >= MAX_QUEUED[self._kind] or waiting_bytes >= MAX_QUEUED_BYTES

    def _enqueue(self, task: Any) -> None:
        self._put_bytes += len(task[1].data)
        self._queue.put(task)

    def _decode(self, task: Any, *, is_key: bool) -> None:
        if self._is_full() and not self._waits_for_key:
            self._waits_for_key = True
            self._want_key_frame()
        if self._waits_for_key and not is_key:
            self.dropped += 1
            return
        self._waits_for_key = False
        self._enqueue(task)

    def _keep(self, task: Any, *, is_key: bool) -> None:
        is_whole = len(self._group) < MAX_QUEUED["video"] and self._group_bytes < MAX_QUEUED_BYTES
        if is_key or not is_whole:
            self._group.clear()  # half a group cannot be decoded
        if not is_key and not self._group:
            return
        self._group_bytes = len(task[1].data) + (self._group_bytes if self._group else 0)
        self._group.append(task)

    def _offer_encoded(self, mime_type: str, unit: AccessUnit) -> None:
        if self.encoded is None or self.encoded.mime_type != mime_type:
            if self.encoded is not None:
                self.encoded.stop()
            if mime_type not in MIME_TYPES:
                return
            self.encoded = EncodedVideoSource(
                mime_type=mime_type, on_key_frame_wanted=self._want_key_frame, clock=self._clock
            )
            self.codec_known.set()
        self.encoded.push(unit)

    def _drain(self) -> None:
        with contextlib.suppress(queue.Empty):  # the thread takes as well
            while True:
                self._queue.get_nowait()


def _is_key(codec_name: str, data: bytes) -> bool:
    if codec_name.upper() == "H264":
        return any(
            nal_type(nal) == NAL_IDR or (nal_type(nal) == NAL_SEI and is_exact_recovery_point(nal))
            for nal in split_annex_b(data)
        )
    return bool(data) and not data[0] & 1  # VP8, RFC 6386 section 9.1
