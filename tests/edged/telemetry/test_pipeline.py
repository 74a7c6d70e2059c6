"""The way of a message through its route, and the account of what became of it."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.settings import RouteSettings, TelemetrySettings
from edged.settings_routes import BatchSettings
from edged.telemetry.moments import Moment
from edged.telemetry.payload import PayloadError
from edged.telemetry.pipeline import HeldBack, Pipeline
from edged.telemetry.reading import HIGH, LOW, NORMAL

WALL_MS = 1_790_000_000_000
NOW = Moment("6c1f", 5_000, WALL_MS, True)


@dataclass
class Sent:
    topic: str
    payload: bytes
    retain: bool = False


class Road:
    """A pipeline with the routes of a test."""

    def __init__(self, *routes, default_channel="farm", **options):
        settings = {key: options.pop(key) for key in ("topics",) if key in options}
        routes = tuple(RouteSettings(**route) for route in routes)
        self.pipeline = Pipeline(TelemetrySettings(routes=routes, **settings), default_channel, **options)
        self.numbers = count(1)

    def take(self, topic, payload, now=NOW, *, retain=False, is_owed=False):
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.pipeline.process(Sent(topic, payload, retain), now, f"g/b/{next(self.numbers)}", is_owed=is_owed)

    def refused(self, *words, **options):
        with pytest.raises(PayloadError) as caught:
            self.take(*words, **options)
        return caught.value

    def said(self, *words, **options):
        """Return the reading as a reader gets it, without id and topic."""
        reading = json.loads(self.take(*words, **options).body)
        del reading["id"], reading["topic"]
        return reading

    @property
    def counts(self):
        return self.pipeline.counts[0]


def test_a_plain_route_sends_the_payload_with_the_time_of_receipt():
    reading = Road({"topic": "#"}).take("barn/t", b"21.5")
    assert reading.channel == "farm"
    assert (reading.lane, reading.keep_s, reading.taken) == (NORMAL, 0, NOW)
    assert json.loads(reading.body) == {"id": "g/b/1", "topic": "barn/t", "value": 21.5, "time_ms": WALL_MS}


def test_a_topic_without_a_route_is_refused():
    assert Road({"topic": "a"}).refused("b", b"1").reason == "no_route"


def test_one_value_of_a_payload_is_sent():
    road = Road({"topic": "#", "value": "data.temp"})
    assert road.said("t", {"data": {"temp": 21.5, "x": 1}})["value"] == 21.5
    assert road.said("t", {"data": {"temp": None}})["value"] is None
    error = road.refused("t", {"data": {}})
    assert (error.reason, str(error)) == ("no_value", "'t': the payload has no data.temp")
    assert road.refused("t", b"text").reason == "no_value"
    assert road.counts.missing_fields == {"data.temp": 2}


def test_fields_are_renamed_and_those_that_are_missing_are_counted():
    road = Road({"topic": "#", "fields": {"temperature": "data.temp_c", "battery": "bat[0]"}})
    assert road.said("t", {"data": {"temp_c": 21}, "bat": [90, 1]})["value"] == {"temperature": 21, "battery": 90}
    assert road.said("t", {"data": {"temp_c": 22}})["value"] == {"temperature": 22}
    assert road.refused("t", {}).reason == "no_fields"
    assert road.counts.missing_fields == {"battery": 2, "temperature": 1}


def test_the_payload_gives_the_time():
    road = Road({"topic": "#", "time": "ts", "value": "v"})
    assert road.said("t", {"ts": 1_789_999_999, "v": 1}) == {"value": 1, "time_ms": 1_789_999_999_000}
    assert road.said("t", {"ts": "1971-01-01", "v": 1})["time_fault"] == "out_of_range"
    assert road.said("t", {"ts": [], "v": 1})["time_fault"] == "not_a_time"
    assert road.said("t", {"v": 1}) == {"value": 1, "time_fault": "missing", "time_ms": WALL_MS}
    assert road.counts.time_faults == {"out_of_range": 1, "not_a_time": 1, "missing": 1}


def test_before_the_clock_is_set_there_is_no_time_of_receipt():
    unset = Moment("6c1f", 5_000, 1_000, False)
    road = Road({"topic": "#", "time": "ts"})
    assert road.said("t", {}, unset) == {
        "value": {}, "time_fault": "missing", "clock": "unset", "boot": "6c1f", "uptime_ms": 5_000
    }  # fmt: skip
    assert road.said("t", {"ts": WALL_MS}, unset)["time_ms"] == WALL_MS


def test_a_channel_is_made_from_the_topic_or_refused():
    road = Road({"topic": "farm/{barn}/#", "channel": "farm-{barn}"})
    assert road.take("farm/b1/t", b"1").channel == "farm-b1"
    error = road.refused("farm/\x1b[2J/t", b"1")
    assert error.reason == "invalid_channel"
    assert "\x1b" not in str(error)


def test_topics_of_a_stranger_make_no_more_channels_than_the_hub_takes():
    road = Road({"topic": "farm/{barn}", "channel": "farm-{barn}"})
    for number in range(100):
        road.take(f"farm/{number}", b"1")
    error = road.refused("farm/one-more", b"1")
    assert error.reason == "too_many_channels"
    assert "100 already; let routes share channels" in str(error)
    assert road.take("farm/99", b"1").channel == "farm-99"
    assert road.pipeline.figures()["channels_made"] == 100


def test_what_is_held_back_is_counted_by_its_reason():
    road = Road({"topic": "#", "on_change": True})
    assert road.take("t", b"1").id == "g/b/1"
    assert road.take("t", b"1") == HeldBack("on_change")
    assert road.take("t", b"2").id == "g/b/3"
    assert road.counts.filtered == {"on_change": 1}
    assert road.counts.readings == 2


def test_what_is_refused_has_not_passed_a_filter():
    road = Road({"topic": "#", "min_interval_s": 60, "max_payload_bytes": 100_000})
    assert road.refused("t", b'"' + b"x" * 60_000 + b'"').reason == "too_large"
    assert road.said("t", b"1")["value"] == 1
    assert road.take("t", b"2") == HeldBack("min_interval")


@pytest.mark.parametrize("rule", [{"min_interval_s": 60}, {"throttle": "1/h"}, {"on_change": True}, {"dead_band": 9}])
def test_what_passed_the_filters_in_an_earlier_life_passes_and_is_remembered(rule):
    road = Road({"topic": "#", **rule})
    for _ in range(3):
        assert not isinstance(road.take("t", b"1", is_owed=True), HeldBack)
    assert isinstance(road.take("t", b"1"), HeldBack)
    assert (road.counts.readings, road.counts.filtered.total()) == (3, 1)


def test_what_is_owed_is_still_looked_at():
    road = Road({"topic": "#", "min_interval_s": 60, "retained": "skip", "max_payload_bytes": 1})
    assert road.refused("t", b"12", is_owed=True).reason == "too_large"
    assert road.take("t", b"1", retain=True, is_owed=True) == HeldBack("retained")


def test_time_for_filters_is_uptime_so_that_a_clock_that_jumps_changes_nothing():
    road = Road({"topic": "#", "min_interval_s": 10})
    road.take("t", b"1")
    assert road.take("t", b"1", Moment("6c1f", 14_999, WALL_MS + 3_600_000, True)) == HeldBack("min_interval")
    assert road.take("t", b"1", Moment("6c1f", 15_000, WALL_MS - 3_600_000, True)).id == "g/b/3"


@pytest.mark.parametrize(
    ("wanted", "outcomes"),
    [
        ("skip", [HeldBack("retained")] * 3),
        ("once", [None, HeldBack("retained_repeat"), None]),
        ("always", [None] * 3),
    ],
)
def test_retained_messages_are_skipped_or_sent_once_or_always(wanted, outcomes):
    road = Road({"topic": "#", "retained": wanted})
    made = [road.take("t", payload, retain=True) for payload in (b"1", b"1", b"2")]
    assert [one if isinstance(one, HeldBack) else None for one in made] == outcomes
    assert json.loads(road.take("t", b"1").body).get("retained") is None


def test_of_a_flood_of_retained_messages_most_wait_for_live_ones():
    road = Road({"topic": "#", "priority": "high"})
    lanes = [road.take(f"t/{number}", b"1", retain=True).lane for number in range(50_000)]
    assert lanes.count(HIGH) == 1000
    assert lanes.count(LOW) == 49_000
    assert road.take("t/1", b"2").lane == HIGH
    # The broker sends all of them again after a reconnect, where it speaks 3.1.1.
    again = [road.take(f"t/{number}", b"1", retain=True) for number in range(50_000)]
    assert again == [HeldBack("retained_repeat")] * 50_000


def test_a_reading_carries_what_the_route_says_of_its_way():
    batch = BatchSettings(delay_s=5, readings=10, bytes=1000)
    reading = Road({"topic": "#", "priority": "low", "keep_s": 60, "batch": batch}).take("t", b"1")
    assert (reading.lane, reading.keep_s) == (LOW, 60)
    assert (reading.batch_delay_s, reading.batch_readings, reading.batch_bytes) == (5, 10, 1000)


def test_what_the_gateway_publishes_itself_is_held_back():
    road = Road({"topic": "#"}, own_topics=["edged/g/#"])
    assert road.take("edged/g/state", b"online", retain=True) == HeldBack("own_topic")


def test_too_large_for_the_route_is_refused_and_a_large_document_may_be_selected_from():
    assert Road({"topic": "#", "max_payload_bytes": 3}).refused("t", b"21.5").reason == "too_large"
    road = Road({"topic": "#", "max_payload_bytes": 1 << 20, "value": "[-1]"})
    assert road.said("t", list(range(100_000)))["value"] == 99_999
    assert Road({"topic": "#", "max_payload_bytes": 1 << 20}).refused("t", list(range(100_000))).reason == "too_large"


def test_figures_tell_by_route_what_became_of_its_messages():
    road = Road({"topic": "a/#", "on_change": True}, {"topic": "b", "payload": "number"})
    road.take("a/1", b"1")
    road.take("a/1", b"1")
    road.refused("b", b"x")
    figures = road.pipeline.figures()
    assert figures["routes"]["a/#"]["readings"] == 1
    assert figures["routes"]["a/#"]["filtered"] == {"on_change": 1}
    assert figures["routes"]["b"]["refused"] == {"not_a_number": 1}
    assert figures["topics_remembered"] == 1


def test_a_fault_of_ours_costs_one_message_and_is_told(monkeypatch):
    road = Road({"topic": "#", "on_change": True})
    monkeypatch.setattr("edged.telemetry.pipeline.decode_payload", lambda *_: 1 / 0)
    error = road.refused("t", b"1")
    assert error.reason == "unexpected"
    assert str(error) == "'t': a fault of edged, please report it: ZeroDivisionError('division by zero')"
    assert isinstance(error.__cause__, ZeroDivisionError)
    monkeypatch.undo()
    assert road.said("t", b"1")["value"] == 1
    assert road.counts.refused == {"unexpected": 1}


def test_ten_thousand_topics_are_remembered_up_to_the_bound():
    road = Road({"topic": "#", "on_change": True}, topics=100)
    for number in range(10_000):
        assert road.take(f"t/{number}", b"1").channel == "farm"
    assert road.pipeline.figures()["topics_remembered"] == 100


def test_very_long_topics_of_a_stranger_take_no_memory():
    road = Road({"topic": "+/{x}", "on_change": True})
    tracemalloc.start()
    try:
        for number in range(200):
            road.take(f"{number}/" + "x" * 40_000, b"1")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert road.pipeline.figures()["topics_remembered"] == 200
    assert held_bytes < 1_000_000


ROUTES = st.fixed_dictionaries(
    {"topic": st.sampled_from(["#", "+/{x}", "{x...}"])},
    optional={
        "payload": st.sampled_from(["auto", "json", "number", "text", "raw"]),
        "value": st.sampled_from(["a", "a[0]"]),
        "fields": st.just({"x": "a", "y": "b"}),
        "time": st.just("t"),
        "on_change": st.booleans(),
        "dead_band": st.floats(0, 10),
        "throttle": st.just("1/h"),
        "watch": st.just("x"),
        "retained": st.sampled_from(["once", "always", "skip"]),
    },
)
PAYLOADS = st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "t", "x"]), inner),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())


@given(ROUTES, st.lists(st.tuples(st.sampled_from(["a", "a/b", "/", "é/\u202e"]), PAYLOADS, st.booleans()), max_size=6))
def test_whatever_comes_is_a_reading_or_held_back_or_refused_and_counted(route, messages):
    road = Road(route)
    readings = held = refused = no_route = 0
    for topic, payload, retain in messages:
        try:
            made = road.take(topic, payload, retain=retain)
        except PayloadError as error:
            no_route += error.reason == "no_route"
            refused += error.reason != "no_route"
            continue
        held += isinstance(made, HeldBack)
        if not isinstance(made, HeldBack):
            readings += 1
            assert json.loads(made.body)["topic"] == topic
            assert len(made.body.encode()) == made.size_bytes
    counts = road.counts
    assert (readings, held, refused) == (counts.readings, counts.filtered.total(), counts.refused.total())
    assert readings + held + refused + no_route == len(messages)
