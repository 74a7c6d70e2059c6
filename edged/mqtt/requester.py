"""Asks over MQTT and waits for the answer: subscribes to the reply topic, publishes, waits, unsubscribes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from edged.errors import BrokerNotConnectedError, BrokerRefusedError, NoReplyError
from edged.mqtt.connection import Connection
from edged.mqtt.messages import Facts, Publication
from edged.mqtt.requests import Request, Requests
from edged.mqtt.words import Broker

_MARK_BYTES = 8


class Requester:
    """`connection` returns the one of now, or None; `is_covered` whether a topic comes to us anyhow."""

    def __init__(
        self, broker: Broker, connection: Callable[[], Connection | None], is_covered: Callable[[str], bool]
    ) -> None:
        self._broker = broker
        self._connection = connection
        self._is_covered = is_covered
        self._requests = Requests()
        self._freed = asyncio.Event()
        self.is_known = self._requests.is_known
        self.is_awaited = self._requests.is_awaited
        self.take = self._requests.take

    def topics(self) -> list[str]:
        """Return the reply topics a new connection has to subscribe to."""
        return [topic for topic in self._requests.topics() if not self._is_covered(topic)]

    async def request(
        self,
        publication: Publication,
        *,
        reply_topic: str,
        timeout_s: float,
        expires_s: float | None,
        is_reply: Callable[[bytes], bool],
    ) -> bytes:
        """Return the payload of the reply. The time counts from now, waiting for its turn included."""
        facts = Facts(expires_s, reply_topic, secrets.token_bytes(_MARK_BYTES))
        talk = asyncio.create_task(self._converse(publication, facts, is_reply), name=f"mqtt request {reply_topic}")
        try:
            await asyncio.wait([talk], timeout=timeout_s)
            if not talk.done():
                raise NoReplyError(f"nobody answered on {reply_topic!r} within {timeout_s:g} s")
            return talk.result()
        finally:
            if talk.cancel():
                await asyncio.wait([talk])

    async def _converse(self, publication: Publication, facts: Facts, is_reply: Callable[[bytes], bool]) -> bytes:
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def deliver(payload: bytes) -> None:
            if not reply.done():
                reply.set_result(payload)

        request = Request(facts.reply_topic, facts.correlation, deliver, is_reply)
        asked_s = _uptime_s()
        while not self._requests.may_begin(facts.reply_topic):
            await self._freed.wait()
        self._requests.begin(request)
        try:
            connection = self._live()
            await self._listen(connection, facts.reply_topic)
            await connection.publish(publication, facts.after(_uptime_s() - asked_s))
            return await reply
        finally:
            self._end(request)

    def _live(self) -> Connection:
        connection = self._connection()
        if connection is None:
            raise BrokerNotConnectedError(f"{self._broker} is not connected")
        return connection

    async def _listen(self, connection: Connection, reply_topic: str) -> None:
        """Once for each request: a broker that knows the subscription loses nothing by hearing of it again."""
        if not self._is_covered(reply_topic) and await connection.subscribe_to_replies([reply_topic]):
            raise BrokerRefusedError(f"{self._broker} does not let us read {reply_topic!r}: allow it for our user")

    def _end(self, request: Request) -> None:
        connection = self._connection()
        if self._requests.end(request) and connection is not None and not self._is_covered(request.reply_topic):
            connection.unsubscribe(request.reply_topic)
        # Those that wait look again, in the order they came.
        self._freed.set()
        self._freed = asyncio.Event()


def _uptime_s() -> float:
    """Return the time by which a question grows old: it goes on while the machine sleeps, which the loop's does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
