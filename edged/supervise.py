"""The one retry loop: whatever reaches out of the daemon (broker, hub, camera) lives inside `keep_running`.

`Episode` decides what is said and how long to wait, without a clock; `keep_running` does it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from edged.errors import EdgedError
from metered_realtime import MeteredRealtimeError, backoff

_log = logging.getLogger(__name__)

State = str
Report = Callable[[State, str], None]
"""Takes (state, detail); the states are connecting, live, idle, lost and failed."""

EXPECTED: tuple[type[BaseException], ...] = (OSError, TimeoutError, MeteredRealtimeError, EdgedError)
HEALTHY_AFTER_S = 60.0
_MAX_SENTENCES = 16


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the log."""

    level: int
    text: str


class Episode:
    """One spell of trouble, from the first failure until the part has been up for `healthy_after_s`. No clock."""

    def __init__(self, delays: Callable[[], Iterator[float]], healthy_after_s: float) -> None:
        self._new_delays = delays
        self._healthy_after_s = healthy_after_s
        self._delays = delays()
        self._said: set[str] = set()
        self._flapping = False
        self._failures = 0
        self._up_since_s: float | None = None
        self._last_said: str | None = None

    def up(self, detail: str, now_s: float) -> Line:
        """The part works. Said once; a part that flaps is announced again only when it has held."""
        news = self._up_since_s is None and not self._flapping
        if self._up_since_s is None:
            self._up_since_s = now_s
        if not news:
            return Line(logging.DEBUG, detail)
        self._last_said = "up"
        tries = f" again, after {self._failures} failed tries" if self._failures > 1 else ""
        return Line(logging.INFO, detail + tries)

    def held(self, detail: str) -> Line | None:
        """The part has been up for `healthy_after_s`: trouble is over, the next failure is news again."""
        flapped = self._flapping
        self._forget()
        if not flapped:
            return None
        self._last_said = "up"
        return Line(logging.INFO, f"{detail}; it holds again")

    def failed(self, sentence: str, now_s: float, retry_after_s: float | None) -> tuple[Line, float]:
        """The part failed or ended. Returns what to say and the seconds to wait."""
        if self._up_since_s is not None and now_s - self._up_since_s >= self._healthy_after_s:
            self._forget()
        self._up_since_s = None
        self._failures += 1
        delay_s = max(next(self._delays), retry_after_s or 0.0)
        level, text = self._loudness(sentence)
        then = " Trying" if text.endswith("?") else "; trying"
        return Line(level, f"{text}{then} again in {delay_s:.1f} s"), delay_s

    def _loudness(self, sentence: str) -> tuple[int, str]:
        if sentence not in self._said:
            if len(self._said) >= _MAX_SENTENCES:
                self._said.clear()
            self._said.add(sentence)
            self._last_said = "down"
            return logging.WARNING, sentence
        if self._last_said == "up" and not self._flapping:
            self._flapping = True
            self._last_said = "down"
            quiet = f"repeats are not logged until it has been up for {self._healthy_after_s:.0f} s"
            return logging.WARNING, f"{sentence} (it keeps failing soon after it came up; {quiet})"
        return logging.DEBUG, sentence

    def _forget(self) -> None:
        self._delays = self._new_delays()
        self._said.clear()
        self._flapping = False
        self._failures = 0


async def keep_running(
    name: str,
    run: Callable[[Callable[[str], None]], Awaitable[None]],
    *,
    delays: Callable[[], Iterator[float]] = backoff.delays,
    healthy_after_s: float = HEALTHY_AFTER_S,
    expected: tuple[type[BaseException], ...] = EXPECTED,
    report: Report | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    pause: Callable[[float], Awaitable[None]] | None = None,
) -> NoReturn:
    """Call `run(up)` for ever; `run` calls `up("connected to ...")` when it works.

    An expected error is one warning per spell of trouble, any other error a traceback; both are tried again after a
    delay, which starts over only when the part has been up for `healthy_after_s`. An error's `retry_after_s`
    lengthens the wait. `pause` waits between tries in place of `sleep`, and may end early. Cancellation passes.
    """
    loop = _Loop(name, Episode(delays, healthy_after_s), report or _tell_nobody, expected)
    while True:
        life = _Life(loop, clock, partial(sleep, healthy_after_s))
        loop.tell("connecting", "")
        try:
            await run(life.up)
            error: BaseException | None = None
        except Exception as caught:  # noqa: BLE001 - the loop must outlive every fault; _Loop.failed logs it
            error = caught
        finally:
            await life.end()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError  # it met an error that took its place
        await (pause or sleep)(loop.failed(error, clock()))


class _Loop:
    """What lasts over all calls of `run`: the name, the spell of trouble, and who is told."""

    def __init__(self, name: str, episode: Episode, tell: Report, expected: tuple[type[BaseException], ...]) -> None:
        self.name = name
        self.episode = episode
        self.tell = tell
        self._expected = expected

    def write(self, line: Line | None) -> None:
        if line is not None:
            _log.log(line.level, "%s: %s", self.name, line.text)

    def failed(self, error: BaseException | None, now_s: float) -> float:
        """Tell of a failure, and return the seconds to wait."""
        bug = next((leaf for leaf in _leaves(error) if not isinstance(leaf, self._expected)), None)
        cause = bug or next(_leaves(error), None)
        sentence = "it ended without an error" if cause is None else str(cause) or type(cause).__name__
        retry_after_s = _retry_after_s(cause)
        line, delay_s = self.episode.failed(sentence, now_s, retry_after_s)
        if bug is not None and line.level > logging.DEBUG:
            _log.error("%s: unexpected %s: %s", self.name, type(bug).__name__, line.text, exc_info=error)
        else:
            self.write(line)
        self.tell("failed" if retry_after_s else "lost", sentence)
        return delay_s


class _Life:
    """One call of `run`: owns the task that waits until the part has held."""

    def __init__(self, loop: _Loop, clock: Callable[[], float], sleep: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop
        self._clock = clock
        self._sleep = sleep
        self._holding: asyncio.Task[None] | None = None

    def up(self, detail: str) -> None:
        self._loop.tell("live", detail)
        self._loop.write(self._loop.episode.up(detail, self._clock()))
        if self._holding is None:
            self._holding = asyncio.create_task(self._hold(detail), name=f"{self._loop.name} holds")

    async def end(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.wait([self._holding])

    async def _hold(self, detail: str) -> None:
        await self._sleep()
        self._loop.write(self._loop.episode.held(detail))


def _tell_nobody(_state: State, _detail: str) -> None:
    pass


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error is not None:
        yield error


def _retry_after_s(error: BaseException | None) -> float | None:
    value = getattr(error, "retry_after_s", None)
    return float(value) if isinstance(value, int | float) else None
