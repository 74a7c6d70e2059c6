"""Messages are read with care: whatever a stranger sends becomes a command, a sentence, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.commands.messages import (
    DONE,
    Answer,
    Command,
    Malformed,
    is_for_us,
    read_command,
    refused,
    result_message,
)

SCHEMA = json.loads((Path(__file__).parents[3] / "config/schema/command.schema.json").read_text())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "edged/command", "id": "1", "topic": "farm/heater/set", "payload": "on", **fields}


def test_a_whole_command_is_read_and_what_is_not_known_is_ignored() -> None:
    found = read_command(message(expires_ms=1_700_000_000_000, ttl_s=2.5, colour="red", nested={"a": [1]}))

    assert found == Command("1", "farm/heater/set", "on", 1_700_000_000_000, 2.5)
    assert read_command(message(payload=None)) == Command("1", "farm/heater/set", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None), ("id", 7), ("id", ""), ("id", "x" * 129), ("id", ["a"]),
        ("topic", None), ("topic", 5), ("topic", ""), ("topic", "a/+/b"), ("topic", "$SYS/a"), ("topic", "a\0b"),
        ("expires_ms", "soon"), ("expires_ms", True), ("expires_ms", -1), ("expires_ms", 10**400),
        ("ttl_s", 0), ("ttl_s", -5), ("ttl_s", "5"), ("ttl_s", False), ("ttl_s", 10**400), ("ttl_s", []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence_that_names_the_field(field: str, value: Any) -> None:
    found = read_command(message(**{field: value}))

    assert isinstance(found, Malformed)
    assert found.sentence.startswith(field)
    assert found.id == (None if field == "id" else "1")


def test_a_command_without_a_payload_is_told_so() -> None:
    bare = message()
    del bare["payload"]

    assert read_command(bare) == Malformed("1", "payload is missing; for an empty one give an empty text")


@given(ANYTHING)
def test_whatever_comes_is_read_without_an_error(data: Any) -> None:
    if is_for_us(data, "farm-1"):
        read_command(data)
    assert isinstance(read_command(message(payload=data)), Command)


@given(st.dictionaries(st.sampled_from(["id", "topic", "payload", "expires_ms", "ttl_s"]), ANYTHING))
def test_whatever_stands_in_the_fields_is_read_without_an_error(fields: dict[str, Any]) -> None:
    assert isinstance(read_command(fields), Command | Malformed)


def test_a_message_that_names_another_gateway_is_not_for_us() -> None:
    assert is_for_us(message(), "farm-1")
    assert is_for_us(message(gateway="farm-1"), "farm-1")
    assert not is_for_us(message(gateway="farm-2"), "farm-1")
    assert not is_for_us(message(gateway=["farm-1"]), "farm-1")
    assert not is_for_us({"type": "edged/readings"}, "farm-1")
    assert not is_for_us([message()], "farm-1")


def test_an_answer_says_what_became_of_it_and_no_more_than_that() -> None:
    assert result_message("g", "1", DONE) == {"type": "edged/command-result", "gateway": "g", "id": "1", "ok": True}
    late = result_message("g", "1", refused("late", "too old"))
    assert (late["ok"], late["reason"], late["message"]) == (False, "late", "too old")
    assert result_message("g", "1", Answer(ok=True, reply="null"))["reply"] is None
    assert "reply" not in late


def test_the_schema_that_is_shipped_describes_what_is_read_and_what_is_sent() -> None:
    check = fastjsonschema.compile(SCHEMA, use_default=False)

    check(message(ttl_s=5, gateway="farm-1"))
    check(message(payload={"deep": [1, None]}, expires_ms=1_700_000_000_000))
    for answer in (DONE, refused("denied", "no"), Answer(ok=True, message="long", reply='{"a": 1}')):
        check(result_message("farm-1", "1", answer))
    check(result_message("farm-1", None, refused("bad_command", "no id")))
    for wrong in (message(id=""), message(topic="a/#"), message(ttl_s=0), {"type": "edged/command"}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            check(wrong)
