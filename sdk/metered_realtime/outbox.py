"""Envelopes to other members, sent without waiting and in order; whoever posts one hears if it was not taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from metered_realtime import wire
from metered_realtime.errors import SignallingError
from metered_realtime.logger import Logger
from metered_realtime.owned_tasks import OwnedTasks

MAX_UNDER_WAY = 4096


class SignalOutbox:
    """`send(peer_id, data)` must put its frames on the wire in the order of the calls, and return once taken."""

    def __init__(self, send: Callable[[str, Any], Awaitable[None]], log: Logger) -> None:
        self._send = send
        self._log = log
        self._tasks = OwnedTasks()
        self.refused = 0

    def post(self, peer_id: str, envelope: wire.Envelope, on_lost: Callable[[], None]) -> None:
        """Send one envelope; `on_lost` is called where the service did not take it, or too many are under way."""
        if len(self._tasks) >= MAX_UNDER_WAY:
            self.refused += 1
            on_lost()
            return
        self._tasks.start(self._deliver(peer_id, envelope, on_lost), f"signal to {peer_id}")

    async def _deliver(self, peer_id: str, envelope: wire.Envelope, on_lost: Callable[[], None]) -> None:
        try:
            await self._send(peer_id, wire.envelope_data(envelope))
        except (SignallingError, ValueError) as error:
            self._log.debug("a signal to a peer was not delivered", {"to": peer_id, "error": str(error)})
            on_lost()

    async def aclose(self) -> None:
        """Give up on what is under way."""
        await self._tasks.aclose()
