"""Carries out what the intake allows: publishes, waits for the broker or the device, and has the answer sent.

Nothing is queued: an order is published at once or refused. What was handed to the broker and not acknowledged is
`unknown` and is never handed over again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from edged.commands.intake import Execute, Intake, Tell
from edged.commands.messages import DONE, Answer, refused
from edged.commands.payloads import reply_of
from edged.commands.policy import Now, Order, Sender
from edged.errors import BrokerNotConnectedError, BrokerRefusedError, MqttError, NoReplyError, PublicationLateError
from metered_realtime import MeteredRealtimeError

_log = logging.getLogger(__name__)

MAX_SENDING = 128
Send = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class Broker(Protocol):
    """What is used of the link to the MQTT broker. Both raise MqttError; nothing is queued."""

    async def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, *, expires_s: float | None = None
    ) -> None:
        """Return at the broker's acknowledgement."""

    async def request(
        self, topic: str, payload: bytes, *, reply_topic: str, timeout_s: float, expires_s: float | None = None
    ) -> bytes:
        """Return the payload of the reply."""


class Relay:
    """Owns the tasks of orders and answers; they outlive a connection to the hub. `run` until cancelled."""

    def __init__(
        self,
        intake: Intake,
        broker: Broker,
        now: Callable[[], Now],
        *,
        echo: Callable[[str, bytes], None] = lambda _topic, _payload: None,
    ) -> None:
        self._intake = intake
        self._broker = broker
        self._now = now
        self._echo = echo
        self._send: Send | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._sending = 0
        self.unsent = 0
        """Answers that could not be sent: the hub was away, or the sender."""

    async def run(self, _up: Callable[[str], None]) -> None:
        """Hold the tasks, for `keep_running`; should one of them fail unexpectedly, those under way end as unknown."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def link_up(self, send: Send) -> None:
        """There is a connection to the hub; `send(peer_id, message)` sends on it."""
        self._send = send

    def link_down(self) -> None:
        """There is none any more."""
        self._send = None

    def receive(self, sender: Sender, data: Any, waited_s: float) -> None:
        """Take one message of the hub. Never raises, never waits."""
        if self._tasks is None:
            return
        taken = self._intake.take(sender, data, self._now(), waited_s)
        if isinstance(taken, Execute):
            self._tasks.create_task(self._execute(taken), name=f"command {taken.order.topic}")
        elif taken is not None:
            self._tell(taken)

    async def _execute(self, execute: Execute) -> None:
        answer = refused("unknown", "the gateway was stopped while this was on its way: it may have been carried out")
        try:
            answer = await self._outcome(execute.order)
        finally:
            told = self._intake.finished(execute.key, answer, self._now())
            self._tell(told)
        if answer.ok and execute.order.echo:
            self._echo(execute.order.topic, execute.order.payload)

    async def _outcome(self, order: Order) -> Answer:
        left_s = order.expires_at_s - self._now().uptime_s
        if left_s <= 0:
            return refused("late", "its time was over before it could be published")
        doing = asyncio.create_task(self._publish(order, left_s), name=f"publish {order.topic}")
        try:
            # A little later than the door's own limit, which has the better words.
            await asyncio.wait([doing], timeout=order.timeout_s + 0.5 if order.reply_topic else order.timeout_s)
        finally:
            is_late = doing.cancel()
            await asyncio.wait([doing])
        if is_late or doing.cancelled():
            return _unknown(f"the broker has not confirmed it within {order.timeout_s:g} s")
        return _answer_of(doing)

    async def _publish(self, order: Order, left_s: float) -> Answer:
        if not order.reply_topic:
            await self._broker.publish(order.topic, order.payload, 1, False, expires_s=left_s)
            return DONE
        reply = await self._broker.request(
            order.topic,
            order.payload,
            reply_topic=order.reply_topic,
            timeout_s=order.timeout_s,
            expires_s=left_s,
        )
        return reply_of(reply)

    # Answers --------------------------------------------------------------------------------------

    def _tell(self, tell: Tell) -> None:
        if tell.line is not None:
            _log.info("%s", tell.line)
        self.send_beside(tell.peer_id, tell.message)

    def send_beside(self, peer_id: str, message: Mapping[str, Any]) -> None:
        """Send a message while everything else goes on; one too many, or without a hub, is not sent."""
        if self._send is None or self._tasks is None or self._sending >= MAX_SENDING:
            self.unsent += 1
            return
        self._sending += 1
        self._tasks.create_task(self._deliver(self._send, peer_id, message), name=f"answer to {peer_id}")

    async def _deliver(self, send: Send, peer_id: str, message: Mapping[str, Any]) -> None:
        try:
            await send(peer_id, message)
        except (MeteredRealtimeError, ValueError) as error:
            # A sender who left, a link that is down, a peer id that is none: who wants to know asks again.
            self.unsent += 1
            _log.debug("an answer to %s was not sent: %s", peer_id, error)
        finally:
            self._sending -= 1


def _answer_of(done: asyncio.Task[Answer]) -> Answer:
    """Return what the broker's answer, or its silence, means for the sender, who need not know where the broker is."""
    try:
        return done.result()
    except BrokerNotConnectedError:
        return refused("broker_unreachable", "the gateway's broker is not connected, or has stopped answering")
    except PublicationLateError as error:
        return refused("late", str(error))
    except BrokerRefusedError:
        return refused("broker_refused", "the gateway's broker does not allow this topic, or the one of its reply")
    except NoReplyError as error:
        return refused("timeout", f"{error}: it may have been carried out")
    except (MqttError, TimeoutError):
        return _unknown("the gateway's broker went away before it confirmed it")


def _unknown(why: str) -> Answer:
    return refused("unknown", f"{why}: it may have been carried out")
