"""The thread in which a `Recorder` encodes and writes; what it is given waits in a queue its givers bound."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av

from metered_realtime.media.recorder_formats import Container
from metered_realtime.media.recorder_pictures import PictureIntake
from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.recorder_sound import SoundEncoder
from metered_realtime.media.recorder_writer import Writer
from metered_realtime.media.video_settings import EncoderSettings, VideoCodec

_TICK_S = 0.25

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SlotOpened:
    """A track begins to feed a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class SlotClosed:
    """A slot's track has ended."""

    slot: int


@dataclass(frozen=True, slots=True)
class Item:
    """A frame, or a packet of `codec`, that arrived at `arrived_s` (monotonic); `done` is called once it is used up."""

    slot: int
    media: Any
    arrived_s: float
    codec: VideoCodec
    done: Callable[[], None]


Order = SlotOpened | SlotClosed | Item | None


class RecorderThread:
    """Works off `orders` until None, or until `is_orphaned` says that nobody is left to give any."""

    def __init__(
        self,
        writer: Writer,
        container: Container,
        settings: EncoderSettings,
        audio_bitrate_bps: int,
        *,
        is_orphaned: Callable[[], bool],
        finished: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self.failed_items = 0
        self._writer = writer
        self._container = container
        self._settings = settings
        self._audio_bitrate_bps = audio_bitrate_bps
        self._is_orphaned = is_orphaned
        self._finished = finished
        self._clock = clock
        self._pictures: dict[int, PictureIntake] = {}
        self._sounds: dict[int, SoundEncoder] = {}
        self._failing: set[int] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="recorder")
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; True if it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    # In the thread -------------------------------------------------------------------------------------

    def force_key_frames(self) -> None:
        """Make the next picture of every slot that is encoded here a key frame."""
        for intake in self._pictures.values():
            intake.force_key_frame()

    def _run(self) -> None:
        try:
            while self._work_once():
                pass
            self._writer.finish(self._clock())
        finally:
            for intake in self._pictures.values():
                intake.close()
            self._pictures.clear()
            self._sounds.clear()
            self._finished()

    def _work_once(self) -> bool:
        try:
            order = self.orders.get(timeout=_TICK_S)
        except queue.Empty:
            self._writer.tick(self._clock())
            return not self._is_orphaned()
        if isinstance(order, Item):
            for sample in self._samples(order):
                self._writer.take(sample, self._clock())
            order.done()
        elif isinstance(order, SlotOpened):
            for intake in (self._pictures.get(order.slot), self._sounds.get(order.slot)):
                if intake is not None:
                    intake.restart()
            self._writer.slot_opened(order.slot)
        elif isinstance(order, SlotClosed):
            self._writer.slot_closed(order.slot)
        return order is not None

    def _samples(self, item: Item) -> list[Sample]:
        try:
            samples = self._converted(item)
        except (av.FFmpegError, ValueError) as error:
            self.failed_items += 1
            if item.slot not in self._failing:
                _log.warning("a piece of media cannot be encoded for the recording: %s", error)
            self._failing.add(item.slot)
            return []
        self._failing.discard(item.slot)
        return samples

    def _converted(self, item: Item) -> list[Sample]:
        if isinstance(item.media, av.AudioFrame):
            sound = self._sounds.get(item.slot)
            if sound is None:
                sound = SoundEncoder(item.slot, self._container.audio, self._audio_bitrate_bps)
                self._sounds[item.slot] = sound
            return sound.take(item.media, item.arrived_s)
        pictures = self._pictures.get(item.slot)
        if pictures is None:
            pictures = self._pictures[item.slot] = PictureIntake(item.slot, self._settings)
        return pictures.take(item.media, item.arrived_s, item.codec)
