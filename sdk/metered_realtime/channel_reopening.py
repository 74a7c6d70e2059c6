"""Which data channel of a label is the one to send on, and when to open another. Pure: channels are numbers here.

Both sides may open a channel of the same label at the same moment. Then the one opened by the impolite side (its peer
id is the larger one, protocol section 14.1) stays: the polite side moves over to it and closes its own, the impolite
side listens to both until then. Whoever only opens, or only accepts, as a web page may, is served either way.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

from metered_realtime.backoff import delays

ChannelState = Literal["connecting", "open", "closed"]

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 10.0
HEALTHY_S = 5.0


@dataclass(frozen=True, slots=True)
class Open:
    """Open a channel of our own, to be known by this number."""

    number: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """Nothing of this channel matters any more. `is_dead`: its connection is gone, so it cannot be closed."""

    number: int
    is_dead: bool


@dataclass(frozen=True, slots=True)
class Became:
    """The whole is in another state now."""

    before: ChannelState
    state: ChannelState


Action = Open | LetGo | Became


class ChannelReopening:
    """The channel in use, if any, and one beside it that the other side opened. Times are seconds of a monotonic clock.

    `opens`: this side opens channels; else it only takes those of the other side.
    """

    def __init__(self, *, opens: bool, random: Callable[[], float] = _random.random) -> None:
        self.state: ChannelState = "connecting"
        self.current: int | None = None
        self._beside: int | None = None
        self._opens = opens
        self._random = random
        self._numbers = count(1)
        self._delays = self._new_delays()
        self._open_at_s: float | None = None
        self._healthy_at_s = float("inf")

    def start(self) -> list[Action]:
        """Open the first channel, where this side opens."""
        return self._open()

    def opened(self, number: int, now_s: float) -> list[Action]:
        """A channel of ours is open."""
        return self._now_open(now_s) if number == self.current else []

    def closed(self, number: int, now_s: float) -> list[Action]:
        """A channel was closed by the other side, or with its connection, or could not be opened."""
        if number == self._beside:
            self._beside = None
        if number != self.current:
            return []
        self.current, self._beside = self._beside, None
        if self.current is not None:
            return self._now_open(now_s)
        if self._opens:
            if now_s >= self._healthy_at_s:
                self._delays = self._new_delays()
            self._open_at_s = now_s + next(self._delays)
        return self._become("connecting")

    def offered(self, now_s: float, *, polite: bool) -> tuple[int, list[Action]]:
        """The other side opened a channel of our label; returns its number."""
        number = next(self._numbers)
        keeps_ours = self._opens and not polite and self.current is not None
        replaced = self._beside if keeps_ours else self.current
        actions: list[Action] = [] if replaced is None else [LetGo(replaced, is_dead=False)]
        if keeps_ours:
            self._beside = number
            return number, actions
        self.current = number
        self._open_at_s = None
        return number, actions + self._now_open(now_s)

    def reset(self) -> list[Action]:
        """The connection was replaced, and its channels with it."""
        if self.state == "closed":
            return []
        return [*self._let_go_of_all(), *self._become("connecting"), *self._open()]

    def end(self, *, is_dead: bool) -> list[Action]:
        """The peer has left, or the application wants no more."""
        self._open_at_s = None
        return [*self._let_go_of_all(is_dead=is_dead), *self._become("closed")]

    def next_timer(self) -> float | None:
        """Return when `tick` wants to be called."""
        return self._open_at_s

    def tick(self, now_s: float) -> list[Action]:
        """Open another channel, if it is time."""
        return self._open() if self._open_at_s is not None and now_s >= self._open_at_s else []

    def _open(self) -> list[Action]:
        self._open_at_s = None
        if not self._opens:
            return []
        self.current = next(self._numbers)
        return [Open(self.current)]

    def _now_open(self, now_s: float) -> list[Action]:
        self._healthy_at_s = now_s + HEALTHY_S
        return self._become("open")

    def _let_go_of_all(self, *, is_dead: bool = True) -> list[Action]:
        numbers = [number for number in (self.current, self._beside) if number is not None]
        self.current = self._beside = None
        return [LetGo(number, is_dead=is_dead) for number in numbers]

    def _become(self, state: ChannelState) -> list[Action]:
        if self.state in (state, "closed"):
            return []
        before, self.state = self.state, state
        return [Became(before, state)]

    def _new_delays(self) -> Iterator[float]:
        return delays(initial_s=FIRST_DELAY_S, max_s=MAX_DELAY_S, random=self._random)
