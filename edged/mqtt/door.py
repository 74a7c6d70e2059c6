"""What the rest of the daemon sees of the broker: messages in with an acknowledgement, messages out, questions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from edged.errors import BrokerNotConnectedError
from edged.mqtt.connection import Connection, Message, correlation_mark, subscription_marks
from edged.mqtt.copies import Copies
from edged.mqtt.deliveries import Deliveries
from edged.mqtt.echoes import Echoes
from edged.mqtt.messages import Facts, Inbound, Publication
from edged.mqtt.requester import Requester
from edged.mqtt.subscribing import evened, overlapping
from edged.mqtt.words import Broker, OldBrokerError
from edged.settings import MqttSettings
from edged.topic_filters import matches

_log = logging.getLogger(__name__)


class MqttDoor:
    """Receives what it subscribes to, publishes, asks. `run` is one connection's life, for `keep_running`.

    `will` is what the broker publishes for us when we are lost. `on_connecting` is called when somebody has been asked
    to take us, `on_session_lost` before the first message of a broker that knows nothing of us (any more), `on_up`
    when a connection may be published on: it is subscribed, or has asked for that and does not read the answer yet.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        subscriptions: tuple[tuple[str, int], ...],
        on_message: Callable[[Inbound], None],
        will: Publication | None = None,
        on_up: Callable[[], None] = lambda: None,
        on_session_lost: Callable[[], None] = lambda: None,
        on_connecting: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._broker = Broker(settings.host, settings.port, settings.username, client_id, settings.tls)
        self._overlapping = overlapping([topic for topic, _qos in subscriptions])
        self._subscriptions = evened(subscriptions, self._overlapping)
        self._on_message = on_message
        self._will = will
        self._on_up = on_up
        self._on_session_lost = on_session_lost
        self._on_connecting = on_connecting
        self._v5 = True
        self._subscribed = False
        self._paused = asyncio.Event()
        self._refused_filters: set[str] = set()
        self._connection: Connection | None = None
        self._deliveries = Deliveries(self._send_ack)
        self._copies = Copies(self._overlapping)
        self._echoes = Echoes()
        self._requester = Requester(self._broker, lambda: self._connection, self._is_selected)

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
        self._paused.set()
        if self._connection is not None:
            self._connection.pause()

    def resume_reading(self) -> None:
        """Read on."""
        self._paused.clear()
        if self._connection is not None:
            self._connection.resume()

    async def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, *, expires_s: float | None = None
    ) -> None:
        """Publish, and with qos 1 wait for the broker's acknowledgement. Raises MqttError; nothing is queued.

        `expires_s` is how long the broker may keep it for those who are away; one of MQTT 3.1.1 is not told.
        """
        if self._connection is None:
            raise BrokerNotConnectedError(f"{self._broker} is not connected")
        await self._connection.publish(Publication(topic, payload, qos, retain), Facts(expires_s))

    async def request(
        self,
        topic: str,
        payload: bytes,
        *,
        reply_topic: str,
        timeout_s: float,
        expires_s: float | None = None,
        is_reply: Callable[[bytes], bool] = lambda _payload: True,
    ) -> bytes:
        """Publish with QoS 1 and return the payload of the reply. Raises MqttError, NoReplyError after `timeout_s`.

        Requests on one reply topic wait for each other unless replies carry the mark of MQTT 5. A reply without a mark
        that comes after its time, while the next request waits, only `is_reply` can tell from that one's.
        """
        return await self._requester.request(
            Publication(topic, payload),
            reply_topic=reply_topic,
            timeout_s=timeout_s,
            expires_s=expires_s,
            is_reply=is_reply,
        )

    async def _live(self, up: Callable[[str], None]) -> None:
        connection = Connection(
            self._settings,
            self._broker,
            self._accepted,
            self._received,
            v5=self._v5,
            will=self._will,
            on_published=self._expect_echo,
        )
        try:
            session_present = await connection.open(self._on_connecting)
            subscribing = asyncio.create_task(
                self._subscribe(connection, session_present=session_present), name="mqtt subscriptions"
            )
            try:
                await self._done_or_paused(subscribing)
                up(f"connected to {self._broker}")
                self._on_up()
                await subscribing
            finally:
                if subscribing.cancel():
                    await asyncio.wait([subscribing])
            await connection.stay()
        finally:
            self._connection = None
            self._deliveries.disconnected()
            await connection.close()

    async def _subscribe(self, connection: Connection, *, session_present: bool) -> None:
        # MQTT 5 can subscribe again without getting all retained messages again; 3.1.1 cannot.
        if self._subscriptions and not (session_present and not self._v5 and self._subscribed):
            self._tell_refused(await connection.subscribe(self._subscriptions, self._overlapping))
        self._subscribed = True
        if replies := self._requester.topics():
            await connection.subscribe_to_replies(replies)

    async def _done_or_paused(self, subscribing: asyncio.Task[None]) -> None:
        """The answer lies behind messages that are not read while memory is full, which may last as long as an outage.

        All the while we are there, and the broker would tell everybody that we are not.
        """
        pausing = asyncio.create_task(self._paused.wait(), name="mqtt pause")
        try:
            await asyncio.wait([subscribing, pausing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()
        if subscribing.done():
            subscribing.result()

    def _tell_refused(self, filters: list[str]) -> None:
        for refused in filters:
            if refused not in self._refused_filters:
                user = self._settings.username or "everybody"
                _log.warning("%s does not let us read %r: allow it for user %s", self._broker, refused, user)
        self._refused_filters = set(filters)

    def _accepted(self, connection: Connection, *, session_present: bool) -> None:
        self._connection = connection
        self._deliveries.connected(session_present=session_present)
        if not session_present:
            self._on_session_lost()
        if self._paused.is_set():
            connection.pause()

    def _is_selected(self, topic: str) -> bool:
        """Say whether one of the filters that the broker grants us selects a topic."""
        return any(
            matches(pattern, topic) for pattern, _qos in self._subscriptions if pattern not in self._refused_filters
        )

    def _expect_echo(self, publication: Publication) -> None:
        """What comes back by a route is no reading, and by a reply topic no reply."""
        topic = publication.topic
        if not self._v5 and (self._requester.is_awaited(topic) or self._is_selected(topic)):
            self._echoes.published(topic, publication.payload, time.monotonic())

    def _received(self, message: Message) -> None:
        packet_id, payload = message.mid, message.payload
        try:
            topic = message.topic
        except UnicodeDecodeError:
            _log.warning("%s sent a message whose topic is not UTF-8; it is dropped", self._broker)
            if message.qos:
                self._send_ack(packet_id)
            return
        ack: Callable[[], None] | None = _nothing
        if message.qos:
            ack = self._deliveries.take(packet_id, topic, payload, repeated=message.dup)
        if ack is None:
            return
        if self._overlapping and self._copies.is_copy(
            topic, payload, retain=message.retain, marks=subscription_marks(message)
        ):
            ack()
            return
        if self._is_for_us_alone(message, topic):
            ack()
            return
        received_ms = time.time_ns() // 1_000_000
        self._on_message(Inbound(topic, payload, message.qos, message.retain, received_ms, ack, packet_id, message.dup))

    def _is_for_us_alone(self, message: Message, topic: str) -> bool:
        """Take out echoes and replies; a reply that a route asks for as well goes there too."""
        if not self._v5 and self._echoes.is_echo(topic, message.payload, time.monotonic()):
            return True
        if not self._requester.is_known(topic):
            return False
        if not message.retain:
            self._requester.take(topic, message.payload, correlation_mark(message))
        return not self._is_selected(topic)

    def _send_ack(self, packet_id: int) -> None:
        if self._connection is not None:
            self._connection.ack(packet_id)


def _nothing() -> None:
    """Acknowledge a message that needs no acknowledgement."""
