"""Topics and patterns: nobody reaches a topic by what stands in its metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.commands.topics import LackingError, filled, reply_topic, selects, topic_fault, widest


@pytest.mark.parametrize(
    "topic", ["a", "farm/barn 1/heater/set", "a//b", "/a", "stadt/köln/set", "x" * 1024, "/" * 127]
)
def test_an_ordinary_topic_may_be_published_to(topic: str) -> None:
    assert topic_fault(topic) == ""


@pytest.mark.parametrize(
    "topic",
    [
        "", "a/+", "#", "a#", "$SYS/x", "$share/a", "a\0", "a\nb", "\x7f", "a\ud800", "x" * 1025, "ü" * 513,
        "a/\ufdd0", "a/\uffff", "a/\U0001fffe", "a/\U0010ffff", "/" * 128,
    ],
)  # fmt: skip
def test_a_topic_that_brokers_read_otherwise_may_not(topic: str) -> None:
    assert topic_fault(topic)


@pytest.mark.parametrize(
    ("pattern", "topic", "is_selected"),
    [
        ("farm/+/set", "farm/heater/set", True),
        ("farm/+/set", "farm/a/b/set", False),
        ("farm/#", "farm/a/b/set", True),
        ("farm/{sender.barn}/+/set", "farm/barn1/heater/set", True),
        ("farm/{sender.barn}/+/set", "farm/barn2/heater/set", False),
        ("farm/{sender.number}/set", "farm/7/set", True),
        ("farm/{sender.nothing}/set", "farm/x/set", False),
        ("#", "$SYS/x", False),
    ],
)
def test_a_pattern_selects_topics_of_its_sender(pattern: str, topic: str, is_selected: bool) -> None:
    assert selects(pattern, topic, {"barn": "barn1", "number": 7}) is is_selected


@pytest.mark.parametrize("value", ["+", "#", "a/b", "", "$SYS", "a\0", "x" * 129, None, True, 1.5, ["a"], {}, 2**60])
def test_metadata_that_means_something_in_a_filter_selects_nothing(value: object) -> None:
    assert not selects("farm/{sender.barn}/set", f"farm/{value}/set", {"barn": value})
    assert not selects("farm/{sender.barn}/set", "farm/x/set", {"barn": value})


@given(st.text(), st.text(alphabet="ab/+#$", min_size=1))
def test_one_level_of_metadata_stays_one_level(value: str, topic: str) -> None:
    if selects("a/{sender.x}/b", topic, {"x": value}):
        assert topic == f"a/{value}/b"
        assert topic.count("/") == 2


def test_a_pattern_is_widest_with_one_level_for_each_name() -> None:
    assert widest("farm/{sender.barn}/{sender.x}/#") == "farm/+/+/#"
    assert filled("farm/{sender.barn}/#", {"barn": "b"}) == "farm/b/#"


def test_a_reply_comes_where_the_template_says() -> None:
    def at(template: str, command_id: str = "c1") -> str:
        return reply_topic(template, "zigbee2mqtt/lamp/set", command_id, {"barn": "b1"})

    assert at("{topic}/reply") == "zigbee2mqtt/lamp/set/reply"
    assert at("{parent}") == "zigbee2mqtt/lamp"
    assert at("replies/{sender.barn}/{id}") == "replies/b1/c1"


@pytest.mark.parametrize(
    ("template", "topic", "command_id"),
    [
        ("r/{id}", "a/b", "+"),
        ("r/{id}", "a/b", "a/b"),
        ("r/{id}", "a/b", "\U0001fffe"),
        ("{parent}", "a", "1"),
        ("r/{sender.x}", "a", "1"),
    ],
)
def test_a_reply_that_cannot_be_heard_is_refused(template: str, topic: str, command_id: str) -> None:
    with pytest.raises(LackingError):
        reply_topic(template, topic, command_id, {})


def test_a_reply_topic_that_grew_too_long_is_refused() -> None:
    with pytest.raises(LackingError, match="1024 bytes"):
        reply_topic("{topic}/reply", "x" * 1024, "1", {})
