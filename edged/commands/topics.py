"""Topics of commands: what may be published to, which patterns select it, and where the reply comes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edged.topic_filters import matches

MAX_TOPIC_BYTES = 1024
MAX_TOPIC_LEVELS = 128
MAX_VALUE_CHARS = 128

_CAPTURE = re.compile(r"\{sender\.([A-Za-z0-9_-]+)\}")
_PLACE = re.compile(r"\{(topic|parent|id|sender\.[A-Za-z0-9_-]+)\}")
# A broker that finds a control character or a "noncharacter" of Unicode in a topic closes the connection it came by.
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_NOT_IN_TOPICS = re.compile(rf"[\x00-\x1f\x7f-\x9f+#\ud800-\udfff{_NONCHARACTERS}]")


class LackingError(Exception):
    """A place of a pattern cannot be filled in; the text names it."""


def topic_fault(topic: str) -> str:
    """Return why nobody may publish to this topic, or an empty string."""
    if not topic:
        return "topic must not be empty"
    # The first test is cheap, and keeps the second so.
    if len(topic) > MAX_TOPIC_BYTES or len(topic.encode("utf-8", "replace")) > MAX_TOPIC_BYTES:
        return f"topic has more than {MAX_TOPIC_BYTES} bytes"
    if topic.count("/") >= MAX_TOPIC_LEVELS:
        return f"topic has more than {MAX_TOPIC_LEVELS} levels"
    if topic.startswith("$"):
        return "topic must not begin with '$': those topics are the broker's own"
    if _NOT_IN_TOPICS.search(topic):
        return "topic must hold no '+', no '#', no control characters and none that Unicode keeps for itself"
    return ""


def widest(pattern: str) -> str:
    """Return the topic filter of all that a pattern may select, whoever sends."""
    return _CAPTURE.sub("+", pattern)


def filled(pattern: str, metadata: Mapping[str, Any]) -> str:
    """Return the topic filter that a pattern is for one sender. Raises LackingError."""
    return _CAPTURE.sub(lambda place: _value(place[1], metadata), pattern)


def selects(pattern: str, topic: str, metadata: Mapping[str, Any]) -> bool:
    """Say whether a pattern selects a topic for this sender; one whose metadata lacks a name is selected nothing."""
    try:
        return matches(filled(pattern, metadata), topic)
    except LackingError:
        return False


def reply_topic(template: str, topic: str, command_id: str, metadata: Mapping[str, Any]) -> str:
    """Return where the reply to a command comes. Raises LackingError."""

    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name == "topic":
            return topic
        if name == "parent":
            parent, slash, _ = topic.rpartition("/")
            if not slash:
                raise LackingError(
                    "the topic has one level only, so that there is no topic above it to hear a reply on"
                )
            return parent
        if name == "id":
            return _level(command_id, "id")
        return _value(name.removeprefix("sender."), metadata)

    whole = _PLACE.sub(place, template)
    if fault := topic_fault(whole):
        raise LackingError(f"the reply's {fault}")
    return whole


def _value(name: str, metadata: Mapping[str, Any]) -> str:
    value = metadata.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return str(value)
    if not isinstance(value, str):
        raise LackingError(f"the sender's metadata has no {name}")
    return _level(value, f"the sender's {name}")


def _level(value: str, what: str) -> str:
    if not 1 <= len(value) <= MAX_VALUE_CHARS or "/" in value or value.startswith("$") or _NOT_IN_TOPICS.search(value):
        raise LackingError(f"{what} cannot stand in a topic; letters, digits, '-' and '_' can")
    return value
