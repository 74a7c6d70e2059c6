"""The sensor road as one part: takes messages of the broker in, and answers for them until the hub has them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edged.settings import TelemetrySettings
from edged.supervise import Report, keep_running
from edged.telemetry import pipeline
from edged.telemetry.clock import Clock
from edged.telemetry.commit_times import UNACKED_LIMIT
from edged.telemetry.entries import TelemetryStats
from edged.telemetry.forward import Forwarder
from edged.telemetry.gate import make_gate
from edged.telemetry.memory import Memory
from edged.telemetry.moments import Moment
from edged.telemetry.outbox import Outbox
from edged.telemetry.pace import Pace
from edged.telemetry.payload import PayloadError
from edged.telemetry.pipeline import NO_ROUTE, HeldBack, Pipeline
from edged.telemetry.quarantine import Quarantine
from edged.telemetry.quarantine_file import QuarantineFile
from edged.telemetry.routes import subscriptions
from edged.telemetry.spill import Spiller
from edged.telemetry.store import Store
from edged.telemetry.uplink import Uplink, run_uplink
from metered_realtime import backoff

_log = logging.getLogger(__name__)

STORE_NAME = "outbox.db"
_MAX_WARNED = 64


class InboundMessage(pipeline.InboundMessage, Protocol):
    """What is used of a message of the broker."""

    @property
    def packet_id(self) -> int: ...

    @property
    def repeated(self) -> bool: ...

    @property
    def ack(self) -> Callable[[], None]: ...


class Telemetry:
    """Composition of router, outbox, spiller, forwarder and uplink."""

    def __init__(
        self,
        settings: TelemetrySettings,
        *,
        gateway: str,
        default_channel: str,
        open_client: Callable[[], Uplink],
        pause_uplink: Callable[[float], Awaitable[None]] | None = None,
        state_dir: Path,
        report: Report | None = None,
        pause: Callable[[], None] = lambda: None,
        resume: Callable[[], None] = lambda: None,
        unacked_limit: int = UNACKED_LIMIT,
        pace: Pace | None = None,
        delays: Callable[[], Iterator[float]] = backoff.delays,
        own_topics: Sequence[str] = (),
        clock: Clock | None = None,
        runtime_dir: Path | None = None,
    ) -> None:
        self._delays = delays
        self._open_client = open_client
        self._pause_uplink = pause_uplink
        self._report = report
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._closed = False
        self._warned: set[tuple[str, str]] = set()
        self._clock = clock or Clock(is_trusted=settings.clock == "trusted", runtime_dir=runtime_dir)
        self._pipeline = Pipeline(settings, default_channel, own_topics=own_topics)
        self._quarantine = Quarantine()
        self._quarantine_file = QuarantineFile(self._quarantine, state_dir) if settings.quarantine else None
        self._memory = Memory(gateway, runtime_dir)
        self.session_lost = self._memory.session_lost
        self.connecting = self._memory.connecting
        self._outbox = Outbox(settings.outbox, unacked_limit)
        path = Path(settings.outbox.path) if settings.outbox.path else state_dir / STORE_NAME
        self._spiller = Spiller(
            self._outbox,
            Store(path, max_bytes=settings.outbox.max_bytes),
            spill_after_s=settings.outbox.spill_after_s,
            keep_free_bytes=settings.outbox.keep_free_bytes,
            on_change=self._changed,
            account=self._memory.account,
            now=self._clock.now,
        )
        self._gate = make_gate(settings, self._memory.account.memo, pace=pace)
        self._forwarder = Forwarder(self._outbox, gateway, self._gate, on_progress=self._changed, now=self._clock.now)
        self.subscriptions = subscriptions(settings.routes)

    def accept(self, message: InboundMessage) -> None:
        """Take one message of the broker. Never raises; what cannot become a reading is counted and acknowledged."""
        if self._closed:
            return  # Not acknowledged: the broker brings it again after the restart.
        now = self._clock.now()
        is_owed = self._memory.is_owed(message)
        # Of every message, for a repeat is known by what came between.
        reading_id = self._memory.reading_id(message)
        try:
            made = self._pipeline.process(message, now, reading_id, is_owed=is_owed)
        except PayloadError as error:
            self._refuse(message, error, now)
            return
        if isinstance(made, HeldBack):
            self._memory.acknowledge(message)
            return
        now_s = time.monotonic()
        self._outbox.accept(made, self._memory.acknowledgement(message), now_s)
        self._forwarder.arrived(made, now_s)
        if self._outbox.wants_disk:
            self._spiller.wake()
        if self._outbox.is_full and not self._paused:
            self._paused = True
            self._pause()

    async def run(self) -> None:
        """Forward until cancelled; then write down what is not settled. Once only."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._spiller.run(), name="telemetry spiller")
                tasks.create_task(self._forwarder.run(), name="telemetry forwarder")
                tasks.create_task(self._keep_uplink(), name="telemetry uplink")
                if self._quarantine_file is not None:
                    tasks.create_task(self._quarantine_file.run(), name="telemetry quarantine")
                try:
                    await asyncio.Event().wait()
                finally:
                    # Before the last write, so that it holds all that was ever accepted.
                    self._closed = True
        finally:
            self._memory.close(self._outbox.stats())

    def stats(self) -> TelemetryStats:
        """Return the account of this life: received + recovered = delivered + waiting + dropped."""
        return self._outbox.stats()

    def totals(self) -> Mapping[str, Any]:
        """Return the account of all lives: received = delivered + waiting + dropped."""
        return self._memory.totals(self._outbox.stats())

    def figures(self) -> Mapping[str, Any]:
        """Return what became of the messages, by route; what was held back as asked is in no account of losses."""
        now = self._clock.now()
        return {
            **self._pipeline.figures(),
            "clock": "set" if now.is_set else "unset",
            "outbox": self._outbox.stats(time.monotonic()).outbox_figures(),
            "uplink": self._forwarder.figures(),
            "budget": self._gate.budget.figures(now),
        }

    def quarantined(self) -> Sequence[Mapping[str, Any]]:
        """Return the last refused messages, oldest first."""
        return [refused.as_json() for refused in self._quarantine.kept]

    async def _keep_uplink(self) -> None:
        await keep_running(
            "telemetry", self._uplink, report=self._report, delays=self._delays, pause=self._pause_uplink
        )

    async def _uplink(self, up: Callable[[str], None]) -> None:
        await run_uplink(self._open_client, self._forwarder, up)

    def _changed(self) -> None:
        self._memory.note(self._outbox.stats())
        self._memory.remember(self._gate.budget)
        self._forwarder.wake()
        if self._outbox.wants_disk:
            self._spiller.wake()
        if self._paused and self._outbox.has_room:
            self._paused = False
            self._resume()

    def _refuse(self, message: InboundMessage, error: PayloadError, now: Moment) -> None:
        self._outbox.reject(error.reason)
        # A subscription of former settings may still bring what no route wants.
        if error.reason != NO_ROUTE:
            self._warn_once(message.topic, error)
            if (
                self._quarantine.add(message.topic, error.reason, message.payload, now)
                and self._quarantine_file is not None
            ):
                self._quarantine_file.wake()
        self._memory.acknowledge(message)

    def _warn_once(self, topic: str, error: PayloadError) -> None:
        known = (topic, error.reason)
        level = logging.WARNING if known not in self._warned and len(self._warned) < _MAX_WARNED else logging.DEBUG
        if len(self._warned) < _MAX_WARNED:
            self._warned.add(known)
        _log.log(level, "message dropped: %s", error, exc_info=error.__cause__)
