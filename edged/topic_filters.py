"""MQTT topic filters as the broker understands them (MQTT 5 section 4.7). Pure."""

from __future__ import annotations

_MAX_TOPIC_BYTES = 65535


def matches(topic_filter: str, topic: str) -> bool:
    """Say whether an MQTT topic filter selects a topic."""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted = topic_filter.split("/")
    given = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        # `a/#` selects `a` itself as well.
        if len(given) < len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in {"+", g} for w, g in zip(wanted, given, strict=True))


def topic_fault(topic: str) -> str:
    """Return why no message can have a topic, or an empty string."""
    if not topic:
        return "a topic is not empty"
    if "+" in topic or "#" in topic:
        return "this is a filter: a message has a topic without '+' and '#'"
    if "\x00" in topic or len(topic.encode()) > _MAX_TOPIC_BYTES:
        return f"a topic holds no zero character and at most {_MAX_TOPIC_BYTES} bytes"
    return ""


def is_exact(topic_filter: str) -> bool:
    """Say whether a filter selects one topic only."""
    return "+" not in topic_filter and "#" not in topic_filter


def overlap(one: str, other: str) -> bool:
    """Say whether some topic is selected by both filters."""
    if (one[:1] == "$") != (other[:1] == "$") and (one[:1] in {"+", "#"} or other[:1] in {"+", "#"}):
        return False
    left, right = one.split("/"), other.split("/")
    for index in range(max(len(left), len(right))):
        # `a/#` selects `a` itself: a filter may end one level before the other's "#".
        here = left[index] if index < len(left) else None
        there = right[index] if index < len(right) else None
        if "#" in {here, there}:
            return True
        if here is None or there is None:
            return False
        if here != there and "+" not in {here, there}:
            return False
    return True


def covers(wide: str, narrow: str) -> bool:
    """Say whether every topic that `narrow` selects is selected by `wide` too."""
    if narrow[:1] in {"+", "#"}:
        if wide[:1] == "$":
            return False
    elif narrow[:1] == "$" and wide[:1] in {"+", "#"}:
        return False
    # "+/#" selects what "#" does: a topic has a first level always.
    left, right = ["#"] if wide == "+/#" else wide.split("/"), narrow.split("/")
    for index, here in enumerate(left):
        if here == "#":
            return True
        there = right[index] if index < len(right) else None
        if there is None or there == "#" or here not in {there, "+"}:
            return False
    return len(left) == len(right)


def mismatch(topic_filter: str, topic: str) -> str:
    """Say at which level a filter and a topic part, or an empty string where the filter selects it."""
    if matches(topic_filter, topic):
        return ""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return "topics that begin with '$' are selected only by filters that do"
    wanted, given = topic_filter.split("/"), topic.split("/")
    for number, (here, there) in enumerate(zip(wanted, given, strict=False), 1):
        if here not in {"+", "#", there}:
            return f"level {number} is {there!r}, not {here!r}"
    if len(given) < len(wanted):
        return f"the topic ends after level {len(given)}, the filter does not"
    return f"the filter ends after level {len(wanted)}, the topic does not"
