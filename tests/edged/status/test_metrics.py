"""The metrics of a gateway, read by a parser as strict as the description of the format."""

import re

import pytest

from edged.status.board import PartStatus
from edged.status.document import Identity, document
from edged.status.metrics import exposition

FIGURES = {
    "telemetry": {
        "received": 10,
        "most_received": 10,
        "delivered": 6,
        "waiting": 1,
        "dropped": {"no_route": 3},
        "clock": "set",
    },
    "routes": {
        'farm/+/"odd\n\\': {
            "readings": 7,
            "filtered": {"unchanged": 2},
            "refused": {},
            "last_time_ms": 1_800_000_000_500,
        }
    },
    "cameras": {"yard": {"state": "live", "viewers": 2, "fps": 24.9, "kbps": 1500, "codec": "H264", "detail": ""}},
}
PARTS = [PartStatus("mqtt", "live", "", 0.0), PartStatus("channel farm", "odd", "", 0.0)]

NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)\Z")
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"no label at {text[at:]!r}"
        assert match[1] not in found, "a label twice"
        found[match[1]] = re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], match[2])
        at = match.end()
    return found


def parsed(text):
    """Return {name: (kind, help, {labels: value})}; fails on whatever Prometheus would not take."""
    assert text.endswith("\n")
    families, current = {}, None
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line.removeprefix("# HELP ").partition(" ")
            assert re.fullmatch(NAME, name)
            assert name not in families, "a family is in one piece"
            assert words
            current = families[name] = {"help": words, "kind": None, "samples": {}}
            current["name"] = name
        elif line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            assert current is not None
            assert name == current["name"]
            assert kind in {"counter", "gauge"}
            current["kind"] = kind
        else:
            match = SAMPLE.match(line)
            assert match, f"no sample: {line!r}"
            assert match[1] == current["name"]
            labels = tuple(sorted(labels_of(match[2] or "").items()))
            assert labels not in current["samples"], "a sample twice"
            current["samples"][labels] = float(match[3])
    return families


@pytest.fixture
def families():
    found = document(Identity("farm-1", "1.2.3", 7, 0.0), PARTS, FIGURES, now_s=5.0, now_ms=1_800_000_005_000)
    return parsed(exposition(found))


def sample(families, name, **labels):
    return families[name]["samples"][tuple(sorted(labels.items()))]


def test_the_account_is_there_with_its_reasons(families):
    assert sample(families, "edged_readings_received_total") == 10
    assert sample(families, "edged_readings_delivered_total") == 6
    assert sample(families, "edged_readings_waiting") == 1
    assert sample(families, "edged_readings_dropped_total", reason="no_route") == 3
    assert sample(families, "edged_readings_unexplained") == 0


def test_a_route_with_an_odd_name_comes_through_whole(families):
    assert sample(families, "edged_route_readings_total", route='farm/+/"odd\n\\') == 7
    assert sample(families, "edged_route_filtered_total", route='farm/+/"odd\n\\', reason="unchanged") == 2


def test_units_are_seconds_and_bits(families):
    assert sample(families, "edged_camera_bits_per_second", camera="yard") == 1_500_000
    (last,) = families["edged_route_last_reading_timestamp_seconds"]["samples"].values()
    assert last == pytest.approx(1_800_000_000.5)
    assert sample(families, "edged_start_time_seconds") == 1_800_000_000


def test_each_part_is_in_one_state(families):
    states = families["edged_part_state"]["samples"]
    assert sum(value for labels, value in states.items() if ("part", "mqtt") in labels) == 1
    assert sample(families, "edged_part_state", part="mqtt", state="live") == 1
    assert sample(families, "edged_part_state", part="channel farm", state="odd") == 1


def test_a_word_is_1_where_it_is_the_one(families):
    assert sample(families, "edged_clock_set") == 1
    assert sample(families, "edged_camera_live", camera="yard") == 1


def test_counters_end_in_total_and_nothing_else_does(families):
    for name, family in families.items():
        assert (family["kind"] == "counter") == name.endswith("_total"), name


def test_what_is_not_there_is_left_out(families):
    assert "process_open_fds" not in families
    assert "edged_camera_missed_frames_total" not in families


def test_a_gateway_that_does_nothing_has_metrics():
    bare = document(Identity("g", "1", 1, 0.0), (), {}, now_s=0.0, now_ms=0)
    assert set(parsed(exposition(bare))) == {"edged_info", "edged_start_time_seconds"}


def test_figures_of_another_shape_than_expected_are_no_samples():
    odd = {"telemetry": {"received": "many", "dropped": 3}, "routes": 7, "cameras": {"yard": None}}
    found = document(Identity("g", "1", 1, 0.0), (), odd, now_s=0.0, now_ms=0)
    assert not [name for name in parsed(exposition(found)) if "route" in name or "camera" in name or "received" in name]
