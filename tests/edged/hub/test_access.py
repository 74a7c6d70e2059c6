"""What a key may do, in which channels."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.hub.access import Access, matches


@pytest.mark.parametrize(
    ("pattern", "channel", "expected"),
    [
        ("farm", "farm", True),
        ("farm", "farm2", False),
        ("farm", "Farm", False),
        ("farm/*", "farm/yard", True),
        ("farm/*", "farm/yard/gate", False),
        ("farm/*", "farm", False),
        ("farm/**", "farm/yard/gate", True),
        ("farm/**", "farm", False),
        ("*", "farm", True),
        ("*", "farm/yard", False),
        ("**", "farm/yard", True),
        ("*/temperature", "green/temperature", True),
        ("**/temperature", "a/b/temperature", True),
        ("farm-*/cam", "farm-12/cam", True),
        ("a*b*c", "a1b2c", True),
        ("a*b*c", "a/b/c", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("line*", "line\n", True),
    ],
)
def test_patterns(pattern: str, channel: str, expected: bool):
    assert matches(pattern, channel) is expected


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=8))
def test_patterns_agree_with_regular_expressions(pattern: str, channel: str):
    tokens = re.findall(r"\*{2,}|\*|.", pattern)
    translated = "".join({"*": "[^/]*"}.get(token, ".*" if "**" in token else re.escape(token)) for token in tokens)

    assert matches(pattern, channel) is (re.fullmatch(translated, channel) is not None)


def test_hostile_pattern_costs_no_exponential_time():
    assert not matches("*a" * 120 + "b", "a" * 256)


def test_default_access_allows_everything_but_what_is_reserved():
    access = Access()

    assert access.refusal("publish", "any/channel") is None
    assert access.refusal("publish", "_Internal/x") == "channel_reserved"
    assert access.may("send")


def test_refusal_names_the_missing_action_before_the_channel():
    access = Access(frozenset({"subscribe"}), ("farm/*",))

    assert access.refusal("publish", "elsewhere") == "action_not_permitted"
    assert access.refusal("subscribe", "elsewhere") == "channel_not_authorized"
    assert access.refusal("subscribe", "farm/x") is None
    assert access.refusal("subscribe", "x" * 257) == "invalid_channel"
    assert not access.may("send")
