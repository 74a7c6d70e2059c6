"""One connection to the broker, used once, driven by the loop. With `paho_client` all that knows paho.

paho's own threads, queues and reconnecting are not used: it encodes and decodes packets, we read and write.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.errors import BrokerNotConnectedError, BrokerProtocolError, BrokerRefusedError
from edged.mqtt import paho_client, words
from edged.mqtt.copies import identifier
from edged.mqtt.dialing import dial
from edged.mqtt.intake import Intake
from edged.mqtt.messages import Facts, Publication
from edged.mqtt.stream import PacketError
from edged.mqtt.subscribing import batches
from edged.settings import MqttSettings

_T = TypeVar("_T")

_TICK_S = 1.0
_MAX_PUBLISHES_IN_FLIGHT = 20
_FLUSH_TRIES = 20
_FLUSH_WAIT_S = 0.05
_GOODBYE_TIMEOUT_S = 1.0
_GOODBYE_READ_BYTES = 64 * 1024
_MAX_QOS = 1
_RETAINED_IF_NEW = 1
"""Retained messages are sent only for a subscription that the broker did not have yet."""
_RETAINED_NEVER = 2
_POKE_FILTER = "edged/still/here"
_NO_FACTS = Facts()

Subscriptions = Sequence[tuple[str, int]]


class Message(Protocol):
    """What is used of a message, ours or paho's."""

    mid: int
    payload: bytes
    properties: Any
    qos: int
    retain: bool
    dup: bool

    @property
    def topic(self) -> str:
        """The topic; raises UnicodeDecodeError where it is not UTF-8."""


