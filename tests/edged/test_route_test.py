"""`edged route test`: the answer is that of the gateway itself, and says why."""

from __future__ import annotations

import io
import json
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edged.cli import main
from edged.route_test import printable

ROUTES = [
    {"topic": "garden/#"},
    {
        "topic": "farm/{barn}/temp",
        "channel": "farm-{barn}",
        "fields": {"temperature": "data.temp_c", "battery": "bat[0]"},
        "dead_band": 0.2,
        "watch": "temperature",
    },
    {"topic": "farm/#", "payload": "number", "retained": "skip"},
]


@pytest.fixture
def try_message(tmp_path, capsys):
    file = tmp_path / "edged.yaml"

    def attempt(*words, routes=ROUTES):
        file.write_text(
            yaml.safe_dump(
                {
                    "gateway": {"name": "farm-1"},
                    "hub": {"key": "pk_live_1", "channel": "farm"},
                    "telemetry": {"clock": "trusted", "routes": routes},
                },
                sort_keys=False,
            )
        )
        code = main(["route", "test", *words, "--config", str(file)])
        return code, capsys.readouterr().out

    return attempt


def test_a_message_that_is_sent_is_shown_with_its_way(try_message):
    code, text = try_message("farm/b1/temp", '{"data": {"temp_c": 21.5}}')
    assert code == 0
    lines = text.splitlines()
    assert lines[:-1] == [
        "topic     farm/b1/temp",
        "route     telemetry.routes[1]: farm/{barn}/temp",
        "          not telemetry.routes[0] (garden/#): level 1 is 'farm', not 'garden'",
        "          not telemetry.routes[2] (farm/#): selects it too, but comes later",
        "          barn = b1",
        "channel   farm-b1",
        "filters   dead_band: 0.2, watch: temperature (the first message of a topic passes)",
        "missing   battery",
    ]
    message = json.loads(lines[-1].removeprefix("message   "))
    assert message["type"] == "edged/readings"
    assert message["gateway"] == "farm-1"
    (reading,) = message["readings"]
    assert reading["value"] == {"temperature": 21.5}
    assert reading["time_ms"] > 1_700_000_000_000


def test_the_answer_as_json(try_message):
    code, text = try_message("farm/b1/temp", '{"data": {"temp_c": 21.5}, "bat": [90]}', "--json")
    answer = json.loads(text)
    assert code == 0
    assert answer["sent"] is True
    assert answer["names"] == {"barn": "b1"}
    assert answer["message"]["readings"][0]["value"] == {"temperature": 21.5, "battery": 90}
    assert [other["route"] for other in answer["not"]] == ["telemetry.routes[0]", "telemetry.routes[2]"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["shed/t", "1"], "no route selects this topic (no_route)"),
        (["farm/b1/door", "open"], "is not a number; set `payload: auto` on its route (not_a_number)"),
        (["farm/b1/door", "1", "--retained"], "the route has retained: skip (retained)"),
        (["farm/b1/temp", "{}"], "the payload has none of temperature, battery (no_fields)"),
        (["farm/+/temp", "1"], "this is a filter: a message has a topic without '+' and '#' (no_topic)"),
        ([""], "a topic is not empty (no_topic)"),
        (["farm/a\x1b[2Jb/temp"], "a channel name holds no control characters (invalid_channel)"),
    ],
)
def test_a_message_that_is_not_sent_is_shown_with_the_reason(try_message, words, reason):
    code, text = try_message(*words)
    assert code == 1
    assert text.splitlines()[-1].startswith("not sent  ")
    assert reason in text
    assert "\x1b" not in text


def test_what_the_gateway_publishes_itself_is_not_sent(try_message):
    for words in (["edged/farm-1/state", "online"], ["edged/farm-1/state"]):
        code, text = try_message(*words, routes=[{"topic": "#"}])
        assert code == 1
        assert "(own_topic)" in text


def test_without_a_payload_the_way_is_shown_only(try_message):
    code, text = try_message("farm/b1/temp")
    assert code == 0
    assert "channel   farm-b1" in text
    assert "\nmessage" not in text


def test_a_payload_is_read_from_standard_input(try_message, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00")))
    code, text = try_message("farm/t", "-", routes=[{"topic": "#", "payload": "raw"}])
    assert code == 0
    assert '"value":"/wA=","encoding":"base64"' in text


def test_a_topic_cannot_write_lines_of_its_own(try_message):
    _, text = try_message("garden/x\nmessage   forged", "1")
    assert "\nmessage   forged" not in text
    assert text.splitlines()[0] == "topic     garden/x\\nmessage   forged"


def test_faults_of_the_settings_are_told(try_message, capsys):
    code, _ = try_message("a", "1", routes=[{"topic": "a/#"}, {"topic": "a/b"}])
    assert code == 78


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_printed_is_printable_and_stays_json(text):
    line = printable(json.dumps(text, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == text
