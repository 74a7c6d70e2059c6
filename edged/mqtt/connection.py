"""One connection to the broker, used once, driven by the loop. With `paho_client` all that knows paho.

paho's own threads, queues and reconnecting are not used: it encodes and decodes packets, we read and write.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
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
from edged.settings import MqttSettings

_T = TypeVar("_T")

_TICK_S = 1.0
_MAX_PACKETS_AT_ONCE = 100
_MAX_PUBLISHES_IN_FLIGHT = 20
_FLUSH_TRIES = 20
_FLUSH_WAIT_S = 0.05
_GOODBYE_TIMEOUT_S = 1.0
_GOODBYE_READ_BYTES = 64 * 1024
_MAX_QOS = 1
_POKE_FILTER = "edged/still/here"


class Message(Protocol):
    """What is used of paho's message."""

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
    """One paho client. `on_accepted(connection, session_present=...)` comes before the first message."""

    def __init__(
        self,
        settings: MqttSettings,
        broker: words.Broker,
        on_accepted: Callable[..., None],
        on_message: Callable[[Message], None],
        *,
        v5: bool,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._v5 = v5
        self._on_accepted = on_accepted
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[bool] = self._loop.create_future()
        self._ended: asyncio.Future[Exception] = self._loop.create_future()
        self._subacks: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._pubacks: dict[int, asyncio.Future[ReasonCode]] = {}
        self._publishing = asyncio.Semaphore(_MAX_PUBLISHES_IN_FLIGHT)
        self._inbox: list[Message] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._sock: Any = None
        self._reading = True
        self._poke_from_s: float | None = None
        self._poked_s = 0.0
        self._client = paho_client.new_client(settings, broker, v5=v5)

    async def open(self) -> bool:
        """Connect and return whether the broker remembers us."""
        await self._connect()
        client = self._client
        self._sock = client.socket()
        if self._sock is None:
            raise words.ended(self._broker, 0, "", answered=False)
        paho_client.tune(self._sock, self._settings.keepalive_s)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._inbox.append(message)
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_want_no_write
        self._loop.add_reader(self._sock, self._readable)
        if client.want_write():
            self._loop.add_writer(self._sock, self._writable)
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        try:
            return await self._wait(self._answered)
        except TimeoutError:
            raise words.no_answer(self._broker) from None

    async def subscribe(self, subscriptions: tuple[tuple[str, int], ...]) -> list[str]:
        """Subscribe, and return the filters that the broker refuses."""
        # A mark on each message costs a fifth of the time we have for it; a single filter brings no copies.
        is_marked = len(subscriptions) > 1
        answers = [self._subscribe(topic, min(qos, _MAX_QOS), is_marked=is_marked) for topic, qos in subscriptions]
        codes = [await self._wait(answer) for answer in answers]
        return [topic for (topic, _qos), found in zip(subscriptions, codes, strict=True) if found[0].is_failure]

    def _subscribe(self, topic: str, qos: int, *, is_marked: bool) -> asyncio.Future[list[ReasonCode]]:
        if self._v5:
            marks = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
            if is_marked:
                marks.SubscriptionIdentifier = identifier(topic)
            # Retained messages are sent only for a subscription that the broker did not have yet.
            options = SubscribeOptions(qos=qos, retainHandling=1)
            _code, packet_id = self._client.subscribe(topic, options=options, properties=marks)
        else:
            _code, packet_id = self._client.subscribe(topic, qos)
        if packet_id is None:
            raise BrokerProtocolError(f"{self._broker} ended the connection before we could subscribe")
        answer = self._subacks[packet_id] = self._loop.create_future()
        return answer

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        async with self._publishing:
            info = self._client.publish(topic, payload, qos, retain)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise BrokerNotConnectedError(f"{self._broker} is not connected")
            if not qos:
                return
            answer = self._pubacks[info.mid] = self._loop.create_future()
            try:
                code = await self._wait(answer)
            finally:
                self._pubacks.pop(info.mid, None)
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
            self._loop.remove_reader(self._sock)
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
        self._client.ack(packet_id, 1)

    def pause(self) -> None:
        if self._reading and self._sock is not None:
            self._reading = False
            self._poke_from_s = self._loop.time()
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        if not self._reading and self._sock is not None:
            self._reading = True
            self._poke_from_s = self._loop.time()
            self._loop.add_reader(self._sock, self._readable)
            # TLS may hold data that the socket no longer shows.
            self._loop.call_soon(self._readable)

    # Reading and writing --------------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(_MAX_PACKETS_AT_ONCE):
            if not self._reading or self._ended.done():
                return
            try:
                self._client.loop_read()
            except Exception as error:  # noqa: BLE001 - paho raises whatever a malformed packet leads it to
                self._end(BrokerProtocolError(f"{self._broker} sent a malformed packet ({error!r})"))
                return
            if not self._inbox and not self._has_pending():
                return
            messages, self._inbox = self._inbox, []
            for message in messages:
                self._on_message(message)

    def _has_pending(self) -> bool:
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

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
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        self._sock = None

    def _end(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    async def _wait(self, answer: asyncio.Future[_T]) -> _T:
        """Wait for an answer or for the end. Raises TimeoutError, but not while we do not read."""
        awaited: list[asyncio.Future[Any]] = [answer, self._ended]
        while True:
            done, _ = await asyncio.wait(
                awaited, timeout=paho_client.CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done or self._reading:
                break
        if answer.done():
            return answer.result()
        answer.cancel()
        if self._ended.done():
            raise self._ended.result()
        raise TimeoutError(f"{self._broker} does not answer")

    async def _connect(self) -> None:
        """Let paho resolve, connect and shake hands in a thread: all of that blocks, and cannot be cancelled.

        The thread is a daemon, so that a slow name server never holds up a stop.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._connect_blocking, args=(done,), name="edged-mqtt-connect", daemon=True)
        thread.start()
        try:
            await done
        except (OSError, ValueError) as error:
            raise words.not_connected(self._broker, error) from error

    def _connect_blocking(self, done: asyncio.Future[None]) -> None:
        error: Exception | None = None
        try:
            session = paho_client.session(self._settings, v5=self._v5)
            self._client.connect(self._broker.host, self._broker.port, self._settings.keepalive_s, **session)
        except Exception as caught:  # noqa: BLE001 - handed over to the loop, where it is told apart
            error = caught
        try:
            self._loop.call_soon_threadsafe(self._connected, done, error)
        except RuntimeError:  # The loop has closed meanwhile; nobody else knows of the socket.
            self._drop_socket()

    def _connected(self, done: asyncio.Future[None], error: Exception | None) -> None:
        if done.cancelled():
            self._drop_socket()
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _drop_socket(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            sock.close()


def subscription_marks(message: Message) -> list[int]:
    """Return the identifiers of the subscriptions that an MQTT 5 broker sends a message for."""
    return getattr(message.properties, "SubscriptionIdentifier", [])


def _resolve(answer: asyncio.Future[_T] | None, value: _T) -> None:
    if answer is not None and not answer.done():
        answer.set_result(value)
