"""Routes: the first that matches wins, and its template makes the channel, within bounds."""

from __future__ import annotations

import pytest

from edged.settings import RouteSettings
from edged.telemetry.reading import HIGH, LOW, NORMAL
from edged.telemetry.routes import CHANNEL_IDLE_MS, MAX_CHANNELS, MadeChannels, Router, subscriptions


def test_first_matching_route_wins_and_an_empty_channel_means_the_default():
    router = Router(
        [
            RouteSettings(topic="house/door", channel="doors", payload="text"),
            RouteSettings(topic="house/#", payload="number"),
        ],
        "farm",
    )
    door, temperature = router.way("house/door"), router.way("house/temperature")
    assert (door.channel, door.route.index, door.route.settings.payload) == ("doors", 0, "text")
    assert (temperature.channel, temperature.route.index) == ("farm", 1)
    assert router.way("barn/temperature") is None


def test_a_named_level_makes_the_channel():
    router = Router([RouteSettings(topic="farm/{barn}/{path...}", channel="farm-{barn}/{path}")], "x")
    way = router.way("farm/b1/temp/air")
    assert (way.channel, way.fault, way.is_made) == ("farm-b1/temp/air", "", True)
    assert not Router([RouteSettings(topic="farm/{barn}")], "x").way("farm/b1").is_made


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        ("farm/a\x07b", "control characters"),
        ("farm/_METERED/x", "reserved"),
        ("farm/" + "x" * 257, "at most 256 characters"),
        ("farm/" + "ü" * 129, "at most 256 bytes"),
        ("farm", "must not be empty"),
    ],
)
def test_a_topic_that_makes_no_channel_name_is_known_with_its_fault(topic, fault):
    assert fault in Router([RouteSettings(topic="farm/{name...}", channel="{name}")], "x").way(topic).fault


def test_what_the_gateway_publishes_itself_is_no_reading():
    router = Router([RouteSettings(topic="#")], "farm", own_topics=["edged/farm-1/#", "homeassistant/+/farm-1/config"])
    assert router.way("edged/farm-1/state").is_own
    assert router.way("homeassistant/sensor/farm-1/config").is_own
    assert not router.way("edged/farm-2/state").is_own


def test_priorities_are_lanes():
    routes = [RouteSettings(topic=name, priority=name) for name in ("low", "normal", "high")]
    assert [route.lane for route in Router(routes, "farm").routes] == [LOW, NORMAL, HIGH]


def test_remembered_topics_are_bounded():
    router = Router([RouteSettings(topic="#")], "farm", max_topics=100)
    for n in range(10_000):
        assert router.way(f"t/{n}").channel == "farm"
    assert len(router._remembered) == 100


def test_long_topics_of_a_stranger_find_their_way_and_are_not_remembered():
    router = Router([RouteSettings(topic="t/{name...}", channel="c{name}")], "farm")
    assert router.way("t/" + "x" * 200).channel == "c" + "x" * 200
    assert "at most 256" in router.way("t/" + "x" * 60_000).fault
    assert [len(topic) for topic in router._remembered] == [202]


def test_topics_make_a_bounded_number_of_channels():
    channels = MadeChannels([RouteSettings(topic="a", channel="fixed"), RouteSettings(topic="{b}", channel="{b}")])
    admitted = [channels.admit(f"c{n}", n) for n in range(200)]
    assert admitted.count(True) == len(channels) == MAX_CHANNELS - 1
    assert channels.admit("c0", 200)
    assert not channels.admit("c150", 200)


def test_a_channel_that_was_idle_for_an_hour_makes_room():
    channels = MadeChannels([])
    for n in range(MAX_CHANNELS):
        channels.admit(f"c{n}", 0)
    assert channels.admit("c0", 1000)
    assert not channels.admit("new", CHANNEL_IDLE_MS - 1)
    assert channels.admit("new", CHANNEL_IDLE_MS)
    assert channels.admit("c0", CHANNEL_IDLE_MS)
    assert channels.admit("c1", CHANNEL_IDLE_MS)
    assert len(channels) == MAX_CHANNELS


def test_subscriptions_name_each_plain_filter_once_with_its_highest_qos_and_no_qos_2():
    routes = [
        RouteSettings(topic="a/#", qos=0),
        RouteSettings(topic="b", qos=2),
        RouteSettings(topic="a/{rest...}", channel="x", qos=1),
        RouteSettings(topic="c/{name}/d", qos=0),
    ]
    assert subscriptions(routes) == (("a/#", 1), ("b", 1), ("c/+/d", 0))
