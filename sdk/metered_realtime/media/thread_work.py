"""Blocking work in a daemon thread of its own, awaited and ended from the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from metered_realtime.media.source_errors import SourceError

# A thread that FFmpeg holds longer than this is left to end by itself, at its next time limit.
LEAVE_AFTER_S = 1.0


async def in_thread(
    work: Callable[[threading.Event], None], *, name: str, leave_after_s: float = LEAVE_AFTER_S
) -> None:
    """Run `work(quit)` in a thread called `name` and wait until it ends; cancelling sets `quit`, which it must obey.

    Raises what `work` raises if that is a SourceError; anything else goes to `threading.excepthook` and ends here
    as a plain SourceError.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[SourceError | None] = loop.create_future()
    told_to_quit = threading.Event()

    def end(error: SourceError | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def run() -> None:
        error: SourceError | None = SourceError(f"{name} failed: see the log")
        try:
            work(told_to_quit)
            error = None
        except SourceError as raised:
            error = raised
        finally:
            # The loop may have been closed before a thread that could not be waited for.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(end, error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        await asyncio.wait((ended,))
    finally:
        told_to_quit.set()
        if not ended.done():
            await asyncio.wait((ended,), timeout=leave_after_s)
        if ended.done():
            thread.join()  # it has nothing left to do but to end
    error = ended.result()
    if error is not None:
        raise error
