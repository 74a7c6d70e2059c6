"""Payloads become the bytes their rule asks for, and hostile ones a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.commands.messages import Answer
from edged.commands.payloads import MAX_DEPTH, MAX_REPLY_BYTES, depth_exceeds, encode, reply_of


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("auto", "ON", b"ON"),
        ("auto", {"state": "ü"}, '{"state":"ü"}'.encode()),
        ("auto", None, b"null"),
        ("json", "ON", b'"ON"'),
        ("text", "", b""),
        ("number", 21.5, b"21.5"),
        ("number", -3, b"-3"),
    ],
)
def test_a_payload_is_written_as_its_rule_says(kind: str, value: Any, written: bytes) -> None:
    assert encode(kind, value, 100) == written


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("text", 5, "bad_payload"),
        ("number", "5", "bad_payload"),
        ("number", True, "bad_payload"),
        ("auto", "\ud800", "bad_payload"),
        ("json", {"\ud800": 1}, "bad_payload"),
        ("json", float("nan"), "bad_payload"),
        ("json", nested(MAX_DEPTH + 1), "bad_payload"),
        ("json", nested(100_000), "bad_payload"),
        ("text", "x" * 101, "too_large"),
        ("text", "ü" * 51, "too_large"),
    ],
)
def test_what_cannot_be_written_is_refused(kind: str, value: Any, reason: str) -> None:
    found = encode(kind, value, 100)

    assert isinstance(found, Answer)
    assert found.reason == reason
    assert found.message.startswith("payload ")


def test_depth_is_counted_in_lists_and_objects() -> None:
    assert not depth_exceeds(nested(3), 3)
    assert depth_exceeds(nested(4), 3)
    assert not depth_exceeds({"a": {"b": [1, 2]}}, 3)
    assert not depth_exceeds("text", 0)


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        (b'{"state":"ON"}', {"state": "ON"}),
        (b"21.5", 21.5),
        (b"ON", "ON"),
        (b"", ""),
        (b"\xff", "\ufffd"),
        (b"NaN", "NaN"),
        (b"1e999", "1e999"),
        (b"[" * 5000, "[" * 5000),
        (b"[" * 40 + b"]" * 40, "[" * 40 + "]" * 40),
    ],
)
def test_a_reply_is_passed_on_as_json_where_it_is_json(payload: bytes, reply: Any) -> None:
    assert reply_of(payload) == Answer(ok=True, reply=json.dumps(reply))


@pytest.mark.parametrize("payload", [b"x" * (MAX_REPLY_BYTES + 1), b"\0" * 10_000])
def test_a_reply_that_is_too_large_is_told_of_and_not_passed_on(payload: bytes) -> None:
    found = reply_of(payload)

    assert found.ok
    assert found.reply == ""
    assert f"{len(payload)} bytes" in found.message
