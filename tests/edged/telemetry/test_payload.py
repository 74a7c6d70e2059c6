"""Hostile payloads become a value or a typed error with a sentence, never anything else."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.settings_routes import MAX_READING_BYTES
from edged.telemetry.payload import Base64, PayloadError, decode_payload, shown


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
        (str(-(2**63)).encode(), "auto", -(2**63)),
        (b'"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', "json", "[" * 36),
        (b'"' + b'\\"[' * 40 + b'"', "json", '"[' * 40),
        (b'{"a]}": [1], "b": [2]}' + b" " * 5, "json", {"a]}": [1], "b": [2]}),
        (b"\x00\x01", "text", "\x00\x01"),
        (b"[" * 3 + b"]" * 3, "json", [[[]]]),
        (b"[" * 33, "auto", "[" * 33),
        (b"21.5", "raw", "21.5"),
        (b"", "raw", ""),
        (b"\xff\x00", "raw", Base64("/wA=")),
    ],
)
def test_payload_becomes_a_value(payload, kind, value):
    decoded = decode_payload("t", payload, kind, MAX_READING_BYTES)
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
        (b"[" * 33 + b"]" * 33, "json", "too_deep"),
        (b"1e999", "auto", "number_too_large"),
        (b"-1e999", "number", "number_too_large"),
        (b'[1, [2, {"x": 1e400}]]', "json", "number_too_large"),
        (str(2**64).encode(), "auto", "number_too_large"),
        (str(-(2**63) - 1).encode(), "auto", "number_too_large"),
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
        decode_payload("greenhouse/t", payload, kind, MAX_READING_BYTES)
    assert caught.value.reason == reason
    assert "'greenhouse/t'" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("kind", ["auto", "json", "number", "text", "raw"])
def test_a_route_may_allow_less_and_more(kind):
    with pytest.raises(PayloadError, match="5 bytes are too many for one reading; at most 4 fit"):
        decode_payload("t", b"12345", kind, 4)
    if kind != "raw":
        assert decode_payload("t", b"1" + b" " * 100_000, kind, 200_000)


def test_a_great_document_is_read_where_the_route_allows_it():
    payload = json.dumps({"points": [{"x": n, "y": n / 2} for n in range(20_000)]}).encode()
    assert len(decode_payload("t", payload, "json", 1 << 20)["points"]) == 20_000


@given(st.binary(max_size=200), st.sampled_from(["auto", "json", "number", "text", "raw"]))
def test_any_payload_is_a_value_or_a_payload_error(payload, kind):
    try:
        value = decode_payload("t", payload, kind, 150)
    except PayloadError:
        return
    json.dumps(value, allow_nan=False)


@given(st.binary(max_size=200))
def test_raw_takes_any_bytes(payload):
    value = decode_payload("t", payload, "raw", 200)
    back = base64.b64decode(value) if isinstance(value, Base64) else value.encode()
    assert back == payload


def test_what_is_shown_of_somebody_elses_text_is_short_and_moves_no_cursor():
    assert shown("a\x1b[2J\u202eb") == "'a\\x1b[2J\\u202eb'"
    assert len(shown("x" * 1000)) == 62
