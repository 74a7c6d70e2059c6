"""Typed events to whoever listens: handlers (`on`, `once`) and bounded streams (`events`). Owned by one event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar, cast, overload

from metered_realtime.events import Event
from metered_realtime.logger import Logger, StdlibLogger
from metered_realtime.scrub import scrub

E = TypeVar("E", bound=Event)
Handler = Callable[[E], Awaitable[None] | None]
_AnyHandler = Callable[[Any], Awaitable[None] | None]

MAX_RUNNING_HANDLERS = 4096

# The task of the coroutine handler that runs, seen also from tasks it starts: it may well end its emitter inside
# `gather` or `wait_for`.
own_handler: ContextVar[asyncio.Task[Any] | None] = ContextVar("own_handler", default=None)


class EventStream(Generic[E]):
    """An asynchronous iterator over the events of one type, and a context manager that ends it.

    When `maxsize` events wait, the oldest is dropped and counted in `dropped`.
    """

    def __init__(self, maxsize: int, on_close: Callable[[EventStream[E]], None]) -> None:
        self.dropped = 0
        self._waiting: deque[E] = deque()
        self._maxsize = maxsize
        self._on_close = on_close
        self._closed = False
        self._changed = asyncio.Event()

    def push(self, event: E) -> None:
        """Add an event (called by the emitter)."""
        if self._closed:
            return
        if 0 < self._maxsize <= len(self._waiting):
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """Stop listening; events that already wait are still delivered. May be called again."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._changed.set()

    def __aiter__(self) -> EventStream[E]:
        return self

    async def __anext__(self) -> E:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> EventStream[E]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()


class Emitter:
    """Base of every object that emits events."""

    def __init__(self, *, logger: Logger | None = None) -> None:
        # Without a logger an error in the application's own handler would vanish without a trace.
        self._handler_log: Logger = logger if logger is not None else StdlibLogger(logging.getLogger(__name__))
        self._handlers: dict[type[Event], list[tuple[_AnyHandler, bool]]] = {}
        self._streams: dict[type[Event], list[EventStream[Any]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._enders: set[asyncio.Task[Any]] = set()
        self._drop_when_idle = False
        self.dropped_handler_calls = 0

    @overload
    def on(self, event_type: type[E]) -> Callable[[Handler[E]], Handler[E]]: ...
    @overload
    def on(self, event_type: type[E], handler: Handler[E]) -> Handler[E]: ...
    def on(self, event_type: type[E], handler: Handler[E] | None = None) -> Any:
        """Call `handler` for each event of exactly this type; also a decorator.

        A plain function runs at once, a coroutine function as a task of its own, started in the order of events.
        """
        return self._register(event_type, handler, once=False)

    @overload
    def once(self, event_type: type[E]) -> Callable[[Handler[E]], Handler[E]]: ...
    @overload
    def once(self, event_type: type[E], handler: Handler[E]) -> Handler[E]: ...
    def once(self, event_type: type[E], handler: Handler[E] | None = None) -> Any:
        """Call `handler` for the next event of this type only; `off` removes it before that."""
        return self._register(event_type, handler, once=True)

    def _register(self, event_type: type[E], handler: Handler[E] | None, *, once: bool) -> Any:
        if handler is None:
            return lambda decorated: self._register(event_type, decorated, once=once)
        self._handlers.setdefault(event_type, []).append((cast("_AnyHandler", handler), once))
        return handler

    def off(self, event_type: type[E], handler: Handler[E]) -> None:
        """Remove a handler added by `on` or `once`; silent where it is not registered."""
        for entry in self._handlers.get(event_type, ()):
            if entry[0] == handler:
                self._unregister(event_type, entry)
                break

    def _unregister(self, event_type: type[Event], entry: tuple[_AnyHandler, bool]) -> bool:
        registered = self._handlers.get(event_type, [])
        if entry not in registered:
            return False
        registered.remove(entry)
        if not registered:
            del self._handlers[event_type]
        return True

    def events(self, event_type: type[E], *, maxsize: int = 4096) -> EventStream[E]:
        """Return a stream of events of this type from now on; `maxsize` 0 means without bound."""

        def forget(closed: EventStream[E]) -> None:
            streams = self._streams.get(event_type, [])
            if closed in streams:
                streams.remove(closed)
            if not streams:
                self._streams.pop(event_type, None)

        stream: EventStream[E] = EventStream(maxsize, forget)
        self._streams.setdefault(event_type, []).append(stream)
        return stream

    def listener_count(self, event_type: type[Event]) -> int:
        """Return the number of handlers of this type."""
        return len(self._handlers.get(event_type, ()))

    def emit(self, event: Event) -> None:
        """Hand an event to every handler and stream of its type. Never raises what a handler raises."""
        event_type = type(event)
        for entry in list(self._handlers.get(event_type, ())):
            handler, once = entry
            if once and not self._unregister(event_type, entry):
                continue  # an earlier handler emitted the same type, and this one has had its call
            self._call(handler, event)
        for stream in list(self._streams.get(event_type, ())):
            stream.push(event)

    def _call(self, handler: _AnyHandler, event: Event) -> None:
        try:
            result = handler(event)
        # CancelledError: a plain function gets one from the result of a cancelled future, and never for itself.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - application's code; our reader goes on
            self._log_error(f"a handler of {type(event).__name__}", error)
            return
        if inspect.isawaitable(result):
            self._start(type(event).__name__, result)

    def _start(self, event_name: str, result: Awaitable[None]) -> None:
        if len(self._running) >= MAX_RUNNING_HANDLERS:
            self.dropped_handler_calls += 1
            if self.dropped_handler_calls == 1:
                self._handler_log.error("too many event handlers are still running; further calls are dropped")
            if inspect.iscoroutine(result):
                result.close()
            return
        context = copy_context()
        coroutine = cast("Coroutine[Any, Any, None]", result) if inspect.iscoroutine(result) else _await(result)
        task = asyncio.get_running_loop().create_task(coroutine, name=f"handler of {event_name}", context=context)
        context.run(own_handler.set, task)
        self._running.add(task)
        task.add_done_callback(lambda done: self._finished(event_name, done))

    def _finished(self, event_name: str, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._drop_when_idle and not self._running:
            self._drop_listeners()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log_error(f"a handler of {event_name}", error)

    def _log_error(self, who: str, error: BaseException) -> None:
        trace = scrub("".join(traceback.format_exception(error)))
        self._handler_log.error(f"{who} raised {type(error).__name__}", {"traceback": trace})

    async def _end_handlers(self, grace_s: float = 1.0) -> None:
        """Give running handlers `grace_s`, then cancel them; drop all handlers and end all streams."""
        own = own_handler.get()
        if own is not None:
            self._enders.add(own)
        try:
            # Handlers that end the emitter themselves do not wait for each other.
            if running := self._running - self._enders:
                _, late = await asyncio.wait(running, timeout=grace_s)
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late, timeout=grace_s)
        finally:
            if own is not None:
                self._enders.discard(own)
            self._drop_listeners()

    def _retire_listeners(self) -> None:
        """End all streams, and drop the handlers as soon as none of them runs."""
        self._drop_when_idle = True
        self._end_streams()
        if not self._running:
            self._drop_listeners()

    def _drop_listeners(self) -> None:
        self._drop_when_idle = False
        self._handlers.clear()
        self._end_streams()

    def _end_streams(self) -> None:
        for streams in list(self._streams.values()):
            for stream in list(streams):
                stream.close()
        self._streams.clear()


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable
