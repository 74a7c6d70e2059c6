"""Schemas are compiled when they are needed, from nowhere but the settings, and never end the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.commands.schema import SchemaError, anything, compiled, validators
from edged.settings_commands import CommandRuleSettings, CommandSettings, SenderSettings


def rule(**more: Any) -> CommandRuleSettings:
    return CommandRuleSettings(topics=("a",), sender=SenderSettings(anyone=True), **more)


def check_of(one: CommandRuleSettings) -> Any:
    ((_, validate),) = validators(CommandSettings(rules=(one,)))
    return validate


def test_a_rule_without_a_schema_takes_anything() -> None:
    assert check_of(rule()) is anything
    assert anything({"a": [1]}) == ""


def test_a_schema_of_the_settings_or_of_a_file_is_kept_to(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps({"type": "number", "minimum": 5, "maximum": 30}))

    for validate in (
        check_of(rule(schema={"type": "number", "maximum": 30, "minimum": 5})),
        check_of(rule(schema_file=str(file))),
    ):
        assert validate(21.5) == ""
        assert validate(31) == "payload must be smaller than or equal to 30"
        assert validate("21") == "payload must be number"


def test_a_default_of_a_schema_is_not_put_into_the_payload() -> None:
    payload: dict[str, Any] = {}

    assert compiled({"properties": {"on": {"default": True}}}, "x")(payload) == ""
    assert payload == {}


@pytest.mark.parametrize(
    "schema",
    [
        5, "text", {"type": "colour"}, {"properties": 5}, {"allOf": 3}, {"type": "string", "pattern": "("},
        {"$ref": "http://127.0.0.1:9/x"}, {"$ref": "file:///etc/passwd"}, {"$ref": "other.json"},
        {"$ref": "#/definitions/none"}, {"minimum": "a"},
    ],
)  # fmt: skip
def test_what_is_no_schema_is_refused_with_its_place(schema: Any) -> None:
    with pytest.raises(SchemaError, match=r"^commands\.rules\[3\]\.schema: "):
        compiled(schema, "commands.rules[3].schema")


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, "5", " " * 300_000])
def test_a_file_that_holds_no_schema_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "schema.json"
    file.write_text(text)

    with pytest.raises(SchemaError, match=r"^commands\.rules\[0\]\.schema_file"):
        check_of(rule(schema_file=str(file)))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be read"):
        check_of(rule(schema_file=str(tmp_path / "none.json")))


def test_payloads_that_the_library_stumbles_over_are_refused() -> None:
    assert compiled({"multipleOf": 0.1}, "x")(10**400)
    endless = compiled({"$ref": "#"}, "x")
    assert endless({"a": 1})


def test_the_library_is_loaded_with_the_first_schema() -> None:
    code = (
        "import sys; from edged.commands import commands, schema\n"
        "from edged.settings_commands import *\n"
        "rule = CommandRuleSettings(topics=('a',), sender=SenderSettings(anyone=True))\n"
        "schema.validators(CommandSettings(rules=(rule,)))\n"
        "print('fastjsonschema' in sys.modules)\n"
        "schema.compiled({'type': 'number'}, 'x')\n"
        "print('fastjsonschema' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["False", "True"]
