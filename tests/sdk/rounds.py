"""Counts rounds of the event loop, for tests of what may happen in one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Rounds:
    """Calls `each_round` once per round until it is stopped; `count` rounds have begun."""

    def __init__(self, each_round: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        self._each_round = each_round
        self._next()

    def _next(self) -> None:
        self.count += 1
        self._each_round()
        self._handle = asyncio.get_running_loop().call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()
