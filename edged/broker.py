"""The one connection to the site's MQTT broker, and who shares it: telemetry takes what it subscribes to, others listen
to single topics, all publish. Parts say what they want before it is opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from edged.errors import BrokerNotConnectedError, BrokerRefusedError
from edged.settings import MqttSettings
from edged.topic_filters import matches

if TYPE_CHECKING:
    from edged.mqtt import Inbound

_log = logging.getLogger(__name__)

Up = Callable[[str], None]
Subscriptions = tuple[tuple[str, int], ...]
Will = tuple[str, bytes]
"""Topic and payload of a retained message that the broker publishes when we are lost."""


class Door(Protocol):
    """Where messages come from and go to: the MQTT broker, or what a demonstration puts in its place."""

    async def run(self, up: Up) -> None:
        """Live through one connection; raise when it ends."""

    def pause_reading(self) -> None:
        """Take nothing more in for now."""

    def resume_reading(self) -> None:
        """Go on."""


class OpenDoor(Protocol):
    """Makes a door; the keywords are those of `MqttDoor`."""

    def __call__(
        self,
        settings: MqttSettings,
        client_id: str,
        subscriptions: Subscriptions,
        on_message: Callable[[Any], None],
        /,
        *,
        will: Will | None = None,
        on_up: Callable[[], None] = ...,
        on_session_lost: Callable[[], None] = ...,
        on_connecting: Callable[[], None] = ...,
    ) -> Door: ...


def open_mqtt_door(
    settings: MqttSettings,
    client_id: str,
    subscriptions: Subscriptions,
    on_message: Callable[[Any], None],
    *,
    will: Will | None = None,
    **more: Any,
) -> Door:
    """Return the door to the site's broker."""
    from edged.mqtt import MqttDoor, Publication  # noqa: PLC0415 - a gateway without MQTT never loads paho

    return MqttDoor(
        settings,
        client_id=client_id,
        subscriptions=subscriptions,
        on_message=on_message,
        will=None if will is None else Publication(*will, qos=1, retain=True),
        **more,
    )


class BrokerLink:
    """Shares one door. `take` and `listen` are for before the first `run`; `publish` and `request` for any time."""

    def __init__(self, settings: MqttSettings, client_id: str, open_door: OpenDoor = open_mqtt_door) -> None:
        self._settings = settings
        self._client_id = client_id
        self._open_door = open_door
        self._filters: Subscriptions = ()
        self._accept: Callable[[Any], None] | None = None
        self._listeners: dict[str, Callable[[Any], None]] = {}
        self._will: Will | None = None
        self._on_up_with_will: Callable[[], None] = _nothing
        self._on_up: list[Callable[[], None]] = []
        self._on_session_lost: list[Callable[[], None]] = []
        self._on_connecting: list[Callable[[], None]] = []
        self._door: Any = None

    def take(self, subscriptions: Subscriptions, accept: Callable[[Any], None]) -> None:
        """Subscribe for the one who takes messages in, and answers for them by acknowledging."""
        self._filters, self._accept = subscriptions, accept

    def listen(self, topic: str, heard: Callable[[Any], None]) -> None:
        """Hear of the messages of one topic; they are nobody's to answer for, so QoS 0."""
        self._listeners[topic] = heard

    def leave_behind(self, topic: str, payload: bytes, on_up: Callable[[], None]) -> None:
        """Have the broker publish this, retained, when we are lost; `on_up` is called with every connection that has it
        as its will."""
        self._will = (topic, payload)
        self._on_up_with_will = on_up

    def when_up(self, call: Callable[[], None]) -> None:
        """Call `call` with every connection, once it may be published on."""
        self._on_up.append(call)

    def on_session_lost(self, forget: Callable[[], None]) -> None:
        """Call `forget` before the first message of a broker that does not know us any more."""
        self._on_session_lost.append(forget)

    def on_connecting(self, call: Callable[[], None]) -> None:
        """Call `call` when a broker has been asked to take us, whether it ever answers or not."""
        self._on_connecting.append(call)

    async def run(self, up: Up) -> None:
        """Live through one connection, for `keep_running`.

        Brokers with access rules may refuse a whole connection for a will that the user may not publish. What comes in
        matters more than what we say of ourselves, so then we go without.
        """
        if self._door is None:
            self._door = self._open()
        try:
            await self._door.run(up)
        except BrokerRefusedError:
            if self._will is None:
                raise
            await self._run_without_will(up)

    async def _run_without_will(self, up: Up) -> None:
        kept, will = self._door, self._will
        self._will = None
        self._door = self._open()

        def up_without(detail: str) -> None:
            nonlocal will
            if will is not None:
                _log.warning(
                    "mqtt: the broker refuses us with a last will on %r: allow it for our user, or set site.state: "
                    "never; the gateway's state is not published",
                    will[0],
                )
                will = None
            up(detail)

        try:
            await self._door.run(up_without)
        finally:
            if will is not None:  # it was not the will
                self._door, self._will = kept, will

    def pause_reading(self) -> None:
        """Have nothing more come in for now."""
        if self._door is not None:
            self._door.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._door is not None:
            self._door.resume_reading()

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, **more: Any) -> None:
        """Publish as `MqttDoor.publish` does. Raises MqttError; nothing is queued."""
        if self._door is None:
            raise BrokerNotConnectedError("the MQTT broker is not connected")
        await self._door.publish(topic, payload, qos, retain, **more)

    async def request(self, topic: str, payload: bytes, **more: Any) -> bytes:
        """Publish and wait for the reply as `MqttDoor.request` does."""
        if self._door is None:
            raise BrokerNotConnectedError("the MQTT broker is not connected")
        reply: bytes = await self._door.request(topic, payload, **more)
        return reply

    def _open(self) -> Door:
        wanted = dict(self._filters)
        for topic in self._listeners:
            wanted.setdefault(topic, 0)
        # Every message takes this road: without listeners there is nobody else to ask.
        accept = self._accept if self._accept is not None and not self._listeners else self._received
        return self._open_door(
            self._settings,
            self._client_id,
            tuple(wanted.items()),
            accept,
            will=self._will,
            on_up=self._is_up,
            on_session_lost=lambda: _call_all(self._on_session_lost),
            on_connecting=lambda: _call_all(self._on_connecting),
        )

    def _is_up(self) -> None:
        _call_all(self._on_up)
        if self._will is not None:
            self._on_up_with_will()

    def _received(self, message: Inbound) -> None:
        heard = self._listeners.get(message.topic)
        if heard is not None:
            heard(message)
        if self._accept is not None and (heard is None or self._is_taken(message.topic)):
            self._accept(message)
        else:
            message.ack()

    def _is_taken(self, topic: str) -> bool:
        return any(matches(wanted, topic) for wanted, _qos in self._filters)


def _nothing() -> None:
    """Nobody asked to be told."""


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
