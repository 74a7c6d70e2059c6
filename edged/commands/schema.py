"""JSON schemas of payloads (draft 7), made into checks. The one door to fastjsonschema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

from edged.commands.policy import Validate
from edged.errors import EdgedError
from edged.settings_commands import CommandRuleSettings, CommandSettings

_MAX_SCHEMA_BYTES = 256 * 1024
_MAX_SENTENCE = 200
# What the library stumbles over in a senseless schema, or in a number with hundreds of digits.
_STUMBLES = (
    ArithmeticError, AttributeError, KeyError, RecursionError, SyntaxError, TypeError, ValueError, re.error,
)  # fmt: skip


class SchemaError(EdgedError):
    """A schema cannot be used; the text says which, and why."""


def anything(_payload: Any) -> str:
    """Find nothing wrong."""
    return ""


def validators(settings: CommandSettings) -> list[tuple[CommandRuleSettings, Validate]]:
    """Return every rule with the check of its schema. Raises SchemaError for the first that cannot be used."""
    return [(rule, _validator(rule, f"commands.rules[{number}]")) for number, rule in enumerate(settings.rules)]


def _validator(rule: CommandRuleSettings, where: str) -> Validate:
    if rule.schema_file:
        return compiled(_read(Path(rule.schema_file), where), f"{where}.schema_file")
    return compiled(dict(rule.schema), f"{where}.schema") if rule.schema else anything


def compiled(schema: Any, where: str) -> Validate:
    """Return the check that a schema describes. Nothing is fetched for it, from nowhere."""
    import fastjsonschema  # noqa: PLC0415 - without a schema never

    if not isinstance(schema, dict | bool):
        raise SchemaError(f"{where}: a schema is an object, for example {{type: number}}")
    handlers = dict.fromkeys(("", "http", "https", "file", "ftp", "data"), _refuse)
    try:
        check = fastjsonschema.compile(schema, handlers=handlers, use_default=False)
    except (fastjsonschema.JsonSchemaException, *_STUMBLES) as error:
        raise SchemaError(f"{where}: not a JSON schema (draft 7): {str(error)[:_MAX_SENTENCE]}") from None

    def validate(payload: Any) -> str:
        try:
            check(payload, name_prefix="payload")
        except (fastjsonschema.JsonSchemaException, *_STUMBLES) as error:
            return str(error)[:_MAX_SENTENCE] or "payload does not fit the schema"
        return ""

    return validate


def _read(path: Path, where: str) -> Any:
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_SCHEMA_BYTES + 1)
        if len(text) > _MAX_SCHEMA_BYTES:
            raise SchemaError(f"{where}.schema_file: {path} is larger than {_MAX_SCHEMA_BYTES} bytes")
        return json.loads(text)
    except OSError as error:
        raise SchemaError(f"{where}.schema_file: {path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise SchemaError(f"{where}.schema_file: {path} is not JSON") from None


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"$ref to {uri[:80]!r}: only references inside the schema are followed")
