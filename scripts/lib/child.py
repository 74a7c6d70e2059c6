"""Child processes of the demo, the tests and the benches: each is watched, and ended with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
MAX_LINE_BYTES = 32 * 1024 * 1024
KEPT_EVENTS = 100_000
KEPT_LOG_LINES = 400

Event = dict[str, Any]


class ChildError(Exception):
    """A child did not do what it was waited for; the text ends with its log."""


class Child:
    """One process. Lines of JSON on its stdout are events; everything else it writes is its log.

    Events are kept and waited for with `event`, or given to `on_event` where the owner sorts them itself.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        echo: Callable[[str], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.name = name
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.log_lines: deque[str] = deque(maxlen=KEPT_LOG_LINES)
        self._argv = [os.fspath(word) for word in argv]
        self._env = {**os.environ, **(env or {})}
        self._echo = echo
        self._on_event = on_event or self.events.append
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._waiters: set[asyncio.Event] = set()

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def log(self) -> str:
        return "\n".join(self.log_lines)

    async def start(self) -> Self:
        """Start it in a session of its own: Ctrl-C on the terminal reaches the parent only, which ends it."""
        self._process = await asyncio.create_subprocess_exec(
            "setpriv",
            "--pdeathsig",
            "KILL",
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            cwd=ROOT,
            start_new_session=True,
            limit=MAX_LINE_BYTES,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self._take_output), name=f"{self.name} stdout"),
            asyncio.create_task(self._read(self._process.stderr, self._take_log), name=f"{self.name} stderr"),
        ]
        for reader in self._readers:
            reader.add_done_callback(self._ended)
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if error is not None and not isinstance(error, asyncio.CancelledError) and self.log:
            error.add_note(f"--- log of {self.name} ---\n{self.log}")

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        while line := await stream.readline():
            take(line.decode("utf-8", "replace").rstrip("\n"))
            self._wake()

    def _ended(self, _reader: asyncio.Task[None]) -> None:
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.set()

    def _take_output(self, line: str) -> None:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and "event" in value:
            self._on_event(value)
        else:
            self._take_log(line)

    def _take_log(self, line: str) -> None:
        self.log_lines.append(line)
        if self._echo is not None:
            self._echo(f"{self.name}: {line}")

    def add_event(self, event: Event) -> None:
        """File an event that reached the parent by another way than stdout."""
        self._on_event(event)
        self._wake()

    async def until(self, is_true: Callable[[], bool], what: str, *, timeout_s: float) -> None:
        """Wait until `is_true()`, which is asked after each line that the child writes."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not is_true():
                    if self._readers and all(reader.done() for reader in self._readers):
                        raise ChildError(self._failure(f"ended before {what}"))
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise ChildError(self._failure(f"no {what} within {timeout_s} s")) from None
        finally:
            self._waiters.discard(changed)

    async def event(self, kind: str, /, *, timeout_s: float = 15.0, **fields: Any) -> Event:
        """Return the first event of that kind whose fields have these values, waiting for it if need be."""
        found: list[Event] = []

        def look() -> bool:
            found[:] = [event for event in self.events if matches(event, kind, fields)][:1]
            return bool(found)

        await self.until(look, f"event {kind} {fields or ''}", timeout_s=timeout_s)
        return found[0]

    def events_of(self, kind: str, /, **fields: Any) -> list[Event]:
        """Return the events of that kind so far."""
        return [event for event in self.events if matches(event, kind, fields)]

    async def log_line(self, part: str, *, timeout_s: float = 15.0) -> str:
        """Return the first line of the log that contains `part`, waiting for it if need be."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in self.log_lines if part in line][:1]
            return bool(found)

        await self.until(look, f"line with {part!r}", timeout_s=timeout_s)
        return found[0]

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Write one line of JSON to its stdin."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    def close_stdin(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait, as long as it takes, for its end; return the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def exited(self, *, timeout_s: float = 10.0) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        try:
            async with asyncio.timeout(timeout_s):
                code = await self._process.wait()
                await asyncio.gather(*self._readers)
        except TimeoutError:
            raise ChildError(self._failure(f"did not end within {timeout_s} s")) from None
        return code

    async def stop(self, *, grace_s: float = 8.0) -> int | None:
        """End it and what it started: SIGTERM, and SIGKILL after `grace_s`. Returns the exit code."""
        process = self._process
        if process is None:
            return None
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            self._take_log(f"(did not end within {grace_s} s of SIGTERM: killed)")
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            self.close_stdin()
            await asyncio.gather(*self._readers, return_exceptions=True)
        return process.returncode

    def _failure(self, what: str) -> str:
        code = "" if self.returncode is None else f" (exit code {self.returncode})"
        return f"{self.name}: {what}{code}\n--- log of {self.name} ---\n{self.log or '(empty)'}"


def matches(event: Event, kind: str, fields: Mapping[str, Any]) -> bool:
    return event.get("event") == kind and all(event.get(name) == value for name, value in fields.items())
