"""Settings as YAML text: the effective ones with secrets masked, and the commented file that shows every key."""

from __future__ import annotations

import dataclasses
import json
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from edged.settings import CameraSettings, CommandRuleSettings, RouteSettings, Secret, SenderSettings, Settings

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
_GUESSED = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
_HEAD = """\
# The settings of edged. Every key is shown with its default; to change one, remove '# ' before it.
# Check the file with:  edged check /etc/edged.yaml
"""
# The one thing defaults cannot show: what an entry of a list looks like.
_EXAMPLES: Mapping[type, Mapping[str, Any]] = {
    CameraSettings: {"": "yard", "source": "rtsp://192.168.1.20/stream1"},
    CommandRuleSettings: {"topics": ["farm/+/set"], "sender": SenderSettings(metadata={"role": "operator"})},
    RouteSettings: {"topic": "greenhouse/#"},
}


def effective(settings: object) -> str:
    """Return settings as YAML, every key with its value, secrets masked."""
    return "\n".join(_group(settings, 0)) + "\n"


def _group(value: object, depth: int, skip: str = "") -> Iterator[str]:
    pad = "  " * depth
    for field in dataclasses.fields(typing.cast("Any", value)):
        if field.name != skip:
            yield from _entry(pad, field, getattr(value, field.name), depth)


def _entry(pad: str, field: dataclasses.Field[Any], value: Any, depth: int) -> Iterator[str]:
    if dataclasses.is_dataclass(value):
        yield f"{pad}{field.name}:"
        yield from _group(value, depth + 1)
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        yield f"{pad}{field.name}:"
        keyed_by = field.metadata.get("keyed_by", "")
        for item in value:
            if keyed_by:
                yield f"{pad}  {scalar(getattr(item, keyed_by))}:"
                yield from _group(item, depth + 2, keyed_by)
            else:
                lines = list(_group(item, depth + 2))
                yield f"{pad}  - {lines[0].lstrip()}"
                yield from lines[1:]
    elif field.metadata.get("keyed_by"):
        yield f"{pad}{field.name}: {{}}"
    else:
        yield f"{pad}{field.name}: {scalar(value)}"


def scalar(value: Any) -> str:
    """Write one value so that our reader, and any YAML reader, takes it for what it is."""
    if isinstance(value, Secret):
        return '"***"' if value else '""'
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _GUESSED:
        return value
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def commented() -> str:
    """Return the text of config/edged.yaml: every key, its description and its default, commented out."""
    lines = [_HEAD]
    for field in dataclasses.fields(Settings):
        kind = typing.get_type_hints(Settings)[field.name]
        lines += ["", *_doc("", field.metadata["doc"])]
        if dataclasses.is_dataclass(kind):
            lines += [f"{field.name}:", *_commented_group(typing.cast("type", kind), "  ")]
        else:
            lines += [f"{field.name}:", *_commented_items(field, kind, "  ")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _commented_group(cls: type, pad: str) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        yield from _doc(pad, field.metadata["doc"] + _allowed(field))
        if dataclasses.is_dataclass(kind):
            yield f"{pad}{field.name}:"
            yield from _commented_group(typing.cast("type", kind), pad + "  ")
        elif _item_type(kind) is not None:
            yield f"{pad}{field.name}:"
            yield from _commented_items(field, kind, pad + "  ")
        else:
            yield f"{pad}# {field.name}: {scalar(_default(field))}"


def _commented_items(field: dataclasses.Field[Any], kind: Any, pad: str) -> Iterator[str]:
    item = typing.cast("type", _item_type(kind))
    example = _EXAMPLES[item]
    keyed_by = field.metadata.get("keyed_by", "")
    if keyed_by:
        yield f"{pad}# {example['']}:"
    lines = list(_commented_entry(item, example, "  ", skip=keyed_by))
    if not keyed_by:
        first = next(index for index, line in enumerate(lines) if not line.startswith("  #"))
        lines[first] = f"- {lines[first].lstrip()}"
    yield from (f"{pad}# {line}" for line in lines)


def _commented_entry(cls: type, example: Mapping[str, Any], pad: str, *, skip: str = "") -> Iterator[str]:
    for field in dataclasses.fields(cls):
        if field.name == skip:
            continue
        value = example.get(field.name, None if field.metadata.get("required") else _default(field))
        yield from (pad + line for line in _doc("", field.metadata["doc"] + _allowed(field)))
        if dataclasses.is_dataclass(value):
            yield f"{pad}{field.name}:"
            shown = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
            yield from _commented_entry(type(value), shown, pad + "  ")
        else:
            yield f"{pad}{field.name}: {scalar(value)}"


def _item_type(kind: Any) -> type | None:
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return item if isinstance(item, type) and dataclasses.is_dataclass(item) else None
    return None


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


def _allowed(field: dataclasses.Field[Any]) -> str:
    minimum, maximum = field.metadata.get("minimum"), field.metadata.get("maximum")
    if minimum is not None and maximum is not None:
        return f" {minimum} to {maximum}."
    if minimum is not None:
        return f" At least {minimum}."
    return ""


def _doc(pad: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")
