"""The entities of Home Assistant, held against what its MQTT documentation takes.

Written down from https://www.home-assistant.io/integrations/mqtt/ and the pages of the two components.
"""

import json
import re

import pytest

from edged.site.discovery import birth_topic, wishes
from edged.site.states import wishes as states
from edged.site.topics import Topics
from tests.edged.site.status import STATUS

TOPICS = Topics.of("edged/{gateway}", "farm-1")

COMMON = {
    "availability_topic", "payload_available", "payload_not_available", "device", "origin", "enabled_by_default",
    "entity_category", "icon", "json_attributes_topic", "json_attributes_template", "name", "unique_id", "state_topic",
    "value_template", "qos", "force_update", "expire_after", "device_class",
}  # fmt: skip
KEYS = {
    "sensor": COMMON | {"state_class", "unit_of_measurement", "options", "suggested_display_precision"},
    "binary_sensor": COMMON | {"payload_on", "payload_off", "off_delay"},
}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "hw_version", "configuration_url"}
ORIGIN = {"name", "sw_version", "support_url"}
DEVICE_CLASSES = {"sensor": {"enum", "timestamp", "duration"}, "binary_sensor": {"connectivity"}}
STATE_CLASSES = {"measurement", "total", "total_increasing"}
TOPIC = re.compile(r"homeassistant/(sensor|binary_sensor)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config")

CONFIGS = {topic: json.loads(wish.payload) for topic, wish in wishes("homeassistant", TOPICS, STATUS).items()}


@pytest.mark.parametrize("topic", CONFIGS)
def test_a_configuration_is_one_that_home_assistant_takes(topic):
    component, node, key = TOPIC.fullmatch(topic).groups()
    config = CONFIGS[topic]
    assert set(config) <= KEYS[component], "a key that is not documented (object_id has gone in 2026.4)"
    assert config["unique_id"] == f"{node}_{key}"
    assert config["device"]["identifiers"] == [node]
    assert set(config["device"]) <= DEVICE
    assert set(config["origin"]) <= ORIGIN
    assert config["origin"]["name"]
    assert config.get("entity_category", "diagnostic") == "diagnostic"
    assert config.get("device_class") in {None} | DEVICE_CLASSES[component]
    assert config.get("state_class") in {None} | STATE_CLASSES
    assert re.fullmatch(r"mdi:[a-z-]+", config.get("icon", "mdi:eye"))
    # An entity's name does not begin with its device's: Home Assistant puts that in front.
    assert config["name"]
    assert not config["name"].startswith(config["device"]["name"])


@pytest.mark.parametrize("topic", CONFIGS)
def test_classes_do_not_contradict_each_other(topic):
    config = CONFIGS[topic]
    if config.get("device_class") == "enum":
        assert config["options"]
        assert "state_class" not in config
        assert "unit_of_measurement" not in config
    if config.get("device_class") == "timestamp":
        assert "state_class" not in config
    assert ("options" in config) == (config.get("device_class") == "enum")


@pytest.mark.parametrize("topic", CONFIGS)
def test_an_entity_reads_what_is_published(topic):
    config = CONFIGS[topic]
    published = states(TOPICS, STATUS)
    assert config["state_topic"] in published
    assert config.get("json_attributes_topic", config["state_topic"]) in published
    if "value_template" in config:
        (name,) = re.findall(r"value_json\.(\w+)", config["value_template"])
        assert name in json.loads(published[config["state_topic"]].payload)


def test_all_but_the_connection_itself_are_away_when_the_gateway_is():
    without = [config["name"] for config in CONFIGS.values() if config.get("availability_topic") != TOPICS.state]
    assert without == ["Connection"]
    connection = CONFIGS["homeassistant/binary_sensor/edged_farm-1/connection/config"]
    assert (connection["payload_on"], connection["payload_off"]) == ("online", "offline")


def test_unique_ids_are_unique_and_do_not_change():
    ids = [config["unique_id"] for config in CONFIGS.values()]
    assert len(set(ids)) == len(ids)
    assert "edged_farm-1_camera_yard_state" in ids
    later = {**STATUS, "version": "9", "started_ms": 0}
    again = [json.loads(wish.payload)["unique_id"] for wish in wishes("homeassistant", TOPICS, later).values()]
    assert again == ids


def test_a_gateway_without_sensors_has_no_entities_for_them():
    bare = wishes("ha", TOPICS, {**STATUS, "account": None, "figures": {}})
    assert list(bare) == ["ha/binary_sensor/edged_farm-1/connection/config"]


def test_where_home_assistant_says_that_it_has_started():
    assert birth_topic("homeassistant") == "homeassistant/status"
