"""Readings: hostile payloads become a value or a typed error with a sentence, never anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.reading import (
    MAX_READING_BYTES,
    PayloadError,
    ReadingSource,
    decode_payload,
    make_reading,
    message,
)


@pytest.mark.parametrize(
    ("payload", "kind", "value"),
    [
        (b"21.5", "auto", 21.5),
        (b" 21 ", "number", 21),
        (b"1e3", "number", 1000.0),
        (b"on", "auto", "on"),
        (b"", "auto", ""),
        (b"", "text", ""),
        (b"21.5", "text", "21.5"),
        (b"true", "auto", True),
        (b"null", "json", None),
        (b'{"t": 1, "t": 2}', "json", {"t": 2}),
        ("\ufeff[1]".encode(), "json", [1]),
        ("größe".encode(), "auto", "größe"),
        (b"NaN", "auto", "NaN"),
        (b'{"t": NaN}', "auto", '{"t": NaN}'),
        (str(2**64 - 1).encode(), "auto", 2**64 - 1),
        (b'"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', "json", "[" * 36),
        (b'"' + b'\\"[' * 40 + b'"', "json", '"[' * 40),
        (b'{"a]}": [1], "b": [2]}' + b" " * 5, "json", {"a]}": [1], "b": [2]}),
        (b"\x00\x01", "text", "\x00\x01"),
    ],
)
def test_payload_becomes_a_value(payload, kind, value):
    decoded = decode_payload("t", payload, kind)
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("payload", "kind", "reason"),
    [
        (b"\xff\xfe", "auto", "not_utf8"),
        (b"\xff\xfe", "text", "not_utf8"),
        (b"[" * 10_000, "json", "too_deep"),
        (b"[" * 10_000 + b"]" * 10_000, "auto", "too_deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "auto", "too_deep"),
        (b"1e999", "auto", "number_too_large"),
        (b"-1e999", "number", "number_too_large"),
        (b'[1, [2, {"x": 1e400}]]', "json", "number_too_large"),
        (str(2**64).encode(), "auto", "number_too_large"),
        (b"9" * 5000, "auto", "number_too_large"),
        (b"9" * 5000, "number", "number_too_large"),
        (b"NaN", "json", "not_json"),
        (b"Infinity", "number", "not_a_number"),
        (b"nan", "number", "not_a_number"),
        (b"on", "number", "not_a_number"),
        (b"true", "number", "not_a_number"),
        (b'"5"', "number", "not_a_number"),
        (b"0x10", "number", "not_a_number"),
        (b"", "json", "not_json"),
        (b"", "number", "not_a_number"),
        (b"{", "json", "not_json"),
        (b"x" * (MAX_READING_BYTES + 1), "text", "too_large"),
        (b"1" * 20_000_000, "auto", "too_large"),
    ],
)
def test_hostile_payload_is_a_typed_error(payload, kind, reason):
    with pytest.raises(PayloadError) as caught:
        decode_payload("greenhouse/t", payload, kind)
    assert caught.value.reason == reason
    assert "'greenhouse/t'" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("payload", [b'"\\ud800"', b'{"\\udfff": 1}'])
def test_half_a_surrogate_pair_is_refused(payload):
    value = decode_payload("t", payload, "json")
    with pytest.raises(PayloadError) as caught:
        make_reading("id", "farm", "t", value, 0, retained=False)
    assert caught.value.reason == "not_utf8"


@given(st.binary(max_size=200), st.sampled_from(["auto", "json", "number", "text"]))
def test_any_payload_is_a_reading_or_a_payload_error(payload, kind):
    try:
        value = decode_payload("t", payload, kind)
        reading = make_reading("g/b/1", "farm", "t", value, 1, retained=True)
    except PayloadError:
        return
    assert len(reading.body.encode()) == reading.size_bytes <= MAX_READING_BYTES
    assert json.loads(reading.body)["value"] == value


def test_a_reading_carries_what_the_message_promises():
    reading = make_reading("farm-1/6c1f/42", "farm", "greenhouse/temperature", 21.5, 1_790_000_000_000, retained=True)
    assert message("farm-1", [reading.body]) == {
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


def test_ids_are_never_given_twice():
    source = ReadingSource("farm-1", "6c1f")
    assert [source.next_id() for _ in range(3)] == ["farm-1/6c1f/1", "farm-1/6c1f/2", "farm-1/6c1f/3"]