class Connection:
    """One paho client. `on_accepted(connection, session_present=...)` comes before the first message.

    `on_published` is called for what has been handed over to be sent, before anything can come back.
    """

    def __init__(
        self,
        settings: MqttSettings,
        broker: words.Broker,
        on_accepted: Callable[..., None],
        on_message: Callable[[Message], None],
        *,
        v5: bool,
        will: Publication | None = None,
        on_published: Callable[[Publication], None] = lambda _publication: None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._v5 = v5
        self._on_accepted = on_accepted
        self._on_message = on_message
        self._on_published = on_published
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[bool] = self._loop.create_future()
        self._ended: asyncio.Future[Exception] = self._loop.create_future()
        self._subacks: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._pubacks: dict[int, asyncio.Future[ReasonCode]] = {}
        self._publishing = asyncio.Semaphore(_MAX_PUBLISHES_IN_FLIGHT)
        self._ticker: asyncio.TimerHandle | None = None
        self._sock: Any = None
        self._intake: Intake | None = None
        self._acks: list[int] = []
        self._reading = True
        self._poke_from_s: float | None = None
        self._poked_s = 0.0
        self._client = paho_client.new_client(settings, broker, v5=v5, will=will)

    async def open(self, on_connecting: Callable[[], None] = lambda: None) -> bool:
        """Connect and return whether the broker remembers us."""
        await self._connect()
        on_connecting()
        client = self._client
        self._sock = client.socket()
        if self._sock is None:
            raise words.ended(self._broker, 0, "", answered=False)
        paho_client.tune(self._sock, self._settings.keepalive_s)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._on_message(message)
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_want_no_write
        self._intake = Intake(
            self._sock,
            self._loop,
            v5=self._v5,
            max_packet_bytes=paho_client.MAX_PACKET_BYTES,
            on_message=self._on_message,
            on_other=self._take_packet,
            on_end=self._input_ended,
        )
        self._intake.start()
        if client.want_write():
            self._loop.add_writer(self._sock, self._writable)
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        try:
            return await self._wait(self._answered)
        except TimeoutError:
            raise words.no_answer(self._broker) from None

    async def subscribe(self, subscriptions: Subscriptions, marked: Collection[str] = ()) -> list[str]:
        """Subscribe, and return the filters that the broker refuses. Copies of `marked` filters can be told apart.

        A mark on each message costs a fifth of the time we have for it, and a packet of its own.
        """
        plain = [pair for pair in subscriptions if pair[0] not in marked]
        packets = [*batches(plain), *([pair] for pair in subscriptions if pair[0] in marked)]
        return await self._subscribe(packets, marked, retained=_RETAINED_IF_NEW)

    async def subscribe_to_replies(self, topics: Sequence[str]) -> list[str]:
        """Subscribe without what the broker has retained, for that answers no request of ours."""
        return await self._subscribe([[(topic, _MAX_QOS) for topic in topics]], (), retained=_RETAINED_NEVER)

    def unsubscribe(self, topic_filter: str) -> None:
        """Give up a subscription; nobody waits for the answer."""
        self._client.unsubscribe(topic_filter)

    async def _subscribe(
        self, packets: Iterable[Subscriptions], marked: Collection[str], *, retained: int
    ) -> list[str]:
        answers = [(packet, self._send_subscribe(packet, marked, retained)) for packet in packets]
        refused: list[str] = []
        for packet, answer in answers:
            codes = await self._wait(answer)
            if len(codes) != len(packet):
                raise BrokerProtocolError(f"{self._broker} answers {len(packet)} subscriptions with {len(codes)} codes")
            refused += [topic for (topic, _qos), code in zip(packet, codes, strict=True) if code.is_failure]
        return refused

    def _send_subscribe(
        self, packet: Subscriptions, marked: Collection[str], retained: int
    ) -> asyncio.Future[list[ReasonCode]]:
        if self._v5:
            properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
            if packet[0][0] in marked:
                properties.SubscriptionIdentifier = identifier(packet[0][0])
            # What we publish ourselves does not come back.
            wanted: list[Any] = [
                (topic, SubscribeOptions(qos=min(qos, _MAX_QOS), noLocal=True, retainHandling=retained))
                for topic, qos in packet
            ]
            _code, packet_id = self._client.subscribe(wanted, properties=properties)
        else:
            _code, packet_id = self._client.subscribe([(topic, min(qos, _MAX_QOS)) for topic, qos in packet])
        if packet_id is None:
            raise BrokerProtocolError(f"{self._broker} ended the connection before we could subscribe")
        answer = self._subacks[packet_id] = self._loop.create_future()
        return answer

    async def publish(self, publication: Publication, facts: Facts = _NO_FACTS) -> None:
        """Publish, and with QoS 1 wait for the acknowledgement."""
        topic, qos = publication.topic, publication.qos
        asked_s = self._loop.time()
        async with self._publishing:
            facts = facts.after(self._loop.time() - asked_s)
            if facts.expires_s is not None and any(answer.cancelled() for answer in self._pubacks.values()):
                # It would lie in a socket behind the one that was given up, and be delivered whenever the broker wakes.
                raise BrokerNotConnectedError(f"{self._broker} has not acknowledged what we published before")
            properties = paho_client.publish_properties(facts) if self._v5 else None
            info = self._client.publish(topic, publication.payload, qos, publication.retain, properties)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise BrokerNotConnectedError(f"{self._broker} is not connected")
            self._on_published(publication)
            if not qos:
                return
            answer = self._pubacks[info.mid] = self._loop.create_future()
            try:
                code = await self._wait(answer)
            finally:
                answer.cancel()  # if it is given up; the acknowledgement itself takes it out
        if code.is_failure:
            raise BrokerRefusedError(f"{self._broker} does not take {topic!r} ({code}): allow it for our user")

    async def stay(self) -> None:
        """Keep the connection until it ends, and raise why."""
        await asyncio.wait([self._ended])
        raise self._ended.result()

    async def close(self) -> None:
        """Write out the acknowledgements that are left, say goodbye, close. The broker keeps our session."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._sock is not None and not self._ended.done():
            self._reading = False
            self._stop_reading()
            last = socket.socket(fileno=os.dup(self._sock.fileno()))
            try:
                await self._say_goodbye()
                await self._read_to_the_end(last)
            finally:
                last.close()
        if self._sock is not None:
            sock = self._sock
            self._on_socket_close(None, None, sock)
            self._client.on_socket_close = None
            self._client.on_socket_unregister_write = None
            sock.close()

    async def _say_goodbye(self) -> None:
        """paho closes the socket itself when DISCONNECT is written."""
        self._send_acks()
        self._client.disconnect()
        for _ in range(_FLUSH_TRIES):
            self._client.loop_write()
            if self._sock is None or not self._client.want_write():
                return
            await asyncio.sleep(_FLUSH_WAIT_S)

    async def _read_to_the_end(self, last: socket.socket) -> None:
        """Wait until the broker closes too. To close a socket that holds unread data is to reset the connection, and
        a broker that was sending would not see our last acknowledgements."""
        with suppress(OSError, TimeoutError):
            last.setblocking(False)
            last.shutdown(socket.SHUT_WR)
            await asyncio.wait_for(self._read_all(last), _GOODBYE_TIMEOUT_S)

    async def _read_all(self, last: socket.socket) -> None:
        while await self._loop.sock_recv(last, _GOODBYE_READ_BYTES):
            pass

    def ack(self, packet_id: int) -> None:
        """Acknowledge, together with whatever else is acknowledged in this turn of the loop."""
        if not self._acks:
            self._loop.call_soon(self._send_acks)
        self._acks.append(packet_id)

    def _send_acks(self) -> None:
        acks, self._acks = self._acks, []
        if acks and self._sock is not None:
            self._client.acknowledge(acks)

    def pause(self) -> None:
        if self._reading and self._intake is not None:
            self._reading = False
            self._poke_from_s = self._loop.time()
            self._stop_reading()

    def resume(self) -> None:
        if not self._reading and self._intake is not None:
            self._reading = True
            self._poke_from_s = self._loop.time()
            self._intake.start()
            # TLS may hold data that the socket no longer shows, and so may we.
            self._loop.call_soon(self._intake.look)

    # Reading and writing --------------------------------------------------------------------------

    def _stop_reading(self) -> None:
        if self._intake is not None:
            self._intake.stop()

    def _take_packet(self, packet: bytes) -> None:
        """Let paho handle what is not a plain message."""
        try:
            self._client.feed(packet)
        except Exception as error:  # noqa: BLE001 - paho raises whatever a malformed packet leads it to
            self._end(BrokerProtocolError(f"{self._broker} sent a malformed packet ({error!r})"))

    def _input_ended(self, error: Exception | None) -> None:
        if isinstance(error, PacketError):
            self._end(BrokerProtocolError(f"{self._broker} sent a malformed packet ({error})"))
        else:
            self._client.feed_end(error)

    def _writable(self) -> None:
        self._client.loop_write()

    def _tick(self) -> None:
        """paho's pings; but while we do not read, no answer to a ping can come, and something else has to be sent."""
        if self._ended.done():
            return
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        now_s = self._loop.time()
        calm_s = self._settings.keepalive_s / 2
        if self._reading and (self._poke_from_s is None or now_s - self._poke_from_s > calm_s):
            self._poke_from_s = None
            self._client.loop_misc()
        elif now_s - self._poked_s >= calm_s:
            self._poked_s = now_s
            # Any packet keeps the connection alive; giving up a subscription that nobody has is the most harmless.
            self._client.unsubscribe(_POKE_FILTER)

    # paho's callbacks, all on the loop --------------------------------------------------------------

    def _on_connect(self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure:
            self._end(words.refused(self._broker, code.value, str(code)))
        elif not self._answered.done():
            self._answered.set_result(bool(flags.session_present))
            self._on_accepted(self, session_present=bool(flags.session_present))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._end(words.ended(self._broker, code.value, str(code), answered=self._answered.done()))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any) -> None:
        _resolve(self._subacks.pop(mid, None), codes)

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        _resolve(self._pubacks.pop(mid, None), code)

    def _on_want_write(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.add_writer(sock, self._writable)

    def _on_want_no_write(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _on_socket_close(self, _client: Any, _data: Any, sock: Any) -> None:
        self._stop_reading()
        self._loop.remove_writer(sock)
        self._sock = None

    def _end(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_result(error)
            self._stop_reading()

    async def _wait(self, answer: asyncio.Future[_T]) -> _T:
        """Wait for an answer or for the end. Raises TimeoutError, but not while we do not read, nor soon after it."""
        awaited: list[asyncio.Future[Any]] = [answer, self._ended]
        while True:
            done, _ = await asyncio.wait(
                awaited, timeout=paho_client.CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done or (self._reading and self._poke_from_s is None):
                break
        if answer.done():
            return answer.result()
        answer.cancel()
        if self._ended.done():
            raise self._ended.result()
        raise TimeoutError(f"{self._broker} does not answer")

    async def _connect(self) -> None:
        try:
            session = paho_client.session(self._settings, v5=self._v5)
            await dial(
                lambda: self._client.connect(
                    self._broker.host, self._broker.port, self._settings.keepalive_s, **session
                ),
                self._drop_socket,
            )
        except (OSError, ValueError) as error:
            raise words.not_connected(self._broker, error) from error

    def _drop_socket(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            sock.close()


def subscription_marks(message: Message) -> list[int]:
    """Return the identifiers of the subscriptions that an MQTT 5 broker sends a message for."""
    return getattr(message.properties, "SubscriptionIdentifier", [])


def correlation_mark(message: Message) -> bytes:
    """Return the mark by which an MQTT 5 reply names its request, if it has one."""
    return bytes(getattr(message.properties, "CorrelationData", b""))


def _resolve(answer: asyncio.Future[_T] | None, value: _T) -> None:
    if answer is not None and not answer.done():
        answer.set_result(value)
