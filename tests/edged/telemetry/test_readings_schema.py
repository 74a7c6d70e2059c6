"""The JSON schema of the message on the channel takes what the gateway makes, and nothing that no reader could read."""

from __future__ import annotations

import json
from pathlib import Path

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.payload import Base64, PayloadError, decode_payload
from edged.telemetry.payload_time import PayloadTimeError, payload_time_ms
from edged.telemetry.reading import Reading, finished, message_text, write_body

SCHEMA = json.loads((Path(__file__).parents[3] / "config/schema/readings.schema.json").read_text())
NOW = Moment("6c1f", 5_000, 1_790_000_000_000, True)
check = fastjsonschema.compile(SCHEMA)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
moments = st.builds(Moment, st.sampled_from(["", "6c1f", "other"]), st.integers(0, 10**10), st.just(5), st.just(False))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def readings(draw):
    """Return a reading as it goes out, of any kind that the gateway makes."""
    time_ms = draw(st.none() | st.integers(10**12, 4 * 10**12))
    taken = draw(moments) if time_ms is None else NO_MOMENT
    value = draw(values | st.binary(max_size=5).map(lambda raw: decode_payload("t", raw, "raw", 5)))
    body, size_bytes = write_body(
        f"farm-1/6c1f/{draw(st.integers(1, 10**12))}",
        draw(texts),
        value,
        time_ms,
        taken,
        retained=draw(st.booleans()),
        time_fault=draw(st.sampled_from(["", "missing", "not_a_time", "out_of_range"])),
    )
    return finished(Reading("", "c", body, size_bytes, taken=taken), NOW)


@given(st.lists(readings(), min_size=1, max_size=5), st.booleans())
def test_what_the_gateway_sends_is_in_the_schema(bodies, is_backlog):
    message = json.loads(message_text("farm-1", bodies, is_backlog=is_backlog))
    check(message)
    check(message | {"surprise": 1, "readings": [one | {"unit": "C"} for one in message["readings"]]})


GOOD = {"id": "g/b/1", "topic": "t", "value": 1, "time_ms": 5}


@pytest.mark.parametrize(
    "reading",
    [
        {**GOOD, "id": "g/b"},
        {**GOOD, "id": 1},
        {**GOOD, "topic": ""},
        {**GOOD, "topic": None},
        {**GOOD, "time_ms": "5"},
        {**GOOD, "time_ms": 5.5},
        {**GOOD, "encoding": "hex"},
        {**GOOD, "retained": False},
        {**GOOD, "clock": "unset", "uptime_ms": 5},
        {"id": "g/b/1", "topic": "t", "value": 1},
        {"id": "g/b/1", "topic": "t", "value": 1, "clock": "unset"},
        {"id": "g/b/1", "topic": "t", "time_ms": 5},
        [],
    ],
)
def test_what_is_no_reading_is_not(reading):
    check({"type": "edged/readings", "gateway": "g", "readings": [GOOD]})
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check({"type": "edged/readings", "gateway": "g", "readings": [GOOD, reading]})


@pytest.mark.parametrize("change", [{"type": "edged/camera"}, {"gateway": ""}, {"readings": []}, {"backlog": False}])
def test_what_is_no_message_of_readings_is_not(change):
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check({"type": "edged/readings", "gateway": "g", "readings": [GOOD], **change})


@given(st.one_of(values, st.floats()), st.sampled_from(["auto", "s", "iso"]))
def test_every_fault_of_a_time_is_in_the_schema(value, unit):
    try:
        payload_time_ms(value, unit, NOW)
    except PayloadTimeError as error:
        fault = str(error)
    else:
        fault = "missing"
    assert fault in SCHEMA["definitions"]["reading"]["properties"]["time_fault"]["enum"]


def test_bytes_are_marked():
    assert isinstance(decode_payload("t", b"\xff", "raw", 5), Base64)
    with pytest.raises(PayloadError):
        decode_payload("t", b"\xff", "auto", 5)
