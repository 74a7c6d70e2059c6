from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import pytest

from metered_realtime.media.recorder_file import RecorderFile
from metered_realtime.media.recorder_formats import container_for
from metered_realtime.media.recorder_thread import Item, RecorderThread, SlotClosed, SlotOpened
from metered_realtime.media.recorder_writer import Writer
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.pictures import RED, solid
from tests.sdk.media.tracks import sound


class Bench:
    def __init__(self, path: Path) -> None:
        container = container_for(path.name)
        self.events: list[Any] = []
        self.is_orphaned = False
        self.ended = threading.Event()
        self.used = threading.Semaphore(0)
        self.writer = Writer(
            next_path=lambda: path,
            open_file=lambda name, formats, start_s: RecorderFile(name, container, formats, start_s),
            emit=self.events.append,
            want_key_frame=lambda: None,
        )
        self.thread = RecorderThread(
            self.writer,
            container,
            EncoderSettings(),
            64_000,
            is_orphaned=lambda: self.is_orphaned,
            finished=self.ended.set,
        )

    def give(self, slot: int, media: Any, at_s: float) -> None:
        self.thread.orders.put(Item(slot, media, at_s, "H264", self.used.release))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "out.mp4")


def test_frames_and_sound_become_a_file(bench: Bench, tmp_path: Path) -> None:
    bench.thread.orders.put(SlotOpened(0))
    bench.thread.orders.put(SlotOpened(1))
    bench.thread.start()
    for number in range(50):
        bench.give(0, solid(RED), 10 + number / 50)
        bench.give(1, sound(number * 960), 10 + number / 50)
    bench.thread.orders.put(None)
    assert bench.ended.wait(10)
    assert bench.thread.join(5)
    assert all(bench.used.acquire(timeout=1) for _ in range(100)), "each item is given back"
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert sum(1 for _ in container.decode(video=0)) == 50


def test_what_cannot_be_encoded_is_counted_and_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.thread.start()
    for number in range(3):
        bench.give(0, solid(RED, 4, 4), float(number))
    bench.thread.orders.put(None)
    assert bench.ended.wait(10)
    assert bench.thread.join(5)
    assert bench.thread.failed_items == 3
    assert len(caplog.records) == 1


def test_a_thread_nobody_ends_finishes_the_file_by_itself(bench: Bench) -> None:
    bench.thread.orders.put(SlotOpened(0))
    bench.thread.start()
    bench.give(0, solid(RED), 1.0)
    bench.thread.orders.put(SlotClosed(0))
    bench.is_orphaned = True
    assert bench.ended.wait(10)
    assert bench.thread.join(5)
    assert [type(event).__name__ for event in bench.events] == ["FileStarted", "FileFinished"]


def test_joining_what_never_started_is_easy(bench: Bench) -> None:
    assert bench.thread.join(0)
