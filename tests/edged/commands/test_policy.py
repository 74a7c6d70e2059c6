"""Deny by default; and everything a rule asks for is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edged.commands.messages import Answer, Command
from edged.commands.policy import Now, Order, Policy, Sender
from edged.commands.schema import anything, compiled
from edged.settings_commands import CommandRuleSettings, SenderSettings

NOW = Now(1000.0, 1_700_000_000_000, True)
ANYONE = SenderSettings(anyone=True)
OPERATOR = Sender("peer-1", {"role": "operator", "barn": "b1"})


def rule(*topics: str, sender: SenderSettings = ANYONE, **more: Any) -> CommandRuleSettings:
    return CommandRuleSettings(topics=topics or ("farm/+/set",), sender=sender, **{"burst": 100, **more})


def policy(*rules: CommandRuleSettings) -> Policy:
    return Policy([(one, compiled(dict(one.schema), "x") if one.schema else anything) for one in rules])


def decide(
    rules: CommandRuleSettings | Policy,
    topic: str = "farm/heater/set",
    *,
    payload: Any = "on",
    sender: Sender = OPERATOR,
    now: Now = NOW,
    waited_s: float = 0.0,
    **fields: Any,
) -> Order | Answer:
    judge = rules if isinstance(rules, Policy) else policy(rules)
    return judge.decide(Command("c1", topic, payload, **fields), sender, now, waited_s)


def reason(found: Order | Answer) -> str:
    assert isinstance(found, Answer), found
    assert not found.ok
    assert found.message
    return found.reason


def order(found: Order | Answer) -> Order:
    assert isinstance(found, Order), found
    return found


def test_without_rules_everything_is_denied() -> None:
    assert reason(decide(policy())) == "unknown_topic"


def test_a_rule_that_names_nobody_allows_nobody() -> None:
    assert reason(decide(rule(sender=SenderSettings()))) == "denied"


def test_an_allowed_command_becomes_an_order() -> None:
    found = order(decide(rule(timeout_s=3, reply_topic="{parent}/reply", echo=True), payload={"on": 1}))

    assert found == Order("farm/heater/set", b'{"on":1}', 1010.0, 3, "farm/heater/reply", True)


def meant(**conditions: Any) -> CommandRuleSettings:
    return rule(sender=SenderSettings(**conditions))


@pytest.mark.parametrize(
    ("conditions", "metadata", "is_allowed"),
    [
        ({"metadata": {"role": "operator"}}, {"role": "operator"}, True),
        ({"metadata": {"role": "operator"}}, {"role": "viewer"}, False),
        ({"metadata": {"role": "operator"}}, {}, False),
        ({"metadata": {"role": ["operator", "admin"]}}, {"role": "admin"}, True),
        ({"metadata": {"role": ["operator", "admin"]}}, {"role": ["operator", "admin"]}, False),
        ({"metadata": {"role": "operator", "site": 1}}, {"role": "operator", "site": 1}, True),
        ({"metadata": {"role": "operator", "site": 1}}, {"role": "operator"}, False),
        ({"metadata": {"site": 1}}, {"site": True}, False),
        ({"metadata": {"may": True}}, {"may": 1}, False),
        ({"metadata": {"role": None}}, {}, False),
        ({"metadata": {"role": []}}, {"role": "operator"}, False),
        ({"peers": ("peer-*",)}, {}, True),
        ({"peers": ("Peer-*", "eer-1", "peer-")}, {}, False),
        ({"peers": ("peer-1",), "metadata": {"role": "operator"}}, {}, False),
        ({"peers": ("peer-1",), "metadata": {"role": "operator"}}, {"role": "operator"}, True),
    ],
)
def test_a_rule_is_for_those_it_names(
    conditions: dict[str, Any], metadata: Mapping[str, Any], is_allowed: bool
) -> None:
    found = decide(meant(**conditions), sender=Sender("peer-1", metadata))

    assert isinstance(found, Order) is is_allowed
    if not is_allowed:
        assert reason(found) == "denied"


def test_who_sends_directly_has_not_shown_that_it_may_publish_to_the_channel() -> None:
    def found(sender: SenderSettings) -> Order | Answer:
        return decide(rule(sender=sender), sender=Sender("peer-1", {"role": "operator"}, is_direct=True))

    assert reason(found(ANYONE)) == "denied"
    assert order(found(SenderSettings(metadata={"role": "operator"})))
    assert order(found(SenderSettings(peers=("peer-1",))))


def test_a_topic_of_ones_own_is_found_by_the_metadata() -> None:
    own = rule("farm/{sender.barn}/+/set")

    assert order(decide(own, "farm/b1/heater/set"))
    assert reason(decide(own, "farm/b2/heater/set")) == "denied"
    assert reason(decide(own, "farm/b1/heater/set", sender=Sender("p"))) == "denied"
    assert reason(decide(own, "house/b1/heater/set")) == "unknown_topic"


def test_the_first_rule_that_fits_topic_and_sender_is_taken() -> None:
    strict = rule("farm/heater/set", sender=SenderSettings(metadata={"role": "admin"}), payload="text")
    loose = rule("farm/#", payload="number")
    both = policy(strict, loose)

    assert order(decide(both, payload=5)).payload == b"5"
    assert reason(decide(both, payload=5, sender=Sender("p", {"role": "admin"}))) == "bad_payload"


def test_a_life_is_what_is_claimed_and_never_more_than_the_rule_allows() -> None:
    assert order(decide(rule(max_age_s=10))).expires_at_s == 1010
    assert order(decide(rule(max_age_s=10), ttl_s=2)).expires_at_s == 1002
    assert order(decide(rule(max_age_s=10), ttl_s=3600)).expires_at_s == 1010
    assert order(decide(rule(max_age_s=10), expires_ms=NOW.wall_ms + 4000)).expires_at_s == 1004
    assert order(decide(rule(max_age_s=10), expires_ms=2**53)).expires_at_s == 1010
    assert order(decide(rule(max_age_s=10), ttl_s=2, expires_ms=NOW.wall_ms + 4000)).expires_at_s == 1002


def test_what_may_have_waited_longer_than_its_life_is_late() -> None:
    assert order(decide(rule(max_age_s=10), waited_s=4)).expires_at_s == 1006
    assert reason(decide(rule(max_age_s=10), waited_s=10)) == "late"
    assert reason(decide(rule(max_age_s=10), ttl_s=2, waited_s=3)) == "late"
    assert reason(decide(rule(max_age_s=10), expires_ms=NOW.wall_ms + 5000, waited_s=60)) == "late"
    assert reason(decide(rule(), expires_ms=NOW.wall_ms)) == "late"


def test_without_a_clock_only_a_life_in_seconds_can_be_judged() -> None:
    unset = Now(1000.0, 5, False)

    assert reason(decide(rule(), expires_ms=NOW.wall_ms + 5000, now=unset)) == "clock_unset"
    assert reason(decide(rule(), expires_ms=NOW.wall_ms + 5000, ttl_s=5, now=unset)) == "clock_unset"
    assert order(decide(rule(), ttl_s=5, now=unset)).expires_at_s == 1005


def test_a_payload_must_fit_kind_size_and_schema() -> None:
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}

    assert reason(decide(rule(payload="number"), payload="5")) == "bad_payload"
    assert reason(decide(rule(max_bytes=1), payload="on")) == "too_large"
    assert reason(decide(rule(schema=schema), payload={"on": 1})) == "bad_payload"
    found = decide(rule(schema=schema), payload={})
    assert isinstance(found, Answer)
    assert found.message == "payload must contain ['on'] properties"
    assert order(decide(rule(schema=schema), payload={"on": True}))


def test_a_reply_topic_that_cannot_be_filled_denies() -> None:
    assert reason(decide(rule(reply_topic="r/{sender.floor}"))) == "denied"


def test_each_sender_has_a_rate_of_its_own_for_each_rule() -> None:
    judge = policy(rule("a", burst=2, rate_per_s=1), rule("b", burst=1, rate_per_s=1))

    outcomes = [isinstance(decide(judge, "a"), Order) for _ in range(3)]
    assert outcomes == [True, True, False]
    assert reason(decide(judge, "a")) == "too_many"
    assert order(decide(judge, "b"))
    assert order(decide(judge, "a", sender=Sender("other")))
    assert order(decide(judge, "a", now=Now(1001.0, NOW.wall_ms, True)))
