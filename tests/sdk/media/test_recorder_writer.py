from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metered_realtime.media.recorder_events import FileFinished, FileStarted, RecordingFailed
from metered_realtime.media.recorder_formats import StreamFormat
from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.recorder_writer import HEALTHY_AFTER_S, LINGER_S, SETTLE_S, Writer

VIDEO, SOUND = StreamFormat("video", "h264", 64, 48), StreamFormat("audio", "aac")
RATE = 1000


class MemoryFile:
    """A file that keeps what it is given; `disk.is_full` makes it fail."""

    def __init__(self, disk: Disk, path: Path, formats: Mapping[int, StreamFormat], start_s: float) -> None:
        self.disk, self.path, self.formats, self.start_s = disk, path, dict(formats), start_s
        self.samples: list[Sample] = []
        self.written_bytes = 0
        self.is_open = True
        disk.check()

    @property
    def duration_s(self) -> float:
        return self.samples[-1].at_s - self.start_s if self.samples else 0.0

    def write(self, sample: Sample) -> None:
        assert self.is_open
        self.disk.check()
        self.samples.append(sample)
        self.written_bytes += len(sample.data)

    def finish(self) -> int:
        self.disk.check()
        self.is_open = False
        return self.written_bytes

    def abandon(self) -> int:
        self.is_open = False
        return self.written_bytes


