"""Writes docs/sdk/reference.md: every public name of the SDK with its signature and what its docstring says."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import metered_realtime
from metered_realtime.emitter import Emitter

PAGE = Path(__file__).resolve().parents[2] / "docs/sdk/reference.md"
# Headings and what stands under them: modules of the SDK, in the order of reading.
GROUPS = {
    "Clients": ("peer", "remote_peer", "signalling", "streams"),
    "Options": ("options", "ice_servers"),
    "Messages": ("json_text",),
    "Network": ("network_watch",),
    "Data channels": ("data_channel", "reopening_channel", "json_messages"),
    "Media in": (
        "media.files",
        "media.live_player",
        "media.camera_list",
        "media.audio",
        "media.video_source",
        "media.encoded",
        "media.encoded_choice",
        "media.encoded_audio",
        "media.access_unit",
    ),
    "Media out": ("media.frames", "media.snapshot", "media.recorder"),
    "Statistics": ("stats",),
    "Events": ("events", "media.recorder_events", "media.source_state"),
    "Errors": ("errors", "media.source_errors"),
    "Logging": ("logger",),
    "Wire": ("frames",),
}
_PUBLIC = {name: module for name, module in metered_realtime._HOME.items() if name != "__version__"}  # noqa: SLF001


def page() -> str:
    """Return the whole page. Raises LookupError where a public name belongs to no group."""
    homes = dict(_PUBLIC)
    parts = [
        "# Reference of the SDK",
        "Made by `scripts/docs` from the docstrings. Every name is imported from `metered_realtime`.",
        "Numbers of sections are those of [the protocol](../protocol.md).",
    ]
    for title, modules in GROUPS.items():
        names = sorted((name for name, home in homes.items() if home in modules), key=str.lower)
        if names:
            parts.append(f"## {title}")
        for name in names:
            parts.extend(_entry(name, getattr(import_module("metered_realtime"), name)))
            del homes[name]
    parts += ["## What emits events", "Clients, peers, channels and sources have these methods in common."]
    parts.append("\n".join(_member(name, found) for name, found in _members(Emitter)))
    if homes:
        raise LookupError(f"scripts/lib/reference.py has no group for the module of {', '.join(sorted(homes))}")
    return "\n\n".join(parts) + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### {name}"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield _code(name, value)
        yield _text(value)
    elif get_args(value) and all(isinstance(each, str) for each in get_args(value)):
        yield f"One of {', '.join(f'`{each}`' for each in get_args(value))}."
    else:
        yield f"`{_shown(value)}`"


def _class(name: str, value: type) -> Iterator[str]:
    if issubclass(value, enum.Enum):
        yield _text(value)
        yield "\n".join(f"* `{member.name}` = {member.value}" for member in value)
        return
    bases = [f"[`{base.__name__}`](#{base.__name__.lower()})" for base in value.__bases__ if base.__name__ in _PUBLIC]
    yield _code(name, value)
    yield _paragraphs(value) + (f" A kind of {', '.join(bases)}." if bases else "")
    members = [_member(member, found) for member, found in _members(value)]
    if members:
        yield "\n".join(members)


def _members(value: type) -> Iterator[tuple[str, Any]]:
    """Yield what the class itself defines, or a base class of it that has no entry; in that order."""
    seen = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    for owner in value.__mro__:
        has_entry = owner is not value and (owner.__name__ in _PUBLIC or owner is Emitter)
        if has_entry or not owner.__module__.startswith("metered_realtime"):
            continue
        for name, found in vars(owner).items():
            if name not in seen and not name.startswith("_") and (isinstance(found, property) or callable(found)):
                seen.add(name)
                yield name, found


def _member(name: str, found: Any) -> str:
    if isinstance(found, property):
        return f"* `{name}`: {_text(found)}"
    return f"* `{_await(found)}{name}{_signature(found)}`: {_text(found)}"


def _code(name: str, value: Any) -> str:
    return f"```text\n{_wrapped(f'{_await(value)}{name}{_signature(value)}')}\n```"


def _await(value: Any) -> str:
    return "await " if inspect.iscoroutinefunction(value) else ""


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except ValueError:
        return ""  # a class made by the interpreter
    hidden = ("self", "clock", "sleep")  # seams of the tests
    kept = [each for each in signature.parameters.values() if each.name[0] != "_" and each.name not in hidden]
    result = signature.return_annotation
    if inspect.isclass(value) or result in ("None", None):
        result = inspect.Signature.empty
    text = str(signature.replace(parameters=kept, return_annotation=result))
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations are texts here


def _shown(value: Any) -> str:
    return str(value).replace("typing.", "").replace("collections.abc.", "")


def _wrapped(call: str) -> str:
    """Put the parameters on lines of their own where one line would be too long."""
    if len(call) <= 100 or "(" not in call:
        return call
    head, _, rest = call.partition("(")
    inside, _, tail = rest.rpartition(")")
    parts = re.split(r", (?=[*\w]+(?:[:=,]|$| ))(?![^\[\(]*[\]\)])", inside)
    return "\n".join([f"{head}(", *(f"    {part}," for part in parts), f"){tail}"])


def _paragraphs(value: Any) -> str:
    """Return the docstring with its paragraphs, and its example as a block."""
    parts = []
    for paragraph in (inspect.getdoc(value) or "").split("\n\n"):
        if paragraph.startswith("    "):
            parts.append(f"```text\n{inspect.cleandoc(paragraph)}\n```")
        elif paragraph != "::":
            parts.append(" ".join(paragraph.split()))
    return "\n\n".join(parts)


def _text(value: Any) -> str:
    text = inspect.getdoc(value.fget if isinstance(value, property) else value) or ""
    return " ".join(text.split())


if __name__ == "__main__":
    PAGE.write_text(page())
