"""How a setting is declared: its default, its one-line description, its limits; and secrets that hide. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any


class Secret(str):
    """A string that never shows itself: `repr` and `format` are masked, `reveal()` is the one door."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')" if len(self) else "Secret('')"

    def __str__(self) -> str:
        return "***" if len(self) else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return "".join(self)


def setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    file_for: str = "",
    keyed_by: str = "",
    is_path: bool = False,
    check: Callable[[Any], str] | None = None,
) -> Any:
    """Declare one setting.

    `file_for` names the field whose value this file holds; `keyed_by` the field that takes the key of a YAML
    mapping whose values are these objects; `is_path` marks a file name that is read relative to the
    settings file; `check` returns what is wrong with a value and what would be right, or "".
    """
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "file_for": file_for,
        "keyed_by": keyed_by,
        "is_path": is_path,
        "check": check,
    }
    return field(default=default, metadata=metadata)


def required(doc: str, *, check: Callable[[Any], str] | None = None) -> Any:
    """Declare a setting that has no default."""
    return field(metadata={"doc": doc, "required": True, "check": check})


def section(factory: Callable[[], Any], doc: str) -> Any:
    """Declare a group of settings that may be left out as a whole."""
    return field(default_factory=factory, metadata={"doc": doc})


# A settings class may have a method `cross_faults(self) -> Iterator[tuple[str, str]]`: pairs of a key path
# relative to it and a sentence, for rules that need more than one value.


def secrets_in(value: object) -> Iterator[str]:
    """Yield every secret of a settings tree, for the redaction of logs."""
    if isinstance(value, Secret):
        if value:
            yield value.reveal()
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from secrets_in(getattr(value, item.name))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from secrets_in(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from secrets_in(part)
