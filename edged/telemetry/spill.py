"""Moves readings between the outbox and its file, in a thread of its own: a slow card never stops the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry.outbox import Outbox
from edged.telemetry.store import Store

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_SHORTEST_TICK_S = 0.05
_LONGEST_TICK_S = 1.0
_RETRY_AFTER_S = 5.0
FINAL_SPILL_TIMEOUT_S = 8.0


class Spiller:
    """Owns the store and its thread. `on_change` is called whenever memory may have been freed or refilled."""

    def __init__(
        self,
        outbox: Outbox,
        store: Store,
        *,
        spill_after_s: float,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        retry_after_s: float = _RETRY_AFTER_S,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._on_change = on_change
        self._clock = clock
        self._retry_after_s = retry_after_s
        self._tick_s = min(max(spill_after_s / 4, _SHORTEST_TICK_S), _LONGEST_TICK_S)
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edged-outbox")
        self._round: asyncio.Task[bool] | None = None
        self._is_open = False
        self._in_trouble = False
        self._write_again_at_s = 0.0

    def wake(self) -> None:
        """Look now instead of at the next tick."""
        self._wake.set()

    async def run(self) -> None:
        """Write and read until cancelled, then write down everything that is not settled and close the file."""
        try:
            while True:
                # A task of its own, so that a stop does not cut it off: what was committed must be known as committed.
                self._round = asyncio.create_task(self._work(everything=False), name="telemetry outbox")
                if await asyncio.shield(self._round):
                    await self._rest()
                else:
                    await asyncio.sleep(self._retry_after_s)
        finally:
            await self._finish()

    async def _finish(self) -> None:
        try:
            await asyncio.wait_for(self._write_the_rest(), FINAL_SPILL_TIMEOUT_S)
        except (TimeoutError, StoreError) as error:
            _log.warning("the outbox could not be closed in order: %s", str(error) or "the disk does not answer")
        if self._round is not None and self._round.cancel():
            await asyncio.wait([self._round])
        self._thread.shutdown(wait=False)
        waiting = self._outbox.stats().waiting
        if waiting:
            _log.info("%d readings wait in the outbox for the next start", waiting)

    async def _write_the_rest(self) -> None:
        if self._round is not None:
            await asyncio.wait([self._round])
        await self._work(everything=True)
        await self._call(self._store.close)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._tick_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _work(self, *, everything: bool) -> bool:
        """Do all that is due; return whether the file can be read.

        Trouble with the file is told once; the readings stay in memory and at the broker.
        """
        try:
            if not self._is_open:
                self._outbox.opened(await self._call(self._store.open))
                self._is_open = True
                self._on_change()
            while await self._write(everything=everything) or (not everything and await self._read()):
                self._on_change()
        except StoreCorruptError as error:
            return await self._set_aside(error)
        except StoreError as error:
            self._tell_trouble(error)
            return False
        return True

    async def _write(self, *, everything: bool) -> bool:
        """Write what is due. A disk that is full or read-only must not keep what is on it from being sent."""
        if self._clock() < self._write_again_at_s and not everything:
            return False
        write = self._outbox.take_write(self._clock(), everything=everything)
        if write is None:
            return False
        try:
            evicted = await self._call(lambda: self._store.write(write))
        except StoreError as error:
            self._outbox.write_failed(write)
            if isinstance(error, StoreCorruptError):
                raise
            self._write_again_at_s = self._clock() + self._retry_after_s
            self._tell_trouble(error)
            if self._outbox.is_store_spent:
                await self._start_anew()
            return False
        self._outbox.written(write, evicted, self._clock())
        self._tell_recovery()
        return True

    async def _start_anew(self) -> None:
        """Give back what a file takes that holds nothing we need: often it is what the disk is full of."""
        await self._call(self._store.remove)
        self._outbox.store_lost()
        self._is_open = False

    async def _read(self) -> bool:
        wanted = self._outbox.take_read()
        if wanted is None:
            return False
        self._outbox.loaded(await self._call(lambda: self._store.read(wanted)), self._clock())
        return True

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _set_aside(self, error: StoreCorruptError) -> bool:
        """Start a new file: a damaged one must never stop the gateway."""
        try:
            aside = await self._call(self._store.set_aside)
        except StoreError as trouble:
            self._tell_trouble(trouble)
            return False
        lost = self._outbox.store_lost()
        cost = f"{lost} readings were in it only" if self._is_open else "what it held is not sent"
        self._is_open = False
        self._wake.set()
        _log.warning("%s: it is set aside as %s and a new outbox is started; %s", error, aside.name, cost)
        self._on_change()
        return True

    def _tell_trouble(self, error: StoreError) -> None:
        if not self._is_open:
            self._outbox.store_unavailable()
            self._on_change()
        level = logging.DEBUG if self._in_trouble else logging.WARNING
        _log.log(level, "%s; readings wait in memory, and at the broker when memory is full", error)
        self._in_trouble = True

    def _tell_recovery(self) -> None:
        if self._in_trouble:
            _log.info("%s can be written again", self._store.path)
        self._in_trouble = False
