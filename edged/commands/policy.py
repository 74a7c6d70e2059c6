"""What is allowed: the first rule that fits topic and sender decides, and what none allows is denied. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.commands.messages import Answer, Command, refused
from edged.commands.payloads import encode
from edged.commands.rates import Rates
from edged.commands.topics import LackingError, reply_topic, selects, widest
from edged.settings_commands import CommandRuleSettings, SenderSettings
from edged.topic_filters import matches

Validate = Callable[[Any], str]
"""Takes a payload, and returns what is wrong with it, or an empty string."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a command, in the words of the hub; `metadata` is what its token says.

    Who sends directly has not shown that it may publish to the channel: a hub passes such messages on for everybody.
    """

    peer_id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_direct: bool = False


@dataclass(frozen=True, slots=True)
class Now:
    """This moment: seconds of a clock that never stops or jumps, and the wall clock with whether it is set."""

    uptime_s: float
    wall_ms: int
    is_clock_set: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A command that is allowed: what is to be published, and until when."""

    topic: str
    payload: bytes
    expires_at_s: float
    timeout_s: float
    reply_topic: str = ""
    echo: bool = False


@dataclass(frozen=True, slots=True)
class _Rule:
    settings: CommandRuleSettings
    validate: Validate
    peers: tuple[re.Pattern[str], ...]
    filters: tuple[str, ...]


class Policy:
    """The rules, each with the check of its schema, and how much of its rate each sender has used."""

    def __init__(self, rules: Sequence[tuple[CommandRuleSettings, Validate]]) -> None:
        self._rules = tuple(
            _Rule(
                settings,
                validate,
                tuple(_peer_pattern(pattern) for pattern in settings.sender.peers),
                tuple(widest(pattern) for pattern in settings.topics),
            )
            for settings, validate in rules
        )
        self._rates = Rates()

    def decide(self, command: Command, sender: Sender, now: Now, waited_s: float) -> Order | Answer:
        """Return what is to be done, or why nothing is. `waited_s`: how long it may have been under way unseen."""
        fitting = [
            (number, rule)
            for number, rule in enumerate(self._rules)
            if any(matches(one, command.topic) for one in rule.filters)
        ]
        if not fitting:
            return refused("unknown_topic", "no rule of this gateway names the topic")
        found = next(((number, rule) for number, rule in fitting if _is_allowed(rule, command.topic, sender)), None)
        if found is None:
            return refused("denied", "no rule of this gateway lets this sender publish to the topic")
        number, rule = found
        settings = rule.settings
        if not self._rates.take(
            (number, sender.peer_id), per_s=settings.rate_per_s, burst=settings.burst, now_s=now.uptime_s
        ):
            return refused("too_many", f"more than {settings.rate_per_s:g} commands a second; send fewer")
        life = _life_s(command, settings.max_age_s, now, waited_s)
        if isinstance(life, Answer):
            return life
        return _order(command, rule, sender, now.uptime_s + life)


def _peer_pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _is_allowed(rule: _Rule, topic: str, sender: Sender) -> bool:
    return _is_meant(rule.settings.sender, rule.peers, sender) and any(
        selects(pattern, topic, sender.metadata) for pattern in rule.settings.topics
    )


def _is_meant(wanted: SenderSettings, peers: tuple[re.Pattern[str], ...], sender: Sender) -> bool:
    if wanted.anyone:
        return not sender.is_direct
    if peers and not any(pattern.fullmatch(sender.peer_id) for pattern in peers):
        return False
    if not all(_is_one_of(sender.metadata.get(name), value) for name, value in wanted.metadata.items()):
        return False
    return bool(peers or wanted.metadata)


def _is_one_of(given: Any, wanted: Any) -> bool:
    """Compare as JSON does: true is not 1, and nothing given is equal to nothing."""
    candidates = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return any(
        given is not None and given == one and isinstance(given, bool) == isinstance(one, bool) for one in candidates
    )


def _life_s(command: Command, max_age_s: float, now: Now, waited_s: float) -> float | Answer:
    """Return the seconds a command has left, counted from now; a life longer than the rule's is cut."""
    allowed_s = max_age_s if command.ttl_s is None else min(max_age_s, command.ttl_s)
    life_s = allowed_s - waited_s
    if life_s <= 0:
        return refused("late", f"it may have been under way for {waited_s:.1f} s, and may live for {allowed_s:g} s")
    if command.expires_ms is None:
        return life_s
    if not now.is_clock_set:
        return refused("clock_unset", "the gateway's clock is not set, so expires_ms means nothing to it; give ttl_s")
    left_s = (command.expires_ms - now.wall_ms) / 1000
    if left_s <= 0:
        return refused("late", f"by the gateway's clock it expired {-left_s:.1f} s ago; give ttl_s if clocks differ")
    return min(life_s, left_s)


def _order(command: Command, rule: _Rule, sender: Sender, expires_at_s: float) -> Order | Answer:
    settings = rule.settings
    payload = encode(settings.payload, command.payload, settings.max_bytes)
    if isinstance(payload, Answer):
        return payload
    if fault := rule.validate(command.payload):
        return refused("bad_payload", fault)
    try:
        reply = (
            reply_topic(settings.reply_topic, command.topic, command.id, sender.metadata)
            if settings.reply_topic
            else ""
        )
    except LackingError as error:
        return refused("denied", str(error))
    return Order(command.topic, payload, expires_at_s, settings.timeout_s, reply, settings.echo)
