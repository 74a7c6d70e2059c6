"""Blocking work beside the loop: its errors come back, and cancelling it ends its thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from metered_realtime.media.source_errors import SourceBusyError, SourceError
from metered_realtime.media.thread_work import in_thread


def named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def test_work_runs_beside_the_loop_and_is_waited_for() -> None:
    threads: list[str] = []
    await in_thread(lambda _: threads.append(threading.current_thread().name), name="worker a")
    assert threads == ["worker a"]
    assert not named("worker a")


async def test_what_it_raises_is_raised() -> None:
    def busy(_: threading.Event) -> None:
        raise SourceBusyError("in use")

    with pytest.raises(SourceBusyError, match="in use"):
        await in_thread(busy, name="worker b")


async def test_a_fault_of_ours_is_shown_and_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def broken(_: threading.Event) -> None:
        raise KeyError("ours")

    with pytest.raises(SourceError, match="worker c failed: see the log"):
        await in_thread(broken, name="worker c")
    assert seen[0].exc_type is KeyError


async def test_cancelling_tells_the_thread_and_waits_for_it() -> None:
    started, ended = threading.Event(), threading.Event()

    def patient(told_to_quit: threading.Event) -> None:
        started.set()
        told_to_quit.wait(10)
        ended.set()

    work = asyncio.create_task(in_thread(patient, name="worker d"))
    await asyncio.to_thread(started.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert ended.is_set()
    assert not named("worker d")


async def test_a_thread_that_cannot_be_ended_is_left_behind() -> None:
    started, release = threading.Event(), threading.Event()

    def stuck(_: threading.Event) -> None:
        started.set()
        release.wait(10)

    work = asyncio.create_task(in_thread(stuck, name="worker e", leave_after_s=0.01))
    await asyncio.to_thread(started.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    (thread,) = named("worker e")
    assert thread.daemon
    release.set()
    await asyncio.to_thread(thread.join, 10)
