"""The part as a whole, between our hub and a broker that is played."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from edged.commands.commands import MEMORY_BYTES, Commands
from edged.commands.schema import SchemaError
from edged.hub_link import HubLink
from edged.settings import HubLinkSettings, Secret
from edged.settings_commands import CommandRuleSettings, CommandSettings, SenderSettings
from metered_realtime import Direct, SignallingClient
from tests.edged.commands.fakes import ANYONE, FakeBroker
from tests.sdk.real_hub import KEY, hub_url  # noqa: F401 - a fixture


@dataclass(frozen=True)
class At:
    uptime_ms: int = 1_000_000
    wall_ms: int = 1_700_000_000_000
    is_set: bool = True


def part(url: str, broker: FakeBroker, *rules: CommandRuleSettings, is_lasting: bool = True, **more: Any) -> Commands:
    return Commands(
        CommandSettings(rules=rules or (CommandRuleSettings(topics=("farm/#",), sender=ANYONE),)),
        gateway="g",
        hub_channel="farm",
        open_client=HubLink(HubLinkSettings(url=url, key=Secret(KEY))).open_client,
        broker=broker,
        memory=bytearray(MEMORY_BYTES),
        is_lasting=is_lasting,
        now=At,
        **more,
    )


@contextlib.asynccontextmanager
async def running(commands: Commands, up: asyncio.Event) -> AsyncIterator[None]:
    task = asyncio.create_task(commands.run())
    try:
        async with asyncio.timeout(10):
            await up.wait()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_program_gives_a_command_and_is_answered_by_a_direct_message(hub_url: str) -> None:  # noqa: F811
    broker, up = FakeBroker(), asyncio.Event()
    commands = part(hub_url, broker, report=lambda state, _: up.set() if state == "live" else None)
    client = SignallingClient(url=hub_url, api_key=KEY)
    async with running(commands, up), client, client.events(Direct) as answers:
        command = {"type": "edged/command", "topic": "farm/heater/set", "payload": "ON"}
        await client.publish("farm/commands", {**command, "id": "c1"})
        first = await anext(answers)
        assert first.data == {"type": "edged/command-result", "gateway": "g", "id": "c1", "ok": True}
        await client.send(first.sender_peer_id, {**command, "id": "c2"})
        assert (await anext(answers)).data["reason"] == "denied", "whoever sends directly may not be of the channel"

    assert [topic for topic, _, _ in broker.published] == ["farm/heater/set"]
    counted = {"received": 2, "repeated": 0, "unanswered": 0, "outcomes": {"ok": 1, "denied": 1}}
    assert commands.figures() == {**counted, "pending": 0, "unsent": 0}


def test_a_schema_that_is_none_is_said_before_anything_runs() -> None:
    rule = CommandRuleSettings(topics=("a",), sender=ANYONE, schema={"type": "colour"})

    with pytest.raises(SchemaError, match=r"commands\.rules\[0\]\.schema"):
        part("ws://127.0.0.1:9", FakeBroker(), rule)


def test_what_is_unwise_is_said_and_so_is_a_life_without_memory(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edged.commands"):
        part("ws://127.0.0.1:9", FakeBroker(), CommandRuleSettings(topics=("#",), sender=ANYONE), is_lasting=False)

    said = " ".join(record.getMessage() for record in caplog.records)
    assert "commands.rules[0] lets everybody" in said
    assert "refused for the first 10 s" in said


def test_ordinary_rules_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sender = SenderSettings(metadata={"role": "operator"})
    with caplog.at_level(logging.INFO, "edged.commands"):
        part("ws://127.0.0.1:9", FakeBroker(), CommandRuleSettings(topics=("farm/#",), sender=sender))

    assert caplog.records == []
