from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metered_realtime.media import hardware_encoders
from metered_realtime.media.encoder_search import Candidate, Trial
from metered_realtime.media.hardware_encoders import HardwareEncoders, look_for_devices, try_in_process
from tests.sdk.media.tracks import Clock

FIRST, SECOND = Candidate("h264_v4l2m2m", "/dev/video11"), Candidate("h264_qsv", "/dev/dri/renderD128")
WORKS = Trial(SECOND, "nv12")


class Machine:
    """Some devices, and what becomes of trying them."""

    def __init__(self, *trials: Trial) -> None:
        self.trials = list(trials)
        self.tried: list[tuple[str, float]] = []
        self.clock = Clock()
        self.takes_s = 0.0
        self.encoders = HardwareEncoders(look=self._look, try_out=self._try_out, clock=self.clock)

    def _look(self) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
        return tuple(trial.candidate for trial in self.trials), ("/dev/video7 cannot be opened: Permission denied",)

    def _try_out(self, candidate: Candidate, within_s: float) -> Trial:
        self.tried.append((candidate.encoder, within_s))
        self.clock.now_s += self.takes_s
        return next(trial for trial in self.trials if trial.candidate == candidate)


def test_the_first_that_works_is_taken_and_looked_for_once() -> None:
    machine = Machine(Trial(FIRST, reason="it crashed (signal 11)"), WORKS, Trial(Candidate("h264_never", "/dev/x")))
    assert [machine.encoders.choice() for _ in range(3)] == [WORKS] * 3
    assert machine.tried == [("h264_v4l2m2m", 10.0), ("h264_qsv", 10.0)]
    search = machine.encoders.search()
    assert search.passed_over == ("/dev/video7 cannot be opened: Permission denied",)
    assert [trial.reason for trial in search.trials] == ["it crashed (signal 11)", ""]


def test_without_a_device_nothing_is_tried() -> None:
    machine = Machine()
    assert machine.encoders.choice() is None
    assert machine.tried == []


def test_the_search_has_an_end() -> None:
    machine = Machine(*(Trial(Candidate(f"h264_{number}", "/dev/x"), reason="slow") for number in range(4)))
    machine.takes_s = 10.0
    assert machine.encoders.choice() is None
    assert machine.tried == [("h264_0", 10.0), ("h264_1", 10.0), ("h264_2", 5.0)]
    assert machine.encoders.search().trials[3].reason == "there was no time left to try it"


def test_one_that_failed_at_work_rests_for_some_minutes() -> None:
    machine = Machine(WORKS)
    assert machine.encoders.choice() == WORKS
    machine.encoders.failed("h264_qsv")
    assert machine.encoders.choice() is None
    machine.clock.now_s += 601
    assert machine.encoders.choice() == WORKS
    assert len(machine.tried) == 1


def test_one_that_is_asked_for_by_name_is_tried_once_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(WORKS)
    tried: list[str] = []

    def try_out(candidate: Candidate, _within_s: float) -> Trial:
        tried.append(candidate.encoder)
        return Trial(candidate, "nv12") if candidate.encoder == "h264_qsv" else Trial(candidate, reason="it crashed")

    encoders = HardwareEncoders(look=lambda: ((), ()), try_out=try_out, clock=machine.clock)
    for _ in range(2):
        assert encoders.named("h264_qsv") == Trial(Candidate("h264_qsv", ""), "nv12")
        assert encoders.named("h264_rkmpp") is None
    assert tried == ["h264_qsv", "h264_rkmpp"]
    encoders.failed("h264_qsv")
    assert encoders.named("h264_qsv") is None
    assert [record.message for record in caplog.records] == [
        "the encoder h264_rkmpp is not used: it crashed; software does it"
    ]


def test_those_who_ask_meanwhile_wait_for_the_one_search() -> None:
    begun, go_on = threading.Event(), threading.Event()
    tried: list[str] = []

    def try_out(candidate: Candidate, _within_s: float) -> Trial:
        tried.append(candidate.encoder)
        begun.set()
        assert go_on.wait(10)
        return WORKS

    encoders = HardwareEncoders(look=lambda: ((SECOND,), ()), try_out=try_out)
    answers: list[Trial | None] = []
    threads = [threading.Thread(target=lambda: answers.append(encoders.choice())) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (answers, tried) == ([WORKS] * 3, ["h264_qsv"])


def test_a_trial_in_a_process_of_its_own_tells_what_works_and_what_does_not() -> None:
    works = Candidate("libx264", "")
    assert try_in_process(works, 20.0) == Trial(works, "yuv420p")
    unknown = Candidate("h264_nonsense", "")
    assert try_in_process(unknown, 20.0) == Trial(unknown, reason="this FFmpeg has no h264_nonsense")


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def behave(lines: str) -> None:
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))

    return behave


@pytest.mark.parametrize(
    ("lines", "within_s", "reason"),
    [
        ("exec sleep 60", 0.3, "it gave no picture within 0 s"),
        ("kill -SEGV $$", 20.0, "it crashed (signal 11)"),
        ("exit 3", 20.0, "it failed"),
        ("exit 0", 20.0, "it failed"),
        ("echo 'driver says no' >&2; exit 1", 20.0, "driver says no"),
    ],
)
def test_a_driver_that_hangs_or_crashes_takes_nobody_with_it(
    interpreter: Callable[[str], None], lines: str, within_s: float, reason: str
) -> None:
    interpreter(lines)
    assert try_in_process(FIRST, within_s) == Trial(FIRST, reason=reason)


def test_without_an_interpreter_nothing_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert try_in_process(FIRST, 1.0).reason == "it cannot be tried: No such file or directory"


def test_looking_for_devices_opens_no_encoder() -> None:
    found, passed_over = look_for_devices()
    assert all(one.device.startswith("/dev/") for one in found)
    assert all(sentence.startswith("/dev/") for sentence in passed_over)
    assert hardware_encoders.HARDWARE is not None
