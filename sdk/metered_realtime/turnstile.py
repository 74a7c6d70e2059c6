"""Work of many connections that comes due at once, spread over rounds of the event loop so that nothing else waits."""

from __future__ import annotations

import asyncio
from collections import deque


class Turnstile:
    """Lets one step begin per round of the event loop, in the order of arrival; a step that is alone never waits.

    A description with media takes several milliseconds of CPU, and a list of 256 members wants 256 of them at once.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def turn(self) -> None:
        """Return when the caller may begin."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._next)
            return
        place = loop.create_future()
        self._waiting.append(place)
        await place

    def _next(self) -> None:
        """A round of the loop has passed since somebody went through."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # else its owner was cancelled
                place.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._is_taken = False
