"""The settings of commands: who may publish what to the site's broker. Pure."""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edged import settings_checks as checks
from edged.settings_fields import required, section, setting

_CAPTURE = re.compile(r"\{sender\.[A-Za-z0-9_-]{1,64}\}")
_PLACES = re.compile(r"\{(?:topic|parent|id|sender\.[A-Za-z0-9_-]{1,64})\}")
_MAX_RULES = 256


def pattern_fault(pattern: str) -> str:
    """Check a topic pattern: an MQTT topic filter, in which {sender.NAME} may stand for one level."""
    levels = pattern.split("/")
    plain = "/".join("x" if _CAPTURE.fullmatch(level) else level for level in levels)
    if "{" in plain or "}" in plain:
        return "only {sender.NAME} is filled in, and stands alone in its level, as in farm/{sender.barn}/+/set"
    if plain.startswith("$"):
        return "topics that begin with '$' are the broker's own; commands to them are never allowed"
    return checks.topic_filter_fault(plain)


def _patterns_fault(patterns: tuple[str, ...]) -> str:
    if not patterns:
        return "must not be empty; list the topics that are allowed, for example [farm/+/set]"
    return next((fault for pattern in patterns if (fault := pattern_fault(pattern))), "")


def _channels_fault(channels: tuple[str, ...]) -> str:
    return next((fault for channel in channels if (fault := checks.required_channel_fault(channel))), "")


def _reply_topic_fault(template: str) -> str:
    plain = _PLACES.sub("x", template)
    if "{" in plain or "}" in plain:
        return "only {topic}, {parent} (the topic without its last level), {id} and {sender.NAME} are filled in"
    return checks.plain_topic_fault(plain) if template else ""


def _rules_fault(rules: tuple[Any, ...]) -> str:
    return f"at most {_MAX_RULES} rules are allowed; use + and # to cover more" if len(rules) > _MAX_RULES else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """Whom a rule speaks of. All that is given must hold; where nothing is given, nobody is meant."""

    anyone: bool = setting(False, "Everybody who may publish to the channel.")
    peers: tuple[str, ...] = setting((), "Peer ids; * is any run of characters. A key has a new id every time.")
    metadata: Mapping[str, Any] = section(
        lambda: MappingProxyType({}),
        "What the sender's token says of it (peerMetadata), for example {role: operator}; a list is any of them.",
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a rule for everybody that also asks for somebody, and one that means nobody."""
        if self.anyone and (self.peers or self.metadata):
            yield "anyone", "is of no use together with peers or metadata; remove it, or them"
        for name, wanted in self.metadata.items():
            if wanted is None or wanted in ([], ()):
                yield f"metadata.{name}", "is empty, so that nobody is meant; say what the sender's token must say"
            if isinstance(wanted, Mapping):
                yield (
                    f"metadata.{name}",
                    "is compared as a whole; give a text, a number, true, false, or a list of them",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRuleSettings:
    """What some senders may publish. The first rule that fits topic and sender is taken; what none allows is denied."""

    topics: tuple[str, ...] = required(
        "MQTT topic filters; {sender.NAME} is one level, filled from the sender's metadata.", check=_patterns_fault
    )
    sender: SenderSettings = section(SenderSettings, "Who may; without it nobody.")
    payload: str = setting(
        "auto",
        "How the payload is written: json, text (a text as it is), number, or auto (a text as it is, else json).",
        choices=("auto", "json", "number", "text"),
    )
    schema: Mapping[str, Any] = section(
        lambda: MappingProxyType({}), "JSON schema (draft 7) that the payload must fit, for example {type: number}."
    )
    schema_file: str = setting("", "File that holds the schema as JSON, instead of `schema`.", is_path=True)
    max_bytes: int = setting(4096, "Bytes of the payload, at most.", minimum=0, maximum=65536)
    rate_per_s: float = setting(2.0, "Commands a second from one sender, in the long run.", minimum=0.001, maximum=50)
    burst: int = setting(5, "Commands a sender may give at once.", minimum=1, maximum=100)
    max_age_s: float = setting(
        10.0, "Longest life of a command, and that of one which claims none; later it is refused.", minimum=0.1,
        maximum=300,
    )  # fmt: skip
    reply_topic: str = setting(
        "",
        "Topic the device answers on; {topic}, {parent} (without its last level), {id} and {sender.NAME} are filled "
        "in. Empty: the broker's acknowledgement is the answer.",
        check=_reply_topic_fault,
    )
    timeout_s: float = setting(
        5.0, "Seconds the broker's acknowledgement, or the reply, may take.", minimum=0.1, maximum=60
    )
    echo: bool = setting(False, "Let telemetry.routes take the command as a reading, too.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find rules that fit nothing, and two schemas."""
        sender = self.sender
        if not (sender.anyone or sender.peers or sender.metadata):
            yield "sender", "allows nobody; give sender.metadata, sender.peers, or sender.anyone: true"
        if self.schema and self.schema_file:
            yield "schema_file", "given together with schema; keep one of the two"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """From a channel to MQTT topics. Without rules nothing is listened to."""

    channels: tuple[str, ...] = setting(
        (), "Channels that commands are taken from; empty: `hub.channel` with /commands behind it.",
        check=_channels_fault,
    )  # fmt: skip
    rules: tuple[CommandRuleSettings, ...] = setting(
        (), "Who may publish what; what no rule allows is denied.", check=_rules_fault
    )
    link_check_s: float = setting(
        5.0,
        "Seconds between two looks whether the link to the hub is alive, so that nothing old is carried out.",
        minimum=0.5,
        maximum=60,
    )


def command_channels(settings: CommandSettings, hub_channel: str) -> tuple[str, ...]:
    """Return the channels that commands are taken from, each once."""
    return tuple(dict.fromkeys(settings.channels)) or (f"{hub_channel}/commands",)


def unwise(settings: CommandSettings) -> Iterator[str]:
    """Yield sentences about what is allowed here and should not be."""
    for index, rule in enumerate(settings.rules):
        wide = [pattern for pattern in rule.topics if pattern.split("/")[0] in {"#", "+"}]
        sender = rule.sender
        if wide and (sender.anyone or ("*" in sender.peers and not sender.metadata)):
            yield (
                f"commands.rules[{index}] lets everybody in the channel publish to {wide[0]!r}: "
                "name the topics, and ask for a sender.metadata role"
            )
