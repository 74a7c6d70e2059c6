"""What the broker has handed to us and not yet got an acknowledgement for, across connections. Pure.

After a reconnect a broker brings unacknowledged messages again, under the same packet ids. Those that we still hold
must not be handed out twice, and their acknowledgement, whenever it comes, goes out on the connection of that day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

Fingerprint = tuple[str, int, int]


@dataclass(slots=True, eq=False)
class _Delivery:
    packet_id: int
    fingerprint: Fingerprint
    epoch: int
    done: bool = False


class Deliveries:
    """A ledger by packet id. `send_ack` is called with a packet id of the current connection only."""

    def __init__(self, send_ack: Callable[[int], None]) -> None:
        self._send_ack = send_ack
        self._open: dict[int, _Delivery] = {}
        self._epoch = 0
        self._live = False

    def connected(self, *, session_present: bool) -> None:
        """A connection begins. Without a session the broker has forgotten what it gave us."""
        self._epoch += 1
        self._live = True
        if not session_present:
            self._open.clear()

    def disconnected(self) -> None:
        """The connection ended; acknowledgements are remembered until the broker asks again."""
        self._live = False

    def take(self, packet_id: int, topic: str, payload: bytes, *, repeated: bool) -> Callable[[], None] | None:
        """Note a message and return its acknowledgement, or None where it is one we know already.

        `repeated` is the broker's DUP flag. It is not trusted by itself: packet id, topic and payload must agree too.
        """
        fingerprint = (topic, len(payload), hash(payload))
        known = self._open.get(packet_id)
        if repeated and known is not None and known.fingerprint == fingerprint:
            known.epoch = self._epoch
            if known.done:
                self._finish(known)
            return None
        delivery = self._open[packet_id] = _Delivery(packet_id, fingerprint, self._epoch)
        return partial(self._acknowledge, delivery)

    def _acknowledge(self, delivery: _Delivery) -> None:
        if delivery.done or self._open.get(delivery.packet_id) is not delivery:
            return
        delivery.done = True
        if self._live and delivery.epoch == self._epoch:
            self._finish(delivery)

    def _finish(self, delivery: _Delivery) -> None:
        del self._open[delivery.packet_id]
        self._send_ack(delivery.packet_id)
