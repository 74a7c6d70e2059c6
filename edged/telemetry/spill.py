"""Moves readings between the outbox and its file, in a thread of its own: a slow card never stops the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.outbox import Outbox
from edged.telemetry.store import Store
from edged.telemetry.transactions import Committed, StoreSummary, Write

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_SHORTEST_TICK_S = 0.05
_LONGEST_TICK_S = 1.0
_SPILLING_TICK_S = 0.05
_RETRY_AFTER_S = 2.0
FINAL_SPILL_TIMEOUT_S = 8.0


class KeptAccount(Protocol):
    """What is written down beside the readings, for the next start."""

    def text(self) -> str: ...

    def restore(self, text: str, stored: int, /) -> int: ...


class Spiller:
    """Owns the store and its thread. `on_change` is called whenever memory may have been freed or refilled."""

    def __init__(
        self,
        outbox: Outbox,
        store: Store,
        *,
        spill_after_s: float,
        on_change: Callable[[], None],
        keep_free_bytes: int = 0,
        account: KeptAccount | None = None,
        now: Callable[[], Moment] = lambda: NO_MOMENT,
        clock: Callable[[], float] = time.monotonic,
        retry_after_s: float = _RETRY_AFTER_S,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._on_change = on_change
        self._keep_free_bytes = keep_free_bytes
        self._account = account
        self._now = now
        self._clock = clock
        self._retry_after_s = retry_after_s
        self._tick_s = min(max(spill_after_s / 4, _SHORTEST_TICK_S), _LONGEST_TICK_S)
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edged-outbox")
        self._round: asyncio.Task[bool] | None = None
        self._is_open = False
        self._in_trouble = False
        self._write_again_at_s = 0.0
        self._doubtful: Write | None = None

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
        account = self._account_bytes()
        await self._call(lambda: self._store.close(account))

    async def _rest(self) -> None:
        # The broker may be waiting for the acknowledgement of a few readings.
        tick_s = min(self._tick_s, _SPILLING_TICK_S) if self._outbox.is_spilling else self._tick_s
        try:
            async with asyncio.timeout(tick_s):
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
                self._open_outbox(await self._call(self._store.open))
                self._on_change()
            while await self._write(everything=everything) or (not everything and await self._read()):
                self._on_change()
        except StoreCorruptError as error:
            return await self._set_aside(error)
        except StoreError as error:
            self._outbox.read_failed()
            self._tell_trouble(error)
            return False
        return True

    def _open_outbox(self, summary: StoreSummary) -> None:
        self._is_open = True
        self._outbox.opened(summary)
        if self._account is not None:
            found = sum(lane.count for lane in summary.lanes)
            missing = self._account.restore(summary.account.decode("utf-8", "replace"), found)
            if missing:
                _log.warning("%d readings that were in %s at the last stop are gone", missing, self._store.path)

    async def _write(self, *, everything: bool) -> bool:
        """Write what is due. A disk that is full or read-only must not keep what is on it from being sent."""
        now_s = self._clock()
        is_due = self._doubtful is not None or self._outbox.wants_write(now_s)
        if not everything and (now_s < self._write_again_at_s or not is_due):
            return False
        write: Write | None = None
        try:
            await self._look_at_doubtful()
            short_bytes = await self._short_bytes()
            write = self._outbox.take_write(self._clock(), short_bytes=short_bytes, everything=everything)
            if short_bytes:
                self._write_again_at_s = self._clock() + self._retry_after_s
                self._tell_trouble(
                    f"the disk of {self._store.path} has less than telemetry.outbox.keep_free_bytes left"
                )
            if write is None:
                return False
            committed = await self._commit(write)
        except StoreError as error:
            await self._write_failed(write, error)
            return False
        self._outbox.written(write, committed, self._clock())
        if not short_bytes:
            self._tell_recovery()
        return True

    async def _short_bytes(self) -> int:
        if not self._keep_free_bytes:
            return 0
        return max(0, self._keep_free_bytes - await self._call(self._store.free_bytes))

    async def _commit(self, write: Write) -> Committed:
        account = self._account_bytes()
        return await self._call(lambda: self._store.write(write, account))

    async def _write_failed(self, write: Write | None, error: StoreError) -> None:
        self._doubtful = write or self._doubtful
        if isinstance(error, StoreCorruptError):
            raise error
        self._write_again_at_s = self._clock() + self._retry_after_s
        self._tell_trouble(error)
        with suppress(StoreError):
            await self._look_at_doubtful()
        if self._outbox.is_store_spent:
            await self._start_anew()

    async def _look_at_doubtful(self) -> None:
        """Find out what became of a transaction that failed: it may be on disk after all. Nothing is written before."""
        if self._doubtful is not None:
            self._undoubted(await self._call(self._store.outcome))
            self._on_change()

    def _undoubted(self, committed: Committed | None) -> None:
        write, self._doubtful = self._doubtful, None
        if write is not None and committed is not None:
            self._outbox.written(write, committed, self._clock())
        elif write is not None:
            self._outbox.write_failed(write)

    def _account_bytes(self) -> bytes:
        return b"" if self._account is None else self._account.text().encode()

    async def _start_anew(self) -> None:
        """Give back what a file takes that holds nothing we need: often it is what the disk is full of."""
        await self._call(self._store.remove)
        self._undoubted(None)
        self._outbox.store_lost()
        self._is_open = False

    async def _read(self) -> bool:
        """Read back what is sent next, and now and then look for what is too old."""
        wanted = self._outbox.take_read()
        if wanted is not None:
            self._outbox.loaded(await self._call(lambda: self._store.read(wanted)), self._clock(), self._now())
            return True
        sweep = self._outbox.take_sweep(self._clock())
        if sweep is not None:
            self._outbox.swept(await self._call(lambda: self._store.sweep(sweep)), self._clock(), self._now())
        return sweep is not None

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _set_aside(self, error: StoreCorruptError) -> bool:
        """Start a new file: a damaged one must never stop the gateway."""
        try:
            aside = await self._call(self._store.set_aside)
        except StoreError as trouble:
            self._tell_trouble(trouble)
            return False
        self._undoubted(None)
        lost = self._outbox.store_lost()
        cost = f"{lost} readings were in it only" if self._is_open else "what it held is not sent"
        self._is_open = False
        self._wake.set()
        _log.warning("%s: it is set aside as %s and a new outbox is started; %s", error, aside.name, cost)
        self._on_change()
        return True

    def _tell_trouble(self, error: StoreError | str) -> None:
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