class Disk:
    def __init__(self, **options: Any) -> None:
        self.is_full = False
        self.files: list[MemoryFile] = []
        self.events: list[Any] = []
        self.keys_asked = 0
        self.number = 0
        self.writer = Writer(
            next_path=self.next_path,
            open_file=self.open_file,
            emit=self.events.append,
            want_key_frame=self.asked,
            **options,
        )

    def check(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space left")

    def next_path(self) -> Path:
        self.number += 1
        return Path(f"{self.number}.mp4")

    def open_file(self, path: Path, formats: Mapping[int, StreamFormat], start_s: float) -> MemoryFile:
        file = MemoryFile(self, path, formats, start_s)
        self.files.append(file)
        return file

    def asked(self) -> None:
        self.keys_asked += 1

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def picture(self, at_s: float, *, key: bool = False, slot: int = 0, stream: StreamFormat = VIDEO) -> None:
        self.writer.take(Sample(slot, b"picture", round(at_s * RATE), RATE, 40, key, stream), at_s)

    def sound(self, at_s: float, slot: int = 1) -> None:
        self.writer.take(Sample(slot, b"sound", round(at_s * RATE), RATE, 20, True, SOUND), at_s)

    def play(self, from_s: float, to_s: float, *, key_each_s: float = 1.0, has_sound: bool = True) -> None:
        for step in range(round(from_s * 25), round(to_s * 25)):
            at_s = step / 25
            self.picture(at_s, key=step % round(key_each_s * 25) == 0)
            if has_sound:
                self.sound(at_s)


def times(file: MemoryFile, slot: int = 0) -> list[float]:
    return [sample.at_s for sample in file.samples if sample.slot == slot]


def opened(*slots: int, **options: Any) -> Disk:
    disk = Disk(**options)
    for slot in slots:
        disk.writer.slot_opened(slot)
    return disk


def test_a_file_begins_with_the_first_key_frame_and_knows_all_streams() -> None:
    disk = opened(0, 1)
    disk.sound(9.96)
    disk.picture(9.98)
    disk.play(10, 12)
    disk.writer.finish(12)
    (file,) = disk.files
    assert file.formats == {0: VIDEO, 1: SOUND}
    assert list(file.formats) == [0, 1]
    assert times(file)[0] == file.start_s == 10.0
    assert (len(times(file)), len(times(file, 1))) == (50, 50)
    assert disk.writer.counts.skipped_samples == 2
    assert disk.events == [FileStarted(Path("1.mp4")), FileFinished(Path("1.mp4"), pytest.approx(1.96), 50 * 12)]


def test_the_next_file_begins_with_a_key_frame_and_nothing_is_lost_or_written_twice() -> None:
    disk = opened(0, 1, rotate_s=2.0)
    disk.play(0, 7)
    disk.writer.finish(7)
    assert [file.start_s for file in disk.files] == [0, 2, 4, 6]
    assert all(file.samples[0].is_key and file.samples[0].slot == 0 for file in disk.files)
    for slot in (0, 1):
        written = [at_s for file in disk.files for at_s in times(file, slot)]
        assert written == [step / 25 for step in range(175)]
    assert disk.keys_asked == 0, "there was one just in time"


def test_a_long_group_of_pictures_is_waited_out_after_a_key_frame_was_asked_for() -> None:
    disk = opened(0, rotate_s=2.0)
    disk.play(0, 8, key_each_s=5.0, has_sound=False)
    assert [file.start_s for file in disk.files] == [0, 5]
    assert disk.keys_asked == 2


def test_the_next_file_begins_when_one_is_large_enough() -> None:
    disk = opened(0, 1, rotate_bytes=400)
    disk.play(0, 5)
    disk.writer.finish(5)
    assert [file.start_s for file in disk.files] == [0, 2, 4]


def test_sound_alone_turns_over_by_itself() -> None:
    disk = opened(1, rotate_s=1.0)
    for step in range(60):
        disk.sound(step / 20)
    assert [file.start_s for file in disk.files] == [0, 1, 2]


def test_sound_begins_the_next_file_where_the_pictures_have_stopped() -> None:
    disk = opened(0, 1, rotate_s=5.0)
    disk.play(0, 3)
    for step in range(60, 240):
        disk.sound(step / 20)
    assert [file.start_s for file in disk.files] == [0, pytest.approx(5.0, abs=0.1), pytest.approx(10.0, abs=0.2)]
    assert [sorted(file.formats) for file in disk.files] == [[0, 1], [1], [1]]


def test_another_camera_begins_the_next_file_where_the_first_has_stopped() -> None:
    disk = opened(0, 1, rotate_s=2.0)
    for step in range(200):
        if step < 25:
            disk.picture(step / 25, key=step == 0)
        disk.picture(step / 25, slot=1, key=step % 25 == 0)
    disk.picture(8.0, key=True)
    disk.picture(8.02, slot=1, key=True)
    disk.writer.finish(9.0)
    assert [(file.start_s, sorted(file.formats)) for file in disk.files] == [
        (0, [0, 1]), (3, [1]), (5, [1]), (7, [1]), (8, [0, 1]),
    ]  # fmt: skip


def test_a_stream_that_never_comes_is_not_waited_for_longer_than_a_moment() -> None:
    disk = opened(0, 1)
    disk.play(0, SETTLE_S + 0.5, has_sound=False)
    assert disk.files[0].formats == {0: VIDEO}


def test_a_stream_that_comes_later_begins_a_new_file_with_the_next_key_frame() -> None:
    disk = opened(0)
    disk.play(0, 2, has_sound=False)
    disk.writer.slot_opened(1)
    disk.sound(2.0)
    disk.play(2.04, 4)
    disk.writer.finish(4)
    assert [file.formats for file in disk.files] == [{0: VIDEO}, {0: VIDEO, 1: SOUND}]
    assert disk.files[1].start_s == 3.0
    assert disk.keys_asked == 1


def test_pictures_of_another_size_begin_a_new_file() -> None:
    disk = opened(0)
    disk.picture(0, key=True)
    larger = StreamFormat("video", "h264", 128, 96, head=b"other sets")
    disk.picture(1, key=True, stream=larger)
    disk.picture(2, stream=larger)
    assert [(file.formats[0], times(file)) for file in disk.files] == [(VIDEO, [0]), (larger, [1, 2])]


def test_a_second_camera_begins_in_the_file_with_its_own_key_frame() -> None:
    disk = opened(0, 1)
    disk.picture(0, key=True)
    disk.picture(0.01, slot=1)
    disk.picture(0.02)
    disk.picture(0.03, slot=1, key=True)
    disk.picture(0.04, slot=1)
    disk.writer.finish(1)
    assert [times(file, 1) for file in disk.files] == [[0.03, 0.04]]


def test_a_track_that_comes_back_soon_goes_on_in_the_same_file() -> None:
    disk = opened(0, 1)
    disk.play(0, 2)
    for slot in (0, 1):
        disk.writer.slot_closed(slot)
    disk.writer.tick(3.0)
    for slot in (0, 1):
        disk.writer.slot_opened(slot)
    disk.play(4, 5)
    disk.writer.finish(5)
    assert len(disk.files) == 1
    assert times(disk.files[0])[-1] == 4.96


def test_a_file_nobody_feeds_is_finished_after_a_while() -> None:
    disk = opened(0)
    disk.play(0, 1, has_sound=False)
    disk.writer.slot_closed(0)
    disk.writer.tick(1.0)
    disk.writer.tick(0.9 + LINGER_S)
    assert disk.told(FileFinished) == []
    disk.writer.tick(1.1 + LINGER_S)
    assert len(disk.told(FileFinished)) == 1
    disk.writer.slot_opened(0)
    disk.picture(20, key=True)
    assert disk.files[1].start_s == 20


def test_a_full_disk_is_told_once_and_tried_again_until_there_is_room() -> None:
    disk = opened(0, 1)
    disk.play(0, 2)
    disk.is_full = True
    disk.play(2, 30)
    disk.is_full = False
    disk.play(30, 90)
    disk.writer.finish(90)
    assert [type(event) for event in disk.events] == [
        FileStarted, RecordingFailed, FileFinished, FileStarted, FileFinished,
    ]  # fmt: skip
    failed = disk.told(RecordingFailed)[0]
    assert (failed.path, failed.err.errno) == (Path("1.mp4"), errno.ENOSPC)
    assert disk.told(FileFinished)[0].duration_s == pytest.approx(1.96), "what there is can be used"
    assert disk.writer.counts.failures < 5
    assert disk.writer.counts.failed_samples > 500
    assert disk.files[-1].start_s < 90


def test_a_disk_that_fails_again_after_a_healthy_while_is_news() -> None:
    disk = opened(0)
    now_s = 0.0
    for _ in range(2):
        disk.is_full = True
        disk.play(now_s, now_s + 1, has_sound=False)
        disk.is_full = False
        disk.play(now_s + 1, now_s + HEALTHY_AFTER_S + 20, has_sound=False)
        now_s += HEALTHY_AFTER_S + 20
    assert len(disk.told(RecordingFailed)) == 2


def test_an_end_that_cannot_be_written_is_told() -> None:
    disk = opened(0)
    disk.play(0, 1, has_sound=False)
    disk.is_full = True
    disk.writer.finish(1)
    assert [type(event) for event in disk.events] == [FileStarted, RecordingFailed, FileFinished]
    assert not any(file.is_open for file in disk.files)


class Recording(RuleBasedStateMachine):
    """Whatever comes, at most one file is open, each can be decoded from its start, and its times go up."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk(rotate_s=3.0, rotate_bytes=500)
        self.now_s = 0.0
        self.taken = 0

    @rule(slot=st.integers(0, 3), is_open=st.booleans())
    def track(self, slot: int, is_open: bool) -> None:
        (self.disk.writer.slot_opened if is_open else self.disk.writer.slot_closed)(slot)

    @rule(
        slot=st.integers(0, 3),
        key=st.booleans(),
        wide=st.booleans(),
        back_s=st.floats(0, 0.4),
        step_s=st.floats(0, 1.5),
    )
    def sample(self, slot: int, key: bool, wide: bool, back_s: float, step_s: float) -> None:
        self.now_s += step_s
        self.taken += 1
        if slot >= 2:
            self.disk.sound(self.now_s, slot)
        else:
            stream = StreamFormat("video", "h264", 128 if wide else 64, 48)
            self.disk.picture(self.now_s, key=key, slot=slot, stream=stream)

    @rule(is_full=st.booleans())
    def disk_fills(self, is_full: bool) -> None:
        self.disk.is_full = is_full

    @rule()
    def time_passes(self) -> None:
        self.now_s += 2.0
        self.disk.writer.tick(self.now_s)

    @rule()
    def ends(self) -> None:
        self.disk.writer.finish(self.now_s)
        assert not any(file.is_open for file in self.disk.files)

    @invariant()
    def files_are_whole(self) -> None:
        assert sum(file.is_open for file in self.disk.files) <= 1
        for file in self.disk.files:
            for slot in file.formats:
                samples = [sample for sample in file.samples if sample.slot == slot]
                assert not samples or samples[0].is_key
                assert [each.at_s for each in samples] == sorted(each.at_s for each in samples)
                assert all(each.format == file.formats[slot] for each in samples)
        counts = self.disk.writer.counts
        assert counts.written_samples + counts.skipped_samples + counts.failed_samples <= self.taken


TestRecording = Recording.TestCase
TestRecording.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
