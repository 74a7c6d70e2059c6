"""The process around the gateway: the fastest loop there is, and the signals that end it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

EXIT_INTERRUPTED = 130


def run_until_signal(
    main: Callable[[asyncio.Event], Awaitable[int]], *, on_abort: Callable[[], None] = lambda: None
) -> int:
    """Run `main(stop)` on the fastest loop there is; SIGTERM and SIGINT set `stop`.

    A second SIGINT calls `on_abort` and ends the process at once.
    """

    async def with_signals() -> int:
        stop = asyncio.Event()
        _listen_to_signals(stop, on_abort)
        return await main(stop)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(with_signals())


def _listen_to_signals(stop: asyncio.Event, on_abort: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            on_abort()
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(
        signal.SIGHUP, _log.warning, "SIGHUP is ignored: restart the daemon to read the settings again"
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there are no wheels of it for 32-bit ARM
    except ImportError:
        return None
    return uvloop.new_event_loop
