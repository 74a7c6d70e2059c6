"""The composition root: a gateway, the service manager who watches it, and the process they live in."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edged.broker import OpenDoor, open_mqtt_door
from edged.gateway import Gateway
from edged.process import run_until_signal
from edged.settings import Settings
from edged.state_directory import StateDirectoryError, claim, state_directory
from edged.status.board import Board
from edged.status.desk import Desk
from edged.status.drop_news import DropNews
from edged.supervise import keep_running
from edged.systemd import Notifier

_log = logging.getLogger(__name__)

_STATUS_LINE_S = 10.0
_LINE_GAP_S = 0.2
EXIT_FAILED = 1


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    state_dir: Path,
    open_door: OpenDoor = open_mqtt_door,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    """Run a gateway until `stop` is set."""
    notifier = Notifier()
    board = Board(time.monotonic)
    gateway = Gateway(settings, state_dir, board=board, open_door=open_door)
    changed = asyncio.Event()
    board.watch(changed.set)
    line = _StatusLine(notifier, gateway.desk, changed)
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(_feed_watchdog(notifier), name="watchdog"),
                group.create_task(keep_running("status line", line.keep), name="status line"),
            ]
            gateway.start(group)
            notifier.ready()
            on_started()
            await stop.wait()
            notifier.stopping()
            _log.info("stopping")
            await gateway.stop()
            for helper in helpers:
                helper.cancel()
    finally:
        notifier.close()


async def _feed_watchdog(notifier: Notifier) -> None:
    if notifier.watchdog_interval_s is None:
        return
    while True:
        # A loop that does not come round to this line is a loop that hangs.
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_interval_s)


class _StatusLine:
    """The gateway in one line for the service manager; and a word in the log of what is dropped."""

    def __init__(self, notifier: Notifier, desk: Desk, changed: asyncio.Event) -> None:
        self._notifier = notifier
        self._desk = desk
        self._changed = changed
        self._news = DropNews()

    async def keep(self, _up: Callable[[str], None]) -> None:
        """Part of `keep_running`: show every change, and what is counted, which nobody reports when it changes."""
        while True:
            if (line := self._news.line(self._desk.account(), time.monotonic())) is not None:
                _log.warning("telemetry: %s", line)
            self._notifier.status(self._desk.line())
            await asyncio.sleep(_LINE_GAP_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STATUS_LINE_S):
                    await self._changed.wait()
            self._changed.clear()


def run(settings: Settings) -> int:
    """Run the gateway until a signal ends it, and return the exit code."""
    state_dir = state_directory(os.environ, Path.home())
    try:
        lock = claim(state_dir)
    except StateDirectoryError as err:
        _log.error("%s", err)
        return EXIT_FAILED

    async def main(stop: asyncio.Event) -> int:
        try:
            await serve(settings, stop, state_dir=state_dir)
        except ExceptionGroup:
            # Through the log, for it masks secrets.
            _log.exception("a fault in the gateway itself ended it")
            return EXIT_FAILED
        return 0

    try:
        return run_until_signal(main)
    finally:
        os.close(lock)
