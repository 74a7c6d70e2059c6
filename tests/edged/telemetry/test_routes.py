"""Routes: filters select as a broker selects; the first route wins."""

from __future__ import annotations

import pytest

from edged.settings import RouteSettings
from edged.telemetry.routes import Destination, Router, matches, subscriptions


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/b"),
        ("a/#", "a"),
        ("a/#", "a/b/c"),
        ("#", "a/b"),
        ("+", "a"),
        ("+/b", "a/b"),
        ("+/+", "/a"),
        ("/+", "/a"),
        ("a/+/c", "a//c"),
        ("a/+", "a/"),
        ("$SYS/#", "$SYS/broker/load"),
        ("$SYS/+", "$SYS/x"),
        ("+/b/#", "a/b"),
    ],
)
def test_filter_selects(topic_filter, topic):
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/c"),
        ("a/b", "a/b/c"),
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("+", "a/b"),
        ("a/b/#", "a"),
        ("#", "$SYS/broker/load"),
        ("+/broker", "$SYS/broker"),
        ("+/#", "$SYS/broker"),
        ("A/b", "a/b"),
        ("/a", "a"),
    ],
)
def test_filter_does_not_select(topic_filter, topic):
    assert not matches(topic_filter, topic)


def test_first_matching_route_wins_and_an_empty_channel_means_the_default():
    router = Router(
        [
            RouteSettings(topic="house/door", channel="doors", payload="text"),
            RouteSettings(topic="house/#", payload="number"),
        ],
        "farm",
    )
    assert router.destination("house/door") == Destination("doors", "text")
    assert router.destination("house/temperature") == Destination("farm", "number")
    assert router.destination("barn/temperature") is None


def test_remembered_topics_are_bounded():
    router = Router([RouteSettings(topic="#")], "farm")
    for n in range(10_000):
        assert router.destination(f"t/{n}") == Destination("farm", "auto")
    assert len(router._remembered) <= 4096


def test_subscriptions_name_each_filter_once_with_its_highest_qos_and_no_qos_2():
    routes = [
        RouteSettings(topic="a/#", qos=0),
        RouteSettings(topic="b", qos=2),
        RouteSettings(topic="a/#", channel="x", qos=1),
        RouteSettings(topic="c", qos=0),
    ]
    assert subscriptions(routes) == (("a/#", 1), ("b", 1), ("c", 0))
