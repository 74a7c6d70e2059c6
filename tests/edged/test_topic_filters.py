"""Filters as the broker understands them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.topic_filters import is_exact, matches, overlap, topic_fault

LEVELS = st.sampled_from(["a", "b", "", "+"])
FILTERS = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(LEVELS, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
)
TOPICS = st.lists(st.sampled_from(["a", "b", "", "c"]), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("+", "", True),
        ("a/+", "a", False),
    ],
)
def test_a_filter_selects_topics(topic_filter, topic, expected):
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        ("a/b", ""),
        ("/", ""),
        ("$SYS/x", ""),
        ("ü" * 32767, ""),
        ("", "not empty"),
        ("a/+", "is a filter"),
        ("a#", "is a filter"),
        ("a\x00", "no zero character"),
        ("ü" * 32768, "at most 65535 bytes"),
    ],
)
def test_what_no_message_can_have_as_its_topic_is_told(topic, fault):
    assert fault in topic_fault(topic)
    assert bool(fault) == bool(topic_fault(topic))


def test_an_exact_filter_has_no_wildcard():
    assert [is_exact(found) for found in ("a/b", "a/+", "#")] == [True, False, False]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/#", "a", True),
        ("a/+", "+/b", True),
        ("a/+", "b/+", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/#", False),
        ("$SYS/#", "$SYS/+", True),
        ("a/b", "a", False),
        ("a", "a/b", False),
    ],
)
def test_filters_overlap(one, other, expected):
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@given(FILTERS, FILTERS, TOPICS)
def test_filters_that_share_a_topic_overlap(one, other, topic):
    if matches(one, topic) and matches(other, topic):
        assert overlap(one, other)
