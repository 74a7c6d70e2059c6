"""Connecting that blocks, in a thread: name servers and handshakes take their time, and cannot be cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


async def dial(connect: Callable[[], object], drop: Callable[[], None]) -> None:
    """Run `connect` in a thread and raise what it raises; `drop` what it made where nobody waits for it any more.

    The thread is a daemon, so that a slow name server never holds up a stop.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if done.cancelled():
            drop()
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    def run() -> None:
        error: Exception | None = None
        try:
            connect()
        except Exception as caught:  # noqa: BLE001 - handed over to the loop, where it is told apart
            error = caught
        try:
            loop.call_soon_threadsafe(tell, error)
        except RuntimeError:  # The loop has closed meanwhile; nobody else knows what was made.
            drop()

    threading.Thread(target=run, name="edged-mqtt-connect", daemon=True).start()
    await done
