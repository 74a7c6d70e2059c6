"""Sends the outbox to the hub: as much as the link carries, oldest first, settled as it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edged.errors import UplinkLostError
from edged.telemetry.entries import Batch, OnDisk
from edged.telemetry.gate import MAX_BATCH_READINGS, Gate, Go
from edged.telemetry.moments import Moment
from edged.telemetry.outbox import Outbox
from edged.telemetry.reading import Reading, finished, message_text
from edged.telemetry.verdict import Again, Hold, Never, judge
from edged.telemetry.window import MAX_MESSAGES, Sent, Window
from metered_realtime import JsonText, MeteredRealtimeError

_log = logging.getLogger(__name__)

ENVELOPE_BYTES = 512
"""Room in a message for everything beside the readings: type, gateway name, brackets."""
MESSAGE_BYTES = 250
"""What a message costs on the wire beside its readings: frame, request id, TLS, TCP."""
_MAX_TOLD = 64
_TIMER_TOLERANCE_S = 0.001
_LOOK_AT_BUDGET_EVERY_S = 60.0
_NEVER = float("inf")


class Publish(Protocol):
    """`SignallingClient.publish`."""

    async def __call__(self, channel: str, data: Any, *, timeout: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Link:
    """A live connection. `fail` ends it: it looks alive but answers nothing."""

    publish: Publish
    max_message_bytes: int
    fail: Callable[[UplinkLostError], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A link, and what has been learnt about it."""

    link: Link
    window: Window


class Forwarder:
    """Owns what is in flight. `on_progress` is called after each answer."""

    def __init__(
        self,
        outbox: Outbox,
        gateway: str,
        gate: Gate,
        *,
        on_progress: Callable[[], None],
        now: Callable[[], Moment],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._gateway = gateway
        self._gate = gate
        self._on_progress = on_progress
        self._now = now
        self._clock = clock
        self._line: _Line | None = None
        self._links = 0
        self._last_error = ""
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at_budget_s = 0.0
        self._told: set[tuple[str, str]] = set()

    def arrived(self, reading: Reading, now_s: float) -> None:
        """The outbox has taken in a reading."""
        if self._gate.arrived(reading, now_s):
            self._wake.set()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def link_up(self, link: Link) -> None:
        """From now on messages go over `link`."""
        self._line = _Line(link, Window())
        self._links += 1
        self._gate.link_up()
        self.wake()

    def link_down(self) -> None:
        """Send nothing until there is a new link; what is in flight comes back by its own errors."""
        self._line = None
        self._outbox.link_lost()

    def link_ended(self, error: str, *, too_fast: bool) -> None:
        """A link ended, or could not be made; `too_fast`: because of how much we sent."""
        self._last_error = error
        if too_fast:
            self._gate.too_fast(self._clock())

    def figures(self) -> Mapping[str, int | float | str]:
        """Return what the status shows of the way to the hub."""
        window = Window() if self._line is None else self._line.window
        return {
            "connected": int(self._line is not None),
            "reconnects": max(0, self._links - 1),
            "last_error": self._last_error,
            "rtt_ms": round(window.rtt_s * 1000, 1),
            "min_rtt_ms": round(window.min_rtt_s * 1000, 1),
            "rate_bytes_per_s": round(window.rate_bytes_per_s),
            "window_bytes": window.size_bytes,
            "in_flight_messages": window.in_flight_messages,
            "in_flight_bytes": window.in_flight_bytes,
            **self._gate.figures(),
        }

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
        while (line := self._line) is not None:
            now_s = self._clock()
            room_bytes = line.window.room_bytes(now_s)
            if not room_bytes:
                self._gate.blocked("answer")
                return
            now = self._now()
            self._watch_budget(now, now_s)
            answer = self._gate.ask(now_s, now, is_behind=self._outbox.is_behind)
            if isinstance(answer, Go):
                batch = self._outbox.next_batch(
                    now_s,
                    max_readings=MAX_BATCH_READINGS,
                    max_bytes=min(room_bytes, line.link.max_message_bytes - ENVELOPE_BYTES),
                    max_messages=MAX_MESSAGES,
                    lane=answer.lane,
                    not_yet=answer.not_yet,
                )
                if batch is not None:
                    self._send(tasks, line, batch, now_s, now)
                    continue
                answer = self._gate.nothing_to_send(answer, now)
            line.window.ran_dry()
            if answer.until_s < _NEVER:
                self._wake_in(answer.until_s - now_s)
            return
        self._gate.blocked("link")

    def _send(self, tasks: asyncio.TaskGroup, line: _Line, batch: Batch, now_s: float, now: Moment) -> None:
        bodies = [finished(entry.reading, now) for entry in batch.entries]
        text = message_text(self._gateway, bodies, is_backlog=batch.is_backlog)
        size_bytes = MESSAGE_BYTES + sum(entry.reading.size_bytes + 1 for entry in batch.entries)
        sent = line.window.sent(size_bytes, now_s)
        self._gate.sent(now_s)
        timeout_s = line.window.patience_s
        tasks.create_task(self._deliver(line, batch, text, sent, timeout_s), name="telemetry message")

    def _wake_in(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + max(0.0, delay_s)
        if self._timer is not None:
            # Every reading that arrives meanwhile asks for the same time.
            if self._timer.when() <= due_s + _TIMER_TOLERANCE_S:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_s, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._wake.set()

    async def _deliver(self, line: _Line, batch: Batch, text: str, sent: Sent, timeout_s: float) -> None:
        try:
            # What was written down is looked at again: a card may have changed it.
            is_ours = all(entry.on_disk is OnDisk.NO for entry in batch.entries)
            data = JsonText.unchecked(text) if is_ours else JsonText(text)
            await line.link.publish(batch.channel, data, timeout=timeout_s)
        except asyncio.CancelledError:
            self._outbox.retry(batch)
            raise
        except (MeteredRealtimeError, OSError, ValueError, TypeError) as error:
            line.window.lost(sent)
            self._failed(line, batch, error)
        else:
            now_s = self._clock()
            line.window.acknowledged(sent, now_s)
            self._outbox.settle(batch, now_s)
            self._gate.taken()
            self._recovered(batch.channel)
        self._wake.set()
        self._on_progress()

    def _failed(self, line: _Line, batch: Batch, error: Exception) -> None:
        verdict = judge(error, batch.channel)
        match verdict:
            case Again(end_link):
                self._outbox.retry(batch)
                if line is self._line:
                    self.link_down()
                if end_link:
                    line.link.fail(UplinkLostError(f"the hub does not answer: {error}"))
            case Hold():
                self._outbox.retry(batch, probing=True)
                self._gate.hold(verdict, self._clock(), self._now())
                self._tell("", verdict.sentence)
            case Never(reason, sentence):
                self._outbox.refuse(batch, reason, self._clock())
                self._tell(batch.channel, sentence)

    def _watch_budget(self, now: Moment, now_s: float) -> None:
        if now_s >= self._look_at_budget_s:
            self._look_at_budget_s = now_s + _LOOK_AT_BUDGET_EVERY_S
            if sentence := self._gate.budget.warning(now):
                _log.warning("%s", sentence)

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
            _log.info("the hub takes readings for %r again", channel)
