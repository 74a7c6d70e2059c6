"""Sends the outbox to the hub: a window of messages in flight, oldest first, each settled when it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edged.errors import UplinkLostError
from edged.telemetry.entries import Batch
from edged.telemetry.outbox import MAX_BATCH_BYTES, Outbox
from edged.telemetry.pace import Pace
from edged.telemetry.reading import message
from edged.telemetry.verdict import Again, Hold, Never, judge
from metered_realtime import MeteredRealtimeError, backoff

_log = logging.getLogger(__name__)

ENVELOPE_BYTES = 512
"""Room in a message for everything beside the readings: type, gateway name, brackets."""
MESSAGES_PER_S = 80.0
BURST = 100
"""The hosted service allows 100 messages/s with a burst of 200 per connection; the rest is for others on the key."""
_MAX_TOLD = 64
_TIMER_TOLERANCE_S = 0.001


@dataclass(frozen=True, slots=True)
class Link:
    """A live connection. `fail` ends it: it looks alive but answers nothing."""

    publish: Callable[[str, Any], Awaitable[None]]
    max_message_bytes: int
    fail: Callable[[UplinkLostError], None]


class Forwarder:
    """Owns what is in flight. `on_progress` is called after each answer."""

    def __init__(
        self,
        outbox: Outbox,
        gateway: str,
        *,
        on_progress: Callable[[], None],
        pace: Pace | None = None,
        delays: Callable[[], Iterator[float]] = backoff.delays,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._gateway = gateway
        self._on_progress = on_progress
        self._pace = pace or Pace(MESSAGES_PER_S, BURST)
        self._new_delays = delays
        self._delays = delays()
        self._clock = clock
        self._link: Link | None = None
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._held_until_s = 0.0
        self._told: set[tuple[str, str]] = set()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def link_up(self, link: Link) -> None:
        """From now on messages go over `link`."""
        self._link = link
        self.wake()

    def link_down(self) -> None:
        """Send nothing until there is a new link; what is in flight comes back by its own errors."""
        self._link = None

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    self._send_what_may_go(tasks)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _send_what_may_go(self, tasks: asyncio.TaskGroup) -> None:
        while (link := self._link) is not None:
            now_s = self._clock()
            if now_s < self._held_until_s:
                self._wake_in(self._held_until_s - now_s)
                return
            wait_s = self._pace.take(now_s)
            if wait_s > 0:
                self._wake_in(wait_s)
                return
            batch = self._outbox.next_batch(min(MAX_BATCH_BYTES, link.max_message_bytes - ENVELOPE_BYTES))
            if batch is None:
                self._pace.give_back()
                return
            tasks.create_task(self._deliver(link, batch), name="telemetry message")

    def _wake_in(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + delay_s
        if self._timer is not None:
            # Every reading that arrives meanwhile asks for the same time.
            if self._timer.when() <= due_s + _TIMER_TOLERANCE_S:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_s, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._wake.set()

    async def _deliver(self, link: Link, batch: Batch) -> None:
        try:
            data = message(self._gateway, [entry.reading.body for entry in batch.entries])
            await link.publish(batch.channel, data)
        except asyncio.CancelledError:
            self._outbox.retry(batch)
            raise
        except (MeteredRealtimeError, OSError, ValueError, TypeError) as error:
            self._failed(link, batch, error)
        else:
            self._outbox.settle(batch, self._clock())
            self._recovered(batch.channel)
        self._wake.set()
        self._on_progress()

    def _failed(self, link: Link, batch: Batch, error: Exception) -> None:
        verdict = judge(error, batch.channel)
        match verdict:
            case Again(end_link):
                self._outbox.retry(batch)
                if link is self._link:
                    self.link_down()
                if end_link:
                    link.fail(UplinkLostError(f"the hub does not answer: {error}"))
            case Hold(sentence, after_s):
                self._outbox.retry(batch, probing=True)
                self._held_until_s = self._clock() + (next(self._delays) if after_s is None else after_s)
                self._tell("", sentence)
            case Never(reason, sentence):
                self._outbox.refuse(batch, reason, self._clock())
                self._tell(batch.channel, sentence)

    def _tell(self, channel: str, sentence: str) -> None:
        """Warn once until the channel, or the hub, takes readings again."""
        level = logging.DEBUG if (channel, sentence) in self._told else logging.WARNING
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told.add((channel, sentence))
        _log.log(level, "%s", sentence)

    def _recovered(self, channel: str) -> None:
        if not self._told:
            return
        over = {told for told in self._told if told[0] in {"", channel}}
        if over:
            self._told -= over
            self._delays = self._new_delays()
            _log.info("the hub takes readings for %r again", channel)
