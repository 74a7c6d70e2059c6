"""Tasks that end with their owner."""

from __future__ import annotations

import asyncio
import logging

import pytest

from metered_realtime.owned_tasks import OwnedTasks


async def test_closing_cancels_what_runs_and_waits_for_its_end() -> None:
    tasks, ended = OwnedTasks(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    tasks.start(work(), "work")
    await asyncio.sleep(0)
    assert len(tasks) == 1
    await tasks.aclose()
    assert ended == [True]
    assert len(tasks) == 0


async def test_a_grace_lets_work_end_by_itself() -> None:
    tasks, done = OwnedTasks(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    tasks.start(work(), "work")
    await tasks.aclose(grace_s=5.0)
    assert done.is_set()


async def test_tasks_start_in_order() -> None:
    tasks, order = OwnedTasks(), []

    async def work(number: int) -> None:
        order.append(number)

    for number in range(5):
        tasks.start(work(number), f"work {number}")
    await tasks.aclose(grace_s=5.0)
    assert order == [0, 1, 2, 3, 4]


async def test_a_failure_is_logged_with_the_name_of_the_task(caplog: pytest.LogCaptureFixture) -> None:
    tasks = OwnedTasks()

    async def work() -> None:
        raise RuntimeError("broken")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait([tasks.start(work(), "delicate work")])
        await asyncio.sleep(0)
    assert "delicate work failed" in caplog.text


async def test_a_task_may_close_its_owner() -> None:
    tasks = OwnedTasks()
    task = tasks.start(tasks.aclose(), "the last one")
    async with asyncio.timeout(5):
        await task
