"""What the rest of the daemon sees of the broker: messages in with an acknowledgement, messages out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from edged.errors import BrokerNotConnectedError
from edged.mqtt.connection import Connection, Message, subscription_marks
from edged.mqtt.copies import Copies
from edged.mqtt.deliveries import Deliveries
from edged.mqtt.words import Broker, OldBrokerError
from edged.settings import MqttSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message of the broker. `ack` may be called late, more than once, and after the connection has gone."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    received_ms: int
    ack: Callable[[], None]


class MqttDoor:
    """Receives what it subscribes to, and publishes. `run` is one connection's life, for `keep_running`."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        subscriptions: tuple[tuple[str, int], ...],
        on_message: Callable[[Inbound], None],
    ) -> None:
        self._settings = settings
        self._broker = Broker(settings.host, settings.port, settings.username, client_id, settings.tls)
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._v5 = True
        self._subscribed = False
        self._reading = True
        self._refused_filters: set[str] = set()
        self._connection: Connection | None = None
        self._deliveries = Deliveries(self._send_ack)
        self._copies = Copies(topic for topic, _qos in subscriptions)

    async def run(self, up: Callable[[str], None]) -> None:
        """Connect, subscribe, and stay until the connection ends, which is raised as an MqttError."""
        try:
            await self._live(up)
        except OldBrokerError:
            if not self._v5:
                raise
            self._v5 = False
            await self._live(up)

    def pause_reading(self) -> None:
        """Stop reading the socket: the broker keeps what it cannot send. The connection stays alive."""
        self._reading = False
        if self._connection is not None:
            self._connection.pause()

    def resume_reading(self) -> None:
        """Read on."""
        self._reading = True
        if self._connection is not None:
            self._connection.resume()

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish, and with qos 1 wait for the broker's acknowledgement. Raises MqttError; nothing is queued."""
        if self._connection is None:
            raise BrokerNotConnectedError(f"{self._broker} is not connected")
        await self._connection.publish(topic, payload, qos, retain=retain)

    async def _live(self, up: Callable[[str], None]) -> None:
        connection = Connection(self._settings, self._broker, self._accepted, self._received, v5=self._v5)
        try:
            session_present = await connection.open()
            if self._subscriptions and not (session_present and self._keeps_subscriptions()):
                self._tell_refused(await connection.subscribe(self._subscriptions))
            self._subscribed = True
            up(f"connected to {self._broker}")
            await connection.stay()
        finally:
            self._connection = None
            self._deliveries.disconnected()
            await connection.close()

    def _keeps_subscriptions(self) -> bool:
        """MQTT 5 can subscribe again without getting all retained messages again; 3.1.1 cannot."""
        return not self._v5 and self._subscribed

    def _tell_refused(self, filters: list[str]) -> None:
        for refused in filters:
            if refused not in self._refused_filters:
                user = self._settings.username or "everybody"
                _log.warning("%s does not let us read %r: allow it for user %s", self._broker, refused, user)
        self._refused_filters = set(filters)

    def _accepted(self, connection: Connection, *, session_present: bool) -> None:
        self._connection = connection
        self._deliveries.connected(session_present=session_present)
        if not self._reading:
            connection.pause()

    def _received(self, message: Message) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            _log.warning("%s sent a message whose topic is not UTF-8; it is dropped", self._broker)
            self._send_ack(message.mid)
            return
        payload = message.payload
        ack: Callable[[], None] | None = _nothing
        if message.qos:
            ack = self._deliveries.take(message.mid, topic, payload, repeated=message.dup)
        if ack is None:
            return
        if self._copies.is_copy(topic, payload, retain=message.retain, marks=subscription_marks(message)):
            ack()
            return
        received_ms = time.time_ns() // 1_000_000
        self._on_message(Inbound(topic, payload, message.qos, message.retain, received_ms, ack))

    def _send_ack(self, packet_id: int) -> None:
        if self._connection is not None:
            self._connection.ack(packet_id)


def _nothing() -> None:
    """Acknowledge a message that needs no acknowledgement."""
