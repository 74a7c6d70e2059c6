"""The messages between viewers and gateways; their schema is the one that docs/cameras.md shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cameras.state import CameraStatus
from edged.cameras.watch_messages import (
    MAX_NAMED,
    MAX_REASONS,
    gateway_message,
    is_gateway,
    read_watch,
    watching,
)

KNOWN = frozenset({"yard", "gate"})
DOCS = (Path(__file__).parents[3] / "docs/cameras.md").read_text()
BLOCKS = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)]
SCHEMA: dict[str, Any] = next(block for block in BLOCKS if "$defs" in block)
EXAMPLES = [block for block in BLOCKS if "$defs" not in block]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=80), inner, max_size=3),
    max_leaves=8,
)
TYPES: dict[str, Any] = {"object": dict, "string": str, "integer": int}
KEYWORDS = frozenset(
    {"type", "const", "enum", "required", "properties", "additionalProperties", "maxLength", "maxProperties", "oneOf"}
    | {"$ref", "$defs", "$schema", "title", "description"}
)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Say whether a value fits: the part of JSON Schema that the page uses, and nothing else passes unseen."""
    assert set(schema) <= KEYWORDS, f"the test does not know {set(schema) - KEYWORDS}"
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "oneOf" in schema:
        return sum(fits(value, one) for one in schema["oneOf"]) == 1
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and (isinstance(value, bool) or not isinstance(value, tuple(TYPES[kind] for kind in kinds))):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    return not isinstance(value, dict) or fits_object(value, schema)


def fits_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    known = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    if len(value) > schema.get("maxProperties", len(value)) or not set(schema.get("required", ())) <= set(value):
        return False
    for name, part in value.items():
        rule = known.get(name, more)
        if rule is False or (isinstance(rule, dict) and not fits(part, rule)):
            return False
    return True


def test_every_example_of_the_page_fits_its_schema() -> None:
    assert len(EXAMPLES) >= 3
    for example in EXAMPLES:
        assert fits(example, SCHEMA), example


def test_what_we_send_fits_the_schema() -> None:
    request = read_watch({"cameras": {"yard": "sub", "barn": "main"}, "id": 7}, KNOWN)
    for message in (
        gateway_message("farm-1"),
        watching({"yard": "sub", "gate": "none"}, request.reasons, request_id=7),
        watching({"yard": "main"}, {}, error="no"),
        CameraStatus("lost", "it is gone", 1790000000000).message("yard", "sub"),
    ):
        assert fits(message, SCHEMA), message


@pytest.mark.parametrize(
    "message",
    [
        {"type": "edged/watch"},
        {"type": "edged/watch", "cameras": {"yard": "large"}},
        {"type": "edged/watching", "cameras": {}},
        {"type": "edged/gateway"},
        {"type": "edged/other"},
        {"type": "edged/camera", "camera": "yard", "quality": "none", "state": "live", "reason": "", "since_ms": 1},
    ],
)
def test_what_is_no_message_of_ours_does_not_fit(message: dict[str, Any]) -> None:
    assert not fits(message, SCHEMA)


def test_a_request_is_read() -> None:
    found = read_watch(
        {"type": "edged/watch", "id": "a", "cameras": {"*": "none", "yard": "sub", "gate": "main"}}, KNOWN
    )
    assert (found.every, found.cameras, found.id) == ("none", {"yard": "sub", "gate": "main"}, "a")
    assert (found.reasons, found.error) == ({}, "")


def test_what_cannot_be_done_is_told_by_its_name_and_the_rest_is_done() -> None:
    found = read_watch({"cameras": {"barn": "main", "yard": "large", "*": 1, "gate": "none"}}, KNOWN)
    assert found.cameras == {"gate": "none"}
    assert found.every is None
    assert found.reasons == {
        "barn": "this gateway has no such camera here",
        "yard": "must be main, sub or none",
        "*": "must be main, sub or none",
    }


@pytest.mark.parametrize("cameras", [None, 1, "yard", ["yard"], True])
def test_a_request_that_names_no_cameras_is_refused(cameras: Any) -> None:
    assert "must be an object" in read_watch({"cameras": cameras, "id": 3}, KNOWN).error


def test_a_request_has_a_bound() -> None:
    many = {f"camera-{number}": "main" for number in range(MAX_NAMED + 1)}
    assert read_watch({"cameras": many}, KNOWN).error == f"more than {MAX_NAMED} cameras are named"
    many.popitem()
    assert len(read_watch({"cameras": many}, KNOWN).reasons) == MAX_REASONS


@pytest.mark.parametrize("odd", [True, 1.5, None, {}, [], "x" * 65, 2**53])
def test_an_id_of_another_kind_is_none(odd: Any) -> None:
    assert read_watch({"cameras": {}, "id": odd}, KNOWN).id is None


def test_a_token_can_say_that_its_peer_is_a_gateway() -> None:
    assert is_gateway({"edged": "gateway", "name": "x"})
    assert not is_gateway({"edged": "viewer"})
    assert not is_gateway({})
    assert not is_gateway(None)


@given(st.dictionaries(st.sampled_from(["cameras", "id", "type"]), JSON))
def test_nothing_that_comes_from_the_network_breaks_it(message: dict[str, Any]) -> None:
    found = read_watch(message, KNOWN)
    assert set(found.cameras) <= KNOWN
    assert len(found.reasons) <= MAX_REASONS
    assert fits(watching(found.cameras, found.reasons, request_id=found.id, error=found.error), SCHEMA)
