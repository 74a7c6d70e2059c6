"""Handlers and streams: order, isolation, bounds, endings."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging

from metered_realtime import Event, Message, StateChange
from metered_realtime import emitter as emitter_module
from metered_realtime.emitter import Emitter


def change(number):
    return StateChange(str(number), "x")


def test_handlers_are_keyed_by_the_exact_class_and_called_in_order():
    emitter, heard = Emitter(), []
    emitter.on(StateChange, lambda event: heard.append(1))
    emitter.on(StateChange)(lambda event: heard.append(2))
    emitter.on(Event, lambda event: heard.append("base"))
    emitter.emit(change(0))
    assert heard == [1, 2]
    assert emitter.listener_count(StateChange) == 2
    assert emitter.listener_count(Message) == 0


def test_off_removes_one_registration_and_is_silent_for_strangers():
    emitter, heard = Emitter(), []
    emitter.on(StateChange, heard.append)
    emitter.off(StateChange, heard.append)
    emitter.off(StateChange, print)
    emitter.emit(change(0))
    assert heard == []


def test_once_is_called_once_and_can_be_removed_before():
    emitter, heard = Emitter(), []
    emitter.once(StateChange, heard.append)
    removed = emitter.once(StateChange)(lambda event: heard.append("removed"))
    emitter.off(StateChange, removed)
    emitter.emit(change(1))
    emitter.emit(change(2))
    assert heard == [change(1)]


def test_once_leaves_a_lasting_registration_of_the_same_handler_alone():
    emitter, heard = Emitter(), []
    emitter.on(StateChange, heard.append)
    emitter.once(StateChange, heard.append)
    for number in range(3):
        emitter.emit(change(number))
    assert heard == [change(0), change(0), change(1), change(2)]


def test_once_is_called_once_even_where_an_earlier_handler_emits_again():
    emitter, heard = Emitter(), []

    def emit_again(event):
        if event == change(1):
            emitter.emit(change(2))

    emitter.on(StateChange, emit_again)
    emitter.once(StateChange, heard.append)
    emitter.emit(change(1))
    assert heard == [change(2)]


def test_handler_registered_during_an_event_hears_the_next_one():
    emitter, heard = Emitter(), []
    emitter.once(StateChange, lambda event: emitter.on(StateChange, heard.append))
    emitter.emit(change(1))
    emitter.emit(change(2))
    assert heard == [change(2)]


def test_plain_handler_that_asks_a_cancelled_future_does_not_cancel_its_caller(caplog):
    emitter, heard = Emitter(), []
    cancelled = concurrent.futures.Future()
    cancelled.cancel()
    emitter.on(StateChange, lambda event: cancelled.result())
    emitter.on(StateChange, lambda event: cancel_self())
    emitter.on(StateChange, heard.append)
    emitter.emit(change(0))
    assert heard == [change(0)]
    assert caplog.text.count("CancelledError") >= 2


def cancel_self():
    raise asyncio.CancelledError


def test_handler_that_raises_is_logged_and_others_still_hear(caplog):
    emitter, heard = Emitter(), []

    def broken(event):
        raise ValueError("wss://x/?token=secret-token")

    emitter.on(StateChange, broken)
    emitter.on(StateChange, heard.append)
    with caplog.at_level(logging.ERROR):
        emitter.emit(change(0))
    assert heard == [change(0)]
    assert "ValueError" in caplog.text
    assert "secret-token" not in caplog.text


async def test_coroutine_handlers_start_in_order_and_may_overlap():
    emitter, log = Emitter(), []
    release, both = asyncio.Event(), asyncio.Event()

    @emitter.on(StateChange)
    async def slow(event):
        log.append(event.from_)
        if len(log) == 2:
            both.set()
        await release.wait()

    emitter.emit(change(1))
    emitter.emit(change(2))
    await both.wait()
    assert log == ["1", "2"]
    release.set()
    await emitter._end_handlers()


async def test_coroutine_handler_that_raises_is_logged(caplog):
    emitter = Emitter()

    @emitter.on(StateChange)
    async def broken(event):
        raise KeyError("lost")

    emitter.emit(change(0))
    await emitter._end_handlers()
    assert "KeyError" in caplog.text


async def test_flood_of_slow_handlers_is_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(emitter_module, "MAX_RUNNING_HANDLERS", 3)
    emitter, started = Emitter(), []

    @emitter.on(StateChange)
    async def stuck(event):
        started.append(event)
        await asyncio.Event().wait()

    for number in range(10):
        emitter.emit(change(number))
    await emitter._end_handlers(grace_s=0.01)
    assert len(started) == 3
    assert emitter.dropped_handler_calls == 7


async def test_stream_delivers_in_order_and_ends_with_the_emitter():
    emitter = Emitter()
    stream = emitter.events(StateChange)
    emitter.emit(change(1))
    emitter.emit(change(2))
    await emitter._end_handlers()
    assert [event async for event in stream] == [change(1), change(2)]


async def test_full_stream_drops_the_oldest_and_counts():
    emitter = Emitter()
    stream = emitter.events(StateChange, maxsize=2)
    for number in range(5):
        emitter.emit(change(number))
    stream.close()
    stream.close()
    emitter.emit(change(9))
    assert [event async for event in stream] == [change(3), change(4)]
    assert stream.dropped == 3


async def test_closed_stream_no_longer_listens():
    emitter = Emitter()
    async with emitter.events(StateChange):
        pass
    emitter.emit(change(0))
    assert emitter._streams == {}


async def test_waiting_reader_is_woken_by_an_event():
    emitter = Emitter()
    stream = emitter.events(StateChange)
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    emitter.emit(change(1))
    assert await reader == change(1)


async def test_any_awaitable_result_is_awaited():
    emitter, done = Emitter(), asyncio.get_running_loop().create_future()
    emitter.on(StateChange, lambda event: done)
    emitter.emit(change(0))
    done.set_result(None)
    await emitter._end_handlers()
    assert not emitter._running


async def test_handler_may_end_its_own_emitter():
    emitter = Emitter()

    @emitter.on(StateChange)
    async def end(event):
        await emitter._end_handlers()

    emitter.emit(change(0))
    [task] = emitter._running
    await task
    assert emitter.listener_count(StateChange) == 0


async def test_handlers_that_end_their_emitter_do_not_wait_for_each_other():
    emitter, ended = Emitter(), []

    async def end(event):
        await emitter._end_handlers(grace_s=30)
        ended.append("plainly")

    async def end_in_another_task(event):
        await asyncio.gather(emitter._end_handlers(grace_s=30))
        ended.append("in a task")

    for handler in (end, end, end_in_another_task):
        emitter.on(StateChange, handler)
    emitter.emit(change(0))
    async with asyncio.timeout(5):
        await asyncio.wait(emitter._running)
    assert sorted(ended) == ["in a task", "plainly", "plainly"]


async def test_retired_listeners_go_when_the_last_handler_is_through():
    emitter, release = Emitter(), asyncio.Event()
    stream = emitter.events(StateChange)

    @emitter.on(StateChange)
    async def busy(event):
        await release.wait()

    emitter.emit(change(0))
    emitter._retire_listeners()
    assert [event async for event in stream] == [change(0)]
    assert emitter.listener_count(StateChange) == 1
    release.set()
    await asyncio.wait(emitter._running)
    assert emitter.listener_count(StateChange) == 0
