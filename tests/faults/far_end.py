"""The far end: one who subscribes to the channel at the hub and tells the judge of every reading. No SDK of ours.

It has a line of its own to the hub, past the bad link. A channel has no memory: what the hub takes while nobody listens
is heard by nobody, so whoever kills the hub waits for `listens` before the gateway may come back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.faults.judge import Judge

_RETRY_S = 0.05
_SLOW_CLIENT = 1008


class FarEndError(Exception):
    """The hub cut the far end off as too slow: the run says nothing about the gateway."""


class FarEnd:
    """Hears the channel. `others` are readings that have no number; `only_from` names the one gateway to listen to."""

    def __init__(self, url: str, key: str, channel: str, judge: Judge) -> None:
        self.judge = judge
        self.others: list[dict[str, Any]] = []
        self.only_from = ""
        self.on_reading: Callable[[dict[str, Any]], None] = lambda _reading: None
        self._url = f"{url}/v1?key={key}"
        self._channel = channel
        self._listens = asyncio.Event()
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.heard_count = 0
        self.last_heard_s = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_listening(), name="far end")
        await self.listens()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def listens(self, *, anew: bool = False) -> None:
        """Wait until it is subscribed; `anew`: after the hub that it listens to has gone."""
        if anew:
            self._listens.clear()
        await self._listens.wait()

    async def heard(self, is_enough: Callable[[], bool], *, stall_s: float = 30.0) -> bool:
        """Wait until `is_enough()`, which is asked after each message. False where none comes for `stall_s`."""
        while not is_enough():
            if self._task is not None and self._task.done():
                self._task.result()
            self._heard.clear()
            try:
                async with asyncio.timeout(stall_s):
                    await self._heard.wait()
            except TimeoutError:
                return is_enough()
        return True

    async def _keep_listening(self) -> None:
        while True:
            with suppress(OSError, InvalidHandshake, TimeoutError):
                # No pings of ours: the hub has its own, and a busy test must not end its own line.
                async with connect(
                    self._url, max_size=None, ping_interval=None, max_queue=None, compression=None
                ) as line:
                    await line.send(json.dumps({"type": "subscribe", "channel": self._channel, "requestId": "s"}))
                    try:
                        async for text in line:
                            self._take(json.loads(text))
                    except ConnectionClosed:
                        pass
                    if line.close_code == _SLOW_CLIENT:
                        raise FarEndError("the hub cut the far end off: it reads too slowly")
            self._listens.clear()
            await asyncio.sleep(_RETRY_S)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ack":
            self._listens.set()
        if frame["type"] != "message" or frame["data"].get("type") != "edged/readings":
            return
        if self.only_from not in {"", frame["data"]["gateway"]}:
            return
        now_s = time.monotonic()
        backlog = bool(frame["data"].get("backlog", False))
        for reading in frame["data"]["readings"]:
            self.heard_count += 1
            self.on_reading(reading)
            number = number_of(reading["value"])
            if number is None:
                self.others.append(reading)
            else:
                self.judge.take(reading["topic"], number, reading["id"], now_s, backlog=backlog)
        self.last_heard_s = now_s
        self._heard.set()


def number_of(value: Any) -> int | None:
    """Return the number that a sensor gave a message."""
    found = value.get("n") if isinstance(value, dict) else value
    return found if isinstance(found, int) and not isinstance(found, bool) else None
