"""Keeps the gateway's state on the site's broker as it is: publishes what changed, removes what is gone, and says
goodbye. What is due when is decided by `Retained`; this only waits and sends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from edged.errors import BrokerRefusedError, MqttError
from edged.settings import SiteSettings
from edged.site import discovery, states
from edged.site.memory import TopicMemory
from edged.site.retained import Retained, Wish
from edged.site.topics import Topics

_log = logging.getLogger(__name__)

_SOON_S = 1.0
_BIRTH_GAP_S = 10.0
_GOODBYE_S = 2.0
_QOS = 1


class Publish(Protocol):
    """The broker's door: waits for the acknowledgement."""

    def __call__(self, topic: str, payload: bytes, qos: int = ..., retain: bool = ...) -> Awaitable[None]: ...


class Heard(Protocol):
    """What is used of a message of the broker."""

    @property
    def payload(self) -> bytes: ...

    @property
    def retain(self) -> bool: ...


class Announcer:
    """`run` lives as long as the gateway; `up` is called with every connection, `changed` with every news."""

    def __init__(
        self,
        settings: SiteSettings,
        gateway: str,
        *,
        status: Callable[[], dict[str, Any]],
        publish: Publish,
        memory: TopicMemory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topics = Topics.of(settings.topic, gateway)
        self._settings = settings
        self._status = status
        self._publish = publish
        self._memory = memory
        self._clock = clock
        self._retained = Retained(interval_s=settings.interval_s, soon_s=_SOON_S)
        self._wake = asyncio.Event()
        self._is_up = False
        self._connection = 0
        self._has_complained = False
        self._reborn_s = float("-inf")

    def up(self) -> None:
        """There is a connection: the broker may have forgotten everything."""
        self._is_up = True
        self._connection += 1
        self._retained.again()
        self._wake.set()

    def changed(self) -> None:
        """A part has something new to say."""
        self._wake.set()

    def homeassistant_said(self, message: Heard) -> None:
        """Home Assistant has started: it is told everything again, but not more often than it can start."""
        # A retained word is of long ago, and comes with a connection, when all is told anyhow.
        if message.payload == states.ONLINE and not message.retain and self._clock() - self._reborn_s >= _BIRTH_GAP_S:
            self._reborn_s = self._clock()
            self._retained.again()
            self._wake.set()

    async def run(self, _up: Callable[[str], None]) -> None:
        """Publish until cancelled, for `keep_running`; then say that we are gone, which is no will's business where we
        stop on purpose."""
        self._retained.remember(await asyncio.to_thread(self._memory.read))
        self._wake.set()
        try:
            while True:
                await self._until_wanted()
                self._wake.clear()
                if self._is_up:
                    await self._tell()
                    # However much there is to say: news of one second go together.
                    await asyncio.sleep(_SOON_S)
        except asyncio.CancelledError:
            await self._say_goodbye()
            raise

    async def _until_wanted(self) -> None:
        wait_s = None
        if self._is_up:
            now_s = self._clock()
            due_s = self._retained.next_s(now_s)
            # Figures say nothing by themselves when they change: they are looked at every now and then.
            wait_s = min(self._settings.interval_s, max(0.0, (due_s or float("inf")) - now_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    async def _tell(self) -> None:
        self._retained.want(self._wishes())
        await asyncio.to_thread(self._memory.write, self._retained.topics)
        for topic, wish in self._retained.due(self._clock()):
            if not await self._sent(topic, wish):
                return

    def _wishes(self) -> dict[str, Wish]:
        if self._settings.state == "never":
            return {}
        status = self._status()
        wanted = states.wishes(self.topics, status)
        if self._settings.homeassistant:
            wanted |= discovery.wishes(self._settings.homeassistant_prefix, self.topics, status)
        return wanted

    async def _sent(self, topic: str, wish: Wish) -> bool:
        """Send one message; False where there is no connection to send more on."""
        connection = self._connection
        try:
            await self._publish(topic, wish.payload, _QOS, True)
        except BrokerRefusedError as err:
            self._retained.refused(topic)
            if not self._has_complained:
                _log.warning("site: %s, or set site.state: never", err)
            self._has_complained = True
            return True
        except TimeoutError:
            return False  # A broker that is slow: the connection may live, and nobody would tell us of another one.
        except MqttError:
            # The next one may be there already.
            self._is_up = self._connection != connection
            return False
        self._retained.sent(topic, wish, self._clock())
        return True

    async def _say_goodbye(self) -> None:
        if self._is_up and self._settings.state != "never":
            with suppress(MqttError, TimeoutError):
                await asyncio.wait_for(self._publish(self.topics.state, states.OFFLINE, _QOS, True), _GOODBYE_S)
