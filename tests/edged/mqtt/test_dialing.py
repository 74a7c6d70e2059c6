"""Connecting in a thread: its result, its error, and what is left when nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from edged.mqtt.dialing import dial


async def test_it_returns_when_connected_and_drops_nothing() -> None:
    threads: list[threading.Thread] = []
    await dial(lambda: threads.append(threading.current_thread()), pytest.fail)
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


async def test_what_connecting_raises_is_raised() -> None:
    def refuse() -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await dial(refuse, pytest.fail)


async def test_what_was_made_for_nobody_is_dropped() -> None:
    may_connect, dropped = threading.Event(), asyncio.Event()
    dialing = asyncio.create_task(dial(may_connect.wait, dropped.set))
    await asyncio.sleep(0)
    dialing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dialing
    may_connect.set()
    async with asyncio.timeout(10):
        await dropped.wait()


def test_what_was_made_after_the_loop_has_closed_is_dropped() -> None:
    may_connect, dropped = threading.Event(), threading.Event()

    async def give_up() -> None:
        dialing = asyncio.create_task(dial(may_connect.wait, dropped.set))
        await asyncio.sleep(0)
        dialing.cancel()

    asyncio.run(give_up())
    may_connect.set()
    assert dropped.wait(10)
