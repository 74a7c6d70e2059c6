"""What a route may ask for, and the sentence for what it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.settings import RouteSettings, Settings, TelemetrySettings
from edged.settings_file import SettingsError, load
from edged.settings_routes import BatchSettings, rate, rate_fault, template_channel_fault, topic_fault
from edged.settings_telemetry import OutboxSettings

EVERYTHING = """
hub: {key: pk_live_1}
telemetry:
  routes:
    - topic: farm/{barn}/{path...}
      channel: farm-{barn}
      payload: json
      fields: {temperature: data.temp_c, battery: "bat[0]"}
      time: ts
      time_unit: ms
      min_interval_s: 10
      max_interval_s: 600
      on_change: true
      dead_band: 0.5
      watch: temperature
      throttle: 10/min
      retained: skip
      max_payload_bytes: 100000
      priority: high
      keep_s: 3600
      batch: {delay_s: 5, readings: 20, bytes: 8192}
"""


def test_a_route_with_everything_is_read_from_a_file(tmp_path):
    file = tmp_path / "edged.yaml"
    file.write_text(EVERYTHING)
    (route,) = load(file, Settings).telemetry.routes
    assert dict(route.fields) == {"temperature": "data.temp_c", "battery": "bat[0]"}
    assert route.batch == BatchSettings(delay_s=5, readings=20, bytes=8192)
    assert (route.priority, route.retained, route.keep_s) == ("high", "skip", 3600)
    assert rate(route.throttle) == (10, 60)


def test_a_fault_in_a_file_has_its_place(tmp_path):
    file = tmp_path / "edged.yaml"
    file.write_text(EVERYTHING.replace("data.temp_c", "data..temp_c").replace("farm-{barn}", "farm-{bran}"))
    with pytest.raises(SettingsError) as caught:
        load(file, Settings)
    told = [str(fault).removeprefix(str(file)) for fault in caught.value.faults]
    assert told[0].startswith(":6:7: telemetry.routes[0].channel: {bran} is no name in the route's topic")
    assert told[1].startswith(":8:7: telemetry.routes[0].fields.temperature: 'data..temp_c' is no path into JSON")


@pytest.mark.parametrize("text", ["", "1/s", "10/min", "999999/h"])
def test_a_rate(text):
    assert not rate_fault(text)


@pytest.mark.parametrize("text", ["0/s", "10", "10/day", "-1/s", "1.5/s", "10 / min", "1000000/s"])
def test_no_rate(text):
    assert "no rate; write for example 5/s, 10/min or 100/h" in rate_fault(text)


def test_names_in_topic_and_channel():
    assert not topic_fault("farm/{barn}/#")
    assert "names no level" in topic_fault("farm/b{arn}")
    assert "'#' stands alone as the last level" in topic_fault("{a}/#/b")
    assert not template_channel_fault("{barn}")
    assert "reserved" in template_channel_fault("_metered/{barn}")


@pytest.mark.parametrize(
    ("route", "path", "problem"),
    [
        ({"channel": "x-{barn}"}, "channel", "is no name in the route's topic"),
        ({"value": "a", "fields": {"b": "b"}}, "value", "given together with fields"),
        ({"value": "a", "payload": "number"}, "value", "set payload: json"),
        ({"time": "a", "payload": "raw"}, "time", "set payload: json"),
        ({"fields": {"": "a"}}, "fields", "is no name for a field"),
        ({"fields": {"a": 5}}, "fields.a", "is no path; for example data.temp_c"),
        ({"fields": {"a": "b."}}, "fields.a", "'b.' is no path into JSON"),
        ({"fields": {f"f{n}": "a" for n in range(65)}}, "fields", "has 65 entries; at most 64"),
        ({"watch": "a"}, "watch", "is for on_change and dead_band"),
        ({"dead_band": 1, "payload": "text"}, "dead_band", "compares numbers, but payload is text"),
        ({"time_unit": "ms"}, "time_unit", "set time: to its path"),
        ({"dead_band": 1, "fields": {"t": "a"}}, "dead_band", "needs one number; set watch: t"),
        ({"max_interval_s": 5}, "max_interval_s", "set one of them"),
        ({"max_interval_s": 5, "min_interval_s": 6, "on_change": True}, "max_interval_s", "give at least 6"),
    ],
)
def test_what_does_not_go_together_is_told(route, path, problem):
    ((at, said),) = RouteSettings(topic="t/#", **route).cross_faults()
    assert at == path
    assert problem in said


@pytest.mark.parametrize(
    ("topics", "path", "problem"),
    [
        (["a/#", "a/#"], "routes[1].topic", "routes[0] has the same filter and takes all"),
        (["a/{x...}", "a/#"], "routes[1].topic", "routes[0] has the same filter and takes all"),
        (["b", "a/#", "a/+/c"], "routes[2].topic", "routes[1] (a/#) comes first and takes all of it"),
        (["#", "a"], "routes[1].topic", "put this one before it, or remove it"),
        (["+/{b}", "a/{c}"], "routes[1].topic", "routes[0] (+/{b}) comes first"),
    ],
)
def test_a_route_that_gets_nothing_is_told_with_the_one_that_takes_all(topics, path, problem):
    settings = TelemetrySettings(routes=tuple(RouteSettings(topic=topic) for topic in topics))
    ((at, said),) = settings.cross_faults()
    assert at == path
    assert problem in said


def test_routes_that_share_some_topics_are_in_order():
    topics = ["a/b", "a/+", "+/b", "a/#", "$SYS/#", "#"]
    settings = TelemetrySettings(routes=tuple(RouteSettings(topic=topic) for topic in topics), outbox=OutboxSettings())
    assert not list(settings.cross_faults())


def documented():
    """Return the lists of routes that docs/telemetry.md shows."""
    text = (Path(__file__).parents[2] / "docs/telemetry.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block if block.startswith("telemetry:") else f"telemetry:\n  routes:\n{block}" for block in blocks]


@pytest.mark.parametrize("text", documented())
def test_the_examples_of_the_documentation_are_good(tmp_path, text):
    file = tmp_path / "edged.yaml"
    file.write_text("hub: {key: pk_live_1}\n" + text)
    assert load(file, Settings).telemetry.routes


def test_there_are_examples():
    assert len(documented()) >= 4
