"""A broker and a client of the hub whose answers the test gives, and a relay between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from edged.commands.audit import Audit
from edged.commands.intake import Intake
from edged.commands.ledger import LEDGER_BYTES, Ledger
from edged.commands.policy import Now, Policy, Sender
from edged.commands.relay import Relay
from edged.commands.schema import anything
from edged.settings_commands import CommandRuleSettings, SenderSettings

ANYONE = SenderSettings(anyone=True)


class FakeBroker:
    """Keeps what is published; `answers` decides what comes of each, and without one it never ends."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes, dict[str, Any]]] = []
        self.answer: Callable[[], bytes] | None = lambda: b""
        self.asked = asyncio.Event()

    async def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, *, expires_s: float | None = None
    ) -> None:
        await self._do(topic, payload, qos=qos, retain=retain, expires_s=expires_s)

    async def request(
        self, topic: str, payload: bytes, *, reply_topic: str, timeout_s: float, expires_s: float | None = None
    ) -> bytes:
        return await self._do(topic, payload, reply_topic=reply_topic, timeout_s=timeout_s, expires_s=expires_s)

    async def _do(self, topic: str, payload: bytes, **facts: Any) -> bytes:
        self.published.append((topic, payload, facts))
        self.asked.set()
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer()


class Site:
    """A relay with a fake broker; `told` is what was sent to whom."""

    def __init__(self, *rules: CommandRuleSettings) -> None:
        self.now_s = 1000.0
        self.broker = FakeBroker()
        self.told: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
        self.echoed: list[tuple[str, bytes]] = []
        self.audit = Audit()
        given = rules or (CommandRuleSettings(topics=("farm/#",), sender=ANYONE, burst=100, timeout_s=0.1),)
        policy = Policy([(one, anything) for one in given])
        ledger = Ledger(bytearray(LEDGER_BYTES), keep_s=70, now_s=self.now_s)
        self.intake = Intake("g", policy, ledger, self.audit)
        self.relay = Relay(self.intake, self.broker, self.now, echo=lambda *echo: self.echoed.append(echo))
        self.relay.link_up(self.send)

    def now(self) -> Now:
        return Now(self.now_s, 1_700_000_000_000, True)

    async def send(self, peer_id: str, message: Mapping[str, Any]) -> None:
        self.told.put_nowait((peer_id, message))

    def give(self, command_id: str = "c1", topic: str = "farm/x", *, sender: str = "peer-1", **fields: Any) -> None:
        message = {"type": "edged/command", "id": command_id, "topic": topic, "payload": "on", **fields}
        self.relay.receive(Sender(sender), message, 0.0)

    async def answer(self) -> Mapping[str, Any]:
        """Return the next answer."""
        return (await asyncio.wait_for(self.told.get(), 10))[1]
