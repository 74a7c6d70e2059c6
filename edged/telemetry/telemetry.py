"""The sensor road as one part: takes messages of the broker in, and answers for them until the hub has them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from edged.settings import TelemetrySettings
from edged.supervise import Report, keep_running
from edged.telemetry.entries import TelemetryStats
from edged.telemetry.forward import Forwarder
from edged.telemetry.outbox import Outbox
from edged.telemetry.pace import Pace
from edged.telemetry.reading import PayloadError, ReadingSource, decode_payload, make_reading
from edged.telemetry.routes import Router, subscriptions
from edged.telemetry.spill import Spiller
from edged.telemetry.store import Store
from edged.telemetry.uplink import Uplink, run_uplink
from metered_realtime import backoff

_log = logging.getLogger(__name__)

STORE_NAME = "outbox.db"
_MAX_WARNED = 64


class InboundMessage(Protocol):
    """What is used of a message of the broker."""

    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def retain(self) -> bool: ...

    @property
    def received_ms(self) -> int: ...

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
        state_dir: Path,
        report: Report | None = None,
        pause: Callable[[], None] = lambda: None,
        resume: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        delays: Callable[[], Iterator[float]] = backoff.delays,
    ) -> None:
        self._delays = delays
        self._open_client = open_client
        self._report = report
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._closed = False
        self._warned: set[tuple[str, str]] = set()
        self._router = Router(settings.routes, default_channel)
        self._source = ReadingSource(gateway, secrets.token_hex(8))
        self._outbox = Outbox(settings.outbox)
        path = Path(settings.outbox.path) if settings.outbox.path else state_dir / STORE_NAME
        self._spiller = Spiller(
            self._outbox, Store(path), spill_after_s=settings.outbox.spill_after_s, on_change=self._changed
        )
        self._forwarder = Forwarder(self._outbox, gateway, on_progress=self._changed, pace=pace)
        self.subscriptions = subscriptions(settings.routes)

    def accept(self, message: InboundMessage) -> None:
        """Take one message of the broker. Never raises; what cannot become a reading is counted and acknowledged."""
        if self._closed:
            return  # Not acknowledged: the broker brings it again after the restart.
        to = self._router.destination(message.topic)
        if to is None:
            self._outbox.reject("no_route")
            message.ack()
            return
        try:
            value = decode_payload(message.topic, message.payload, to.payload)
            reading = make_reading(
                self._source.next_id(), to.channel, message.topic, value, message.received_ms, retained=message.retain
            )
        except PayloadError as error:
            self._outbox.reject(error.reason)
            self._warn_once(message.topic, error)
            message.ack()
            return
        self._outbox.accept(reading, message.ack, time.monotonic())
        self._forwarder.wake()
        if self._outbox.wants_disk:
            self._spiller.wake()
        if self._outbox.is_full and not self._paused:
            self._paused = True
            self._pause()

    async def run(self) -> None:
        """Forward until cancelled; then write down what is not settled. Once only."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._spiller.run(), name="telemetry spiller")
            tasks.create_task(self._forwarder.run(), name="telemetry forwarder")
            tasks.create_task(self._keep_uplink(), name="telemetry uplink")
            try:
                await asyncio.Event().wait()
            finally:
                # Before the last write, so that it holds all that was ever accepted.
                self._closed = True

    def stats(self) -> TelemetryStats:
        """Return the account so far: received + recovered = delivered + waiting + dropped."""
        return self._outbox.stats()

    async def _keep_uplink(self) -> None:
        await keep_running("telemetry", self._uplink, report=self._report, delays=self._delays)

    async def _uplink(self, up: Callable[[str], None]) -> None:
        await run_uplink(self._open_client, self._forwarder, up)

    def _changed(self) -> None:
        self._forwarder.wake()
        if self._outbox.wants_disk:
            self._spiller.wake()
        if self._paused and self._outbox.has_room:
            self._paused = False
            self._resume()

    def _warn_once(self, topic: str, error: PayloadError) -> None:
        known = (topic, error.reason)
        level = logging.WARNING if known not in self._warned and len(self._warned) < _MAX_WARNED else logging.DEBUG
        if len(self._warned) < _MAX_WARNED:
            self._warned.add(known)
        _log.log(level, "message dropped: %s", error)
