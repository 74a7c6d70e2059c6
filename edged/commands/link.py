"""One life of the connection to the hub: open a client, listen to the channels, look whether the link is alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from edged.commands.freshness import TICK_S, Freshness
from edged.commands.messages import GATEWAY_TYPE
from edged.commands.policy import Sender
from edged.commands.relay import Relay
from edged.errors import UplinkLostError
from metered_realtime import (
    Connected,
    Direct,
    Disconnected,
    Message,
    ServerRequestError,
    SignallingError,
    SubscribeOptions,
    WsCloseCode,
)

_MEND_BY_HAND_S = 60.0
_MEND_BY_HAND = frozenset({
    WsCloseCode.INVALID_TOKEN, WsCloseCode.CHANNEL_NOT_AUTHORIZED, WsCloseCode.ACCOUNT_SUSPENDED,
    WsCloseCode.ADMIN_DISCONNECT,
})  # fmt: skip
_MAX_INTRODUCED = 256
# The hub answers in order, and giving up a subscription that nobody has changes nothing: a ping that is answered.
_QUESTION = "edged/still/here"


class Client(Protocol):
    """What is used of `SignallingClient`."""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def subscribe(self, channel: str, opts: SubscribeOptions | None = None) -> None: ...

    async def unsubscribe(self, channel: str) -> None: ...

    async def send(self, to_peer_id: str, data: Any) -> None: ...

    def on(self, _event_type: Any, _handler: Any, /) -> Any: ...


class CommandLink:
    """Makes connections, one after the other, for `keep_running`. `uptime_s` counts while the machine sleeps."""

    def __init__(
        self,
        open_client: Callable[[], Client],
        relay: Relay,
        *,
        gateway: str,
        channels: tuple[str, ...],
        check_s: float,
        uptime_s: Callable[[], float],
    ) -> None:
        self._open_client = open_client
        self._relay = relay
        self._gateway = gateway
        self._channels = channels
        self._check_s = check_s
        self._uptime_s = uptime_s

    async def run(self, up: Callable[[str], None]) -> None:
        """Connect and stay until the connection ends, which is raised as an UplinkLostError."""
        client = self._open_client()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        freshness = Freshness(self._check_s, self._uptime_s())
        life = _Life(
            client, self._relay, freshness, gateway=self._gateway, channels=self._channels, uptime_s=self._uptime_s
        )

        def disconnected(event: Disconnected) -> None:
            self._relay.link_down()
            if not lost.done():
                lost.set_exception(_lost(event.code, event.reason))

        client.on(Disconnected, disconnected)
        client.on(Connected, lambda _: self._relay.link_up(client.send))
        client.on(Message, life.message)
        client.on(Direct, life.direct)
        checking: asyncio.Task[None] | None = None
        try:
            await client.connect()
            await self._subscribe(client, freshness)
            up(f"commands are taken from {', '.join(self._channels)}")
            checking = asyncio.create_task(life.check(self._check_s), name="commands link check")
            await lost
        finally:
            self._relay.link_down()
            lost.cancel()
            if checking is not None:
                checking.cancel()
                await asyncio.wait([checking])
            await client.close()

    async def _subscribe(self, client: Client, freshness: Freshness) -> None:
        for channel in self._channels:
            asked_s = self._uptime_s()
            try:
                await client.subscribe(channel, SubscribeOptions(include_sender_metadata=True))
            except ServerRequestError as error:
                sentence = f"the hub does not let us read {channel!r} ({error.code}): give hub.key rights to it"
                raise UplinkLostError(sentence, retry_after_s=_MEND_BY_HAND_S) from error
            freshness.answered(asked_s)


class _Life:
    """What one connection brings in."""

    def __init__(
        self,
        client: Client,
        relay: Relay,
        freshness: Freshness,
        *,
        gateway: str,
        channels: tuple[str, ...],
        uptime_s: Callable[[], float],
    ) -> None:
        self._client = client
        self._relay = relay
        self._freshness = freshness
        self._gateway = gateway
        self._channels = channels
        self._uptime_s = uptime_s
        self._introduced: set[str] = set()
        self._doubt = asyncio.Event()

    def message(self, event: Message) -> None:
        if event.channel in self._channels:
            self._take(Sender(event.sender_peer_id, event.sender_metadata or {}), event.data)

    def direct(self, event: Direct) -> None:
        if isinstance(event.data, dict) and event.data.get("type") == GATEWAY_TYPE:
            self._introduce(event.sender_peer_id)
        else:
            self._take(Sender(event.sender_peer_id, event.sender_metadata or {}, is_direct=True), event.data)

    def _take(self, sender: Sender, data: Any) -> None:
        waited_s = self._freshness.waited_s(self._uptime_s())
        if waited_s:
            self._doubt.set()
        self._relay.receive(sender, data, waited_s)

    def _introduce(self, peer_id: str) -> None:
        """A gateway that shows cameras in our channel has told us that it is one: say the same, so that it sends us
        no pictures."""
        if peer_id not in self._introduced and len(self._introduced) < _MAX_INTRODUCED:
            self._introduced.add(peer_id)
            self._relay.send_beside(peer_id, {"type": GATEWAY_TYPE, "gateway": self._gateway})

    async def check(self, check_s: float) -> None:
        """Ask the hub something every `check_s`, and at once when something may be old. Until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            due_s = loop.time()
            asking: asyncio.Task[None] | None = None
            while True:
                if self._freshness.tick(self._uptime_s()):
                    self._doubt.set()
                if (loop.time() >= due_s or self._doubt.is_set()) and (asking is None or asking.done()):
                    self._doubt.clear()
                    due_s = loop.time() + check_s
                    asking = tasks.create_task(self._ask(), name="commands link question")
                await self._pause(asking)

    async def _pause(self, asking: asyncio.Task[None] | None) -> None:
        """Wait for the answer, or for the next doubt; not longer than a tick."""
        if asking is not None and not asking.done():
            await asyncio.wait([asking], timeout=TICK_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._doubt.wait()

    async def _ask(self) -> None:
        asked_s = self._uptime_s()
        try:
            await self._client.unsubscribe(_QUESTION)
        except SignallingError:
            return  # the end of the link is told elsewhere; while it is silent, nothing is taken for fresh
        self._freshness.answered(asked_s)


def _lost(code: int, reason: str) -> UplinkLostError:
    said = f"{code}: {reason}" if reason else str(code)
    retry_after_s = _MEND_BY_HAND_S if code in _MEND_BY_HAND else None
    return UplinkLostError(f"the connection to the hub ended ({said})", retry_after_s=retry_after_s)
