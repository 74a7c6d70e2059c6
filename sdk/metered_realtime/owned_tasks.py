"""Tasks of one owner: started by it, kept by it, and all ended before it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class OwnedTasks:
    """A set of running tasks. A task that fails is logged; nobody else would see it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` as a task. Tasks start in the order of these calls."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)

    async def aclose(self, *, grace_s: float = 0.0) -> None:
        """Give what runs `grace_s` to end by itself, then cancel it, and wait until all of it has ended."""
        own = asyncio.current_task()
        running = {task for task in self._running if task is not own}
        if running and grace_s > 0:
            _, running = await asyncio.wait(running, timeout=grace_s)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
