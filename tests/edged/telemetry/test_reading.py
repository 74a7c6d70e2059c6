"""Readings as they go out: JSON text that is written once and needs no parsing on its way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.settings_routes import MAX_READING_BYTES
from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.payload import Base64, PayloadError, decode_payload
from edged.telemetry.reading import Reading, finished, make_reading, message_text, write_body

WALL_MS = 1_790_000_000_000
UNSET = Moment("6c1f", 5_000, 86_400_000, False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abcé"\\', max_size=4), inner, max_size=4),
    max_leaves=8,
)


def unfinished(value=21.5, taken=UNSET, **options):
    body, size_bytes = write_body("g/b/1", "t", value, None, taken, retained=False, **options)
    return Reading("g/b/1", "farm", body, size_bytes, taken=taken)


@pytest.mark.parametrize("payload", [b'"\\ud800"', b'{"\\udfff": 1}'])
def test_half_a_surrogate_pair_is_refused(payload):
    value = decode_payload("t", payload, "json", MAX_READING_BYTES)
    with pytest.raises(PayloadError) as caught:
        make_reading("id", "farm", "t", value, 0, retained=False)
    assert caught.value.reason == "not_utf8"


@given(st.binary(max_size=200), st.sampled_from(["auto", "json", "number", "text", "raw"]))
def test_any_payload_is_a_reading_or_a_payload_error(payload, kind):
    try:
        value = decode_payload("t", payload, kind, MAX_READING_BYTES)
        reading = make_reading("g/b/1", "farm", "t", value, 1, retained=True)
    except PayloadError:
        return
    assert len(reading.body.encode()) == reading.size_bytes <= MAX_READING_BYTES
    assert json.loads(reading.body)["value"] == value


def test_a_reading_carries_what_the_message_promises():
    reading = make_reading("farm-1/6c1f/42", "farm", "greenhouse/temperature", 21.5, 1_790_000_000_000, retained=True)
    assert json.loads(message_text("farm-1", [reading.body])) == {
        "type": "edged/readings",
        "gateway": "farm-1",
        "readings": [
            {
                "id": "farm-1/6c1f/42",
                "topic": "greenhouse/temperature",
                "value": 21.5,
                "time_ms": 1_790_000_000_000,
                "retained": True,
            }
        ],
    }


def test_a_live_reading_does_not_mention_retained():
    assert "retained" not in make_reading("i", "c", "t", 1, 0, retained=False).body


def test_text_that_grows_when_it_is_written_as_json_is_measured_as_json():
    with pytest.raises(PayloadError) as caught:
        make_reading("i", "c", "t", "\x00" * 10_000, 0, retained=False)
    assert caught.value.reason == "too_large"


def test_a_long_topic_counts():
    with pytest.raises(PayloadError) as caught:
        make_reading("i", "c", "t" * 60_000, 1, 0, retained=False)
    assert caught.value.reason == "too_large"
    assert len(str(caught.value)) < 250


@given(VALUES, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.booleans())
def test_a_body_is_what_a_json_library_would_have_written(value, topic, retained):
    body, size_bytes = write_body("g/b/1", topic, value, WALL_MS, NO_MOMENT, retained=retained)
    expected = {"id": "g/b/1", "topic": topic, "value": value, "time_ms": WALL_MS}
    assert json.loads(body) == {**expected, **({"retained": True} if retained else {})}
    assert size_bytes == len(body.encode())
    assert type(json.loads(body)["value"]) is type(value)


def test_bytes_that_are_no_text_say_how_they_are_written():
    body, _ = write_body("g/b/1", "t", Base64("/wA="), WALL_MS, NO_MOMENT, retained=False)
    assert json.loads(body) == {
        "id": "g/b/1", "topic": "t", "value": "/wA=", "encoding": "base64", "time_ms": WALL_MS
    }  # fmt: skip


def test_a_time_of_the_payload_that_was_not_used_is_told():
    body, _ = write_body("g/b/1", "t", 1, WALL_MS, NO_MOMENT, retained=False, time_fault="out_of_range")
    assert json.loads(body)["time_fault"] == "out_of_range"


def test_a_reading_taken_before_the_clock_was_set_says_so_and_has_no_time():
    assert json.loads(unfinished().body) == {
        "id": "g/b/1", "topic": "t", "value": 21.5, "clock": "unset", "boot": "6c1f", "uptime_ms": 5_000
    }  # fmt: skip
    assert "boot" not in json.loads(unfinished(taken=Moment("", 5_000, 0, False)).body)


@given(VALUES)
def test_it_gets_its_time_when_it_is_sent_after_the_clock_was_set(value):
    reading = unfinished(value)
    sent = finished(reading, Moment("6c1f", 65_000, WALL_MS, True))
    assert json.loads(sent) == {"id": "g/b/1", "topic": "t", "value": value, "time_ms": WALL_MS - 60_000}
    assert len(sent.encode()) <= reading.size_bytes


@pytest.mark.parametrize("now", [Moment("6c1f", 65_000, 90_000_000, False), Moment("other", 1, WALL_MS, True)])
def test_it_stays_as_it_is_where_nobody_can_know_the_time(now):
    assert finished(unfinished(), now) == unfinished().body


def test_a_value_that_looks_like_the_end_is_left_alone():
    end = unfinished().body[-len(',"clock":"unset","boot":"6c1f","uptime_ms":5000}') :]
    reading = unfinished(end)
    assert json.loads(finished(reading, Moment("6c1f", 65_000, WALL_MS, True)))["value"] == end


def test_a_reading_with_a_time_is_sent_as_it_was_written():
    now = Moment("6c1f", 65_000, WALL_MS, True)
    plain = make_reading("g/b/1", "farm", "t", 1, 5, retained=False)
    assert finished(plain, now) is plain.body
    # The payload gave the time, though our own clock was not set.
    body, size_bytes = write_body("g/b/1", "t", 1, 5, UNSET, retained=False)
    assert finished(Reading("g/b/1", "farm", body, size_bytes, taken=UNSET), now) == body
    known, size_bytes = write_body("g/b/1", "t", 1, 5, now, retained=False)
    assert finished(Reading("g/b/1", "farm", known, size_bytes, taken=now), now) is known
