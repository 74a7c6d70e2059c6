"""What the broker does with an order becomes an honest answer, and no order is ever handed over twice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from edged.errors import (
    BrokerLostError,
    BrokerNotConnectedError,
    BrokerRefusedError,
    NoReplyError,
    PublicationLateError,
)
from edged.settings_commands import CommandRuleSettings
from metered_realtime import ServerRequestError
from tests.edged.commands.fakes import ANYONE, Site

WITH_REPLY = CommandRuleSettings(topics=("farm/#",), sender=ANYONE, reply_topic="{topic}/reply", timeout_s=0.1)


@contextlib.asynccontextmanager
async def running(site: Site) -> AsyncIterator[Site]:
    task = asyncio.create_task(site.relay.run(lambda _detail: None))
    await asyncio.sleep(0)
    try:
        yield site
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_command_is_published_once_and_answered_when_the_broker_has_it() -> None:
    async with running(Site()) as site:
        site.give(ttl_s=4)

        assert (await site.answer())["ok"]
        ((topic, payload, facts),) = site.broker.published
        assert (topic, payload) == ("farm/x", b"on")
        assert facts == {"qos": 1, "retain": False, "expires_s": 4}
        assert site.echoed == []


async def test_a_reply_of_the_device_is_the_answer() -> None:
    async with running(Site(WITH_REPLY)) as site:
        site.broker.answer = lambda: b'{"t": 21.5}'
        site.give()

        assert (await site.answer())["reply"] == {"t": 21.5}
        assert site.broker.published[0][2] == {"reply_topic": "farm/x/reply", "timeout_s": 0.1, "expires_s": 10}


@pytest.mark.parametrize(
    ("error", "reason", "may_be_done"),
    [
        (BrokerNotConnectedError("10.0.0.7 is not connected"), "broker_unreachable", False),
        (BrokerRefusedError("10.0.0.7 does not allow it"), "broker_refused", False),
        (PublicationLateError("expired"), "late", False),
        (BrokerLostError("10.0.0.7 is gone"), "unknown", True),
        (TimeoutError("silent"), "unknown", True),
        (NoReplyError("nobody answered"), "timeout", True),
    ],
)
async def test_a_failure_is_answered_with_what_it_means(error: Exception, reason: str, may_be_done: bool) -> None:
    def fail() -> bytes:
        raise error

    async with running(Site()) as site:
        site.broker.answer = fail
        site.give()
        first = await site.answer()
        assert (first["ok"], first["reason"]) == (False, reason)
        assert ("may have been carried out" in first["message"]) is may_be_done
        assert "10.0.0.7" not in first["message"], "nobody is told where the broker is"

        site.give()
        assert await site.answer() == first
        assert len(site.broker.published) == 1, "never a second time"


@pytest.mark.parametrize("rules", [(), (WITH_REPLY,)])
async def test_a_broker_that_says_nothing_leaves_it_unknown(rules: tuple[CommandRuleSettings, ...]) -> None:
    async with running(Site(*rules)) as site:
        site.broker.answer = None
        site.give()

        answer = await site.answer()
        assert (answer["ok"], answer["reason"]) == (False, "unknown")
        assert site.intake.pending == 0


async def test_what_expires_before_its_task_runs_is_not_published() -> None:
    async with running(Site()) as site:
        site.give(ttl_s=5)
        site.now_s += 5

        assert (await site.answer())["reason"] == "late"
        assert site.broker.published == []


async def test_an_echo_is_taken_as_a_reading_only_when_it_was_carried_out() -> None:
    rule = CommandRuleSettings(topics=("farm/#",), sender=ANYONE, echo=True)
    async with running(Site(rule)) as site:
        site.give("a")
        await site.answer()
        assert site.echoed == [("farm/x", b"on")]

        site.give("b", "house/x")
        await site.answer()
        assert len(site.echoed) == 1


async def test_orders_go_on_while_the_hub_is_away_and_the_answer_is_there_for_who_asks_again() -> None:
    async with running(Site()) as site:
        site.relay.link_down()
        site.give()
        await site.broker.asked.wait()
        while site.intake.pending:
            await asyncio.sleep(0)
        assert site.relay.unsent == 1

        site.relay.link_up(site.send)
        site.give()
        assert (await site.answer())["ok"]
        assert len(site.broker.published) == 1


async def test_a_sender_who_has_left_is_no_trouble() -> None:
    async with running(Site()) as site:

        async def fail(_peer_id: str, _message: Mapping[str, Any]) -> None:
            raise ServerRequestError("peer_not_found", "no such peer", "r1")

        site.relay.link_up(fail)
        site.give("a")
        while not site.relay.unsent:
            await asyncio.sleep(0)
        site.relay.link_up(site.send)
        site.give("b")
        assert (await site.answer())["id"] == "b"


async def test_answers_that_the_hub_does_not_take_are_dropped_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.commands.relay.MAX_SENDING", 2)
    async with running(Site()) as site:

        async def wait(_peer_id: str, _message: Mapping[str, Any]) -> None:
            await asyncio.Event().wait()

        site.relay.link_up(wait)
        for number in range(3):
            site.give(f"c{number}", "house/x")
        assert site.relay.unsent == 1


async def test_a_stop_leaves_what_is_under_way_as_unknown() -> None:
    site = Site()
    site.broker.answer = None
    async with running(site):
        site.give()
        await site.broker.asked.wait()

    assert site.intake.pending == 0
    assert site.audit.figures()["outcomes"] == {"unknown": 1}
    site.give("late")
    assert site.audit.figures()["received"] == 1, "a relay that is stopped takes nothing"


async def test_each_outcome_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edged.commands"):
        async with running(Site()) as site:
            site.give("a")
            await site.answer()
            site.give("b", "house/x")
            await site.answer()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "command of peer-1 farm/x id a: ok"
    assert lines[1].startswith("command of peer-1 house/x id b: unknown_topic (")


async def test_ten_thousand_commands_a_second_of_one_sender_leave_time_for_others() -> None:
    async with running(Site()) as site:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for number in range(10_000):
            site.give(f"c{number}", "house/x", sender="flood")
        spent_s = loop.time() - begun_s
        site.give("mine")
        answers = [await site.answer() for _ in range(site.told.qsize() or 1)]
        while answers[-1]["id"] != "mine":
            answers.append(await site.answer())
        assert answers[-1]["ok"]
        assert spent_s < 1
