"""The retry loop: what is said, how long is waited, and what passes. Time is a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edged.errors import EdgedError
from edged.supervise import Episode, keep_running
from metered_realtime import MeteredRealtimeError

QUIET = "repeats are not logged until it has been up for 60 s"


class FakeTime:
    """A clock whose sleepers wake when it is moved past their time."""

    def __init__(self):
        self.now_s = 0.0
        self.sleepers = []
        self.slept = []
        self.sleeping = asyncio.Event()

    def clock(self):
        return self.now_s

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        sleeper = (self.now_s + seconds, woken)
        self.sleepers.append(sleeper)
        self.slept.append(seconds)
        self.sleeping.set()
        try:
            await woken
        finally:
            self.sleepers.remove(sleeper)

    async def pass_(self, seconds):
        self.now_s += seconds
        for due_s, woken in list(self.sleepers):
            if due_s <= self.now_s and not woken.done():
                woken.set_result(None)
        for _ in range(10):
            await asyncio.sleep(0)


def doubling():
    delay = 1.0
    while True:
        yield delay
        delay *= 2


class Part:
    """Something to keep running: each call of `run` waits for the test to say how it ends."""

    def __init__(self):
        self.calls = 0
        self.up = None
        self.end = None

    async def run(self, up):
        self.calls += 1
        self.up = up
        self.end = asyncio.get_running_loop().create_future()
        await self.end

    async def fail(self, error):
        self.end.set_exception(error)
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def time():
    return FakeTime()


@pytest.fixture
async def part(time, caplog):
    caplog.set_level(logging.DEBUG, logger="edged.supervise")
    part = Part()
    part.reports = []
    task = asyncio.create_task(
        keep_running(
            "broker",
            part.run,
            delays=doubling,
            report=lambda *told: part.reports.append(told),
            clock=time.clock,
            sleep=time.sleep,
        )
    )
    part.task = task
    await asyncio.sleep(0)
    yield part
    task.cancel()
    await asyncio.wait([task])


def loud(caplog):
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.levelno > logging.DEBUG]


async def test_expected_error_is_told_once_while_it_repeats(part, time, caplog):
    for delay in (1, 2, 4):
        await part.fail(ConnectionRefusedError("nobody there"))
        await time.pass_(delay)
    assert part.calls == 4
    assert loud(caplog) == [("WARNING", "broker: nobody there; trying again in 1.0 s")]
    assert time.slept == [1, 2, 4]


async def test_a_sentence_that_ends_as_a_question_stays_one(part, caplog):
    await part.fail(EdgedError("no answer: is it switched on?"))
    assert loud(caplog) == [("WARNING", "broker: no answer: is it switched on? Trying again in 1.0 s")]


async def test_a_new_sentence_is_news(part, time, caplog):
    await part.fail(EdgedError("wrong address"))
    await time.pass_(1)
    await part.fail(MeteredRealtimeError("wrong password"))
    assert [text for _level, text in loud(caplog)] == [
        "broker: wrong address; trying again in 1.0 s",
        "broker: wrong password; trying again in 2.0 s",
    ]


async def test_recovery_is_one_line_with_the_number_of_tries(part, time, caplog):
    for delay in (1, 2):
        await part.fail(OSError("down"))
        await time.pass_(delay)
    part.up("connected to it")
    part.up("connected to it")
    assert loud(caplog)[1:] == [("INFO", "broker: connected to it again, after 2 failed tries")]


async def test_delays_start_over_only_after_the_part_has_held(part, time):
    await part.fail(OSError("down"))
    await time.pass_(1)
    part.up("up")
    await time.pass_(10)
    await part.fail(OSError("down"))
    assert time.slept[-1] == 2
    await time.pass_(2)
    part.up("up")
    await asyncio.sleep(0)
    await time.pass_(60)
    await part.fail(OSError("down"))
    assert time.slept[-1] == 1


async def test_a_flapping_part_is_told_once_and_announced_when_it_holds(part, time, caplog):
    for _ in range(5):
        part.up("up")
        await asyncio.sleep(0)
        await part.fail(OSError("down"))
        await time.pass_(100)
    assert [text for level, text in loud(caplog) if level == "WARNING"] == [
        "broker: down; trying again in 1.0 s",
        f"broker: down (it keeps failing soon after it came up; {QUIET}); trying again in 2.0 s",
    ]
    assert len(loud(caplog)) == 4
    part.up("up")
    await asyncio.sleep(0)
    await time.pass_(60)
    assert loud(caplog)[-1] == ("INFO", "broker: up; it holds again")


async def test_unexpected_error_shows_its_traceback_once_and_is_retried(part, time, caplog):
    for delay in (1, 2):
        await part.fail(KeyError("a bug"))
        await time.pass_(delay)
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info
    assert "KeyError" in errors[0].getMessage()
    assert part.calls == 3


async def test_an_error_may_ask_for_a_longer_wait(part, time):
    await part.fail(EdgedError("wrong password", retry_after_s=60))
    assert time.slept == [60]
    assert part.reports[-1] == ("failed", "wrong password")


async def test_a_group_of_expected_errors_is_expected(part, caplog):
    await part.fail(ExceptionGroup("tasks", [ExceptionGroup("inner", [EdgedError("the camera is gone")])]))
    assert loud(caplog) == [("WARNING", "broker: the camera is gone; trying again in 1.0 s")]


async def test_a_bug_in_a_group_is_a_bug(part, caplog):
    await part.fail(ExceptionGroup("tasks", [OSError("gone"), KeyError("a bug")]))
    assert loud(caplog)[0][0] == "ERROR"


async def test_a_part_that_just_ends_is_started_again(part, time, caplog):
    part.end.set_result(None)
    await time.pass_(0)
    await time.pass_(1)
    assert part.calls == 2
    assert loud(caplog) == [("WARNING", "broker: it ended without an error; trying again in 1.0 s")]


async def test_cancellation_passes_and_ends_what_the_loop_started(part):
    part.up("up")
    await asyncio.sleep(0)
    part.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await part.task
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


async def test_cancellation_passes_where_an_error_took_its_place(time):
    async def run(_up):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("down") from None

    task = asyncio.create_task(keep_running("camera", run, sleep=time.sleep))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert time.slept == []


async def test_a_pause_between_tries_may_end_early():
    tries, pauses = asyncio.Semaphore(0), []

    async def run(_up):
        tries.release()
        raise OSError("down")

    async def pause(delay_s):
        pauses.append(delay_s)
        await asyncio.sleep(0)

    task = asyncio.create_task(keep_running("camera", run, delays=lambda: iter([1.0, 2.0] * 9), pause=pause))
    for _ in range(3):
        await tries.acquire()
    task.cancel()
    await asyncio.wait([task])
    assert pauses[:2] == [1.0, 2.0]


async def test_states_are_reported(part, time):
    part.up("connected")
    await part.fail(OSError("down"))
    await time.pass_(1)
    assert part.reports == [("connecting", ""), ("live", "connected"), ("lost", "down"), ("connecting", "")]


def test_sentences_remembered_are_bounded():
    episode = Episode(doubling, 60)
    for n in range(100):
        line, _delay = episode.failed(f"error {n}", float(n), None)
        assert line.level == logging.WARNING
    assert len(episode._said) <= 16
