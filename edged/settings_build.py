"""From YAML nodes to frozen settings: every fault is collected with its position, and a faulty value is replaced
by its default so that the rest of the file is still checked."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Protocol

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edged.settings import Secret
from edged.settings_faults import Fault, FaultList, TooManyFaultsError
from edged.settings_yaml import WrongValueError, describe, is_null, read_any, read_scalar, read_text

_FAULTY: Any = object()
_MAX_VALUES = 20_000
_MAX_JSON_DEPTH = 8


class SecretFileError(Exception):
    """A file that holds a secret cannot be used; the text says why and what would be right."""


class Files(Protocol):
    """What the builder asks of the disk."""

    def resolve(self, name: str) -> Path:
        """Return the path that `name` in the settings file means."""

    def missing(self, path: Path) -> str:
        """Return why a file cannot be read, or an empty string."""

    def secret(self, path: Path) -> str:
        """Return the secret that the file holds, or raise SecretFileError."""


class Builder:
    """One pass over one file; `faults` is complete when `build` returns."""

    def __init__(self, file: str, files: Files) -> None:
        self._list = FaultList(file)
        self._files = files
        self._values = 0

    @property
    def faults(self) -> list[Fault]:
        """Everything that is wrong, in the order it was found."""
        return self._list.faults

    def build(self, cls: type, node: Node | None) -> Any:
        """Return an instance of `cls`, or anything at all if there are faults."""
        try:
            if node is None or is_null(node):
                return self._make(cls, {}, "")
            self._list.place("", node)
            return self._section(cls, node, "", {})
        except TooManyFaultsError:
            return None

    # Groups of keys

    def _section(self, cls: type, node: Node, path: str, given: Mapping[str, Any]) -> Any:
        if not isinstance(node, MappingNode):
            first = next(field.name for field in dataclasses.fields(cls) if field.name not in given)
            self._list.add(path, _no_group(node, first), node)
            return _FAULTY
        kinds = typing.get_type_hints(cls)
        known = {field.name: field for field in dataclasses.fields(cls) if field.name not in given}
        values = dict(given)
        for key, key_node, value_node in self._pairs(node, path):
            at = f"{path}.{key}" if path else key
            self._list.place(at, key_node)
            if key not in known:
                self._list.add(at, _unknown(key, known), key_node)
                continue
            value = self._value(kinds[key], value_node, at, known[key].metadata)
            if value is not _FAULTY:
                values[key] = value
        self._read_secret_files(known, values, path)
        return self._make(cls, values, path)

    def _pairs(self, node: MappingNode, path: str) -> Iterator[tuple[str, Node, Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            self._count(key_node)
            if not isinstance(key_node, ScalarNode):
                self._list.add(path, "a key must be a single word", key_node)
                continue
            try:
                key = read_text(key_node)
            except WrongValueError as err:
                merge = "merge keys (<<) are not supported; repeat the keys" if key_node.value == "<<" else ""
                self._list.add(path, merge or f"a key is a text; {err}", key_node)
                continue
            if key in seen:
                self._list.add(
                    f"{path}.{key}" if path else key, f"given twice; it is already in line {seen[key]}", key_node
                )
                continue
            seen[key] = key_node.start_mark.line + 1
            yield key, key_node, value_node

    def _make(self, cls: type, values: dict[str, Any], path: str) -> Any:
        buildable = True
        for field in dataclasses.fields(cls):
            at = f"{path}.{field.name}" if path else field.name
            if field.metadata.get("required") and field.name not in values:
                buildable = False
                if not self._list.has(at):
                    self._list.add(at, f"is missing; {field.metadata['doc']}")
        if not buildable:
            return _FAULTY
        made = cls(**values)
        check = getattr(made, "cross_faults", None)
        for key, problem in check() if check else ():
            at = f"{path}.{key}" if path else key
            if not self._list.is_near(at):
                self._list.add(at, problem)
        return made

    # Values

    def _count(self, node: Node) -> None:
        self._values += 1
        if self._values > _MAX_VALUES:
            self._list.add("", f"more than {_MAX_VALUES} values, aliases counted where they are used", node)
            raise TooManyFaultsError

    def _value(self, kind: Any, node: Node, path: str, metadata: Mapping[str, Any]) -> Any:
        self._count(node)
        origin = typing.get_origin(kind)
        if origin in {typing.Union, UnionType}:
            if is_null(node):
                return None
            kind = next(arg for arg in typing.get_args(kind) if arg is not NoneType)
            origin = typing.get_origin(kind)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self._make(kind, {}, path) if is_null(node) else self._section(kind, node, path, {})
        if origin is tuple:
            return self._items(typing.get_args(kind)[0], node, path, metadata)
        if origin is not None and issubclass(origin, Mapping):
            return self._free(node, path)
        try:
            return self._checked(read_scalar(kind, node), kind, metadata)
        except WrongValueError as err:
            self._list.add(path, str(err), node)
            return _FAULTY

    def _checked(self, value: Any, kind: type, metadata: Mapping[str, Any]) -> Any:
        minimum, maximum, choices = (metadata.get(name) for name in ("minimum", "maximum", "choices"))
        if choices and value not in choices:
            near = _nearest(str(value), choices)
            raise WrongValueError(f"{value!r} is not one of {', '.join(choices)}" + (f"; {near}" if near else ""))
        if kind in {int, float}:
            if minimum is not None and value < minimum:
                raise WrongValueError(f"{value} is too small; {_range(minimum, maximum)}")
            if maximum is not None and value > maximum:
                raise WrongValueError(f"{value} is too large; {_range(minimum, maximum)}")
        check: Callable[[Any], str] | None = metadata.get("check")
        plain = value.reveal() if isinstance(value, Secret) else value
        if check and (problem := check(plain)):
            raise WrongValueError(problem)
        if metadata.get("is_path") and value:
            path = self._files.resolve(value)
            if problem := self._files.missing(path):
                raise WrongValueError(problem)
            return str(path)
        return value

    def _items(self, kind: Any, node: Node, path: str, metadata: Mapping[str, Any]) -> Any:
        if is_null(node):
            return ()
        keyed_by = metadata.get("keyed_by")
        if keyed_by:
            return self._named(kind, node, path, keyed_by)
        if not isinstance(node, SequenceNode):
            what = describe(node, is_secret=True)
            self._list.add(path, f"expected a list, got {what}; begin each entry with '- '", node)
            return _FAULTY
        made = []
        each = {**metadata, "check": None}
        for index, item in enumerate(node.value):
            at = f"{path}[{index}]"
            self._list.place(at, item)
            made.append(self._value(kind, item, at, each))
        if any(item is _FAULTY for item in made):
            return _FAULTY
        check = metadata.get("check")
        if check and (problem := check(tuple(made))):
            self._list.add(path, problem, node)
            return _FAULTY
        return tuple(made)

    def _named(self, kind: type, node: Node, path: str, keyed_by: str) -> Any:
        if not isinstance(node, MappingNode):
            what = describe(node, is_secret=True)
            self._list.add(path, f"expected names with a group of keys under each, got {what}", node)
            return _FAULTY
        field = next(one for one in dataclasses.fields(kind) if one.name == keyed_by)
        made = []
        for key, key_node, value_node in self._pairs(node, path):
            at = f"{path}.{key}"
            self._list.place(at, key_node)
            try:
                name = self._checked(key, str, field.metadata)
            except WrongValueError as err:
                self._list.add(at, str(err), key_node)
                continue
            if is_null(value_node):
                made.append(self._make(kind, {keyed_by: name}, at))
            else:
                made.append(self._section(kind, value_node, at, {keyed_by: name}))
        return tuple(item for item in made if item is not _FAULTY)

    def _free(self, node: Node, path: str) -> Any:
        if is_null(node):
            return MappingProxyType({})
        if not isinstance(node, MappingNode):
            self._list.add(path, _no_group(node, "role"), node)
            return _FAULTY
        value = self._json(node, path, 0)
        return _FAULTY if value is _FAULTY else MappingProxyType(value)

    def _json(self, node: Node, path: str, depth: int) -> Any:
        self._count(node)
        if depth > _MAX_JSON_DEPTH:
            self._list.add(path, f"more than {_MAX_JSON_DEPTH} levels deep", node)
            return _FAULTY
        if isinstance(node, MappingNode):
            return {key: self._json(value, f"{path}.{key}", depth + 1) for key, _, value in self._pairs(node, path)}
        if isinstance(node, SequenceNode):
            return [self._json(value, f"{path}[{i}]", depth + 1) for i, value in enumerate(node.value)]
        try:
            return read_any(node)
        except WrongValueError as err:
            self._list.add(path, str(err), node)
            return _FAULTY

    # Secrets in files of their own

    def _read_secret_files(self, known: Mapping[str, Any], values: dict[str, Any], path: str) -> None:
        for name, field in known.items():
            target = field.metadata.get("file_for")
            if not target or not values.get(name):
                continue
            at, target_at = (f"{path}.{one}" if path else one for one in (name, target))
            if values.get(target) or self._list.has(target_at):
                self._list.add(at, f"given together with {target}; keep one of the two")
                continue
            file = self._files.resolve(values[name])
            try:
                values[target] = self._checked(Secret(self._files.secret(file)), Secret, known[target].metadata)
                values[name] = str(file)
            except (SecretFileError, WrongValueError) as err:
                self._list.add(at, f"{file}: {err}" if isinstance(err, WrongValueError) else str(err))
                self._list.mark(target_at)


def _no_group(node: Node, example: str) -> str:
    """What stands where keys should is not shown: it may be an address with its login, or `key:SECRET` in one."""
    hint = f"; write {example}: VALUE, with a space after the ':'" if isinstance(node, ScalarNode) else ""
    return f"expected a group of keys, got {describe(node, is_secret=True)}{hint}"


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"give {minimum} to {maximum}"
    return f"give at least {minimum}" if minimum is not None else f"give at most {maximum}"


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    return f"unknown key; {_nearest(key, known) or 'known here: ' + ', '.join(known)}"


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - a file without faults never needs it

    near = get_close_matches(word.lower(), list(known), 1)
    return f"did you mean {near[0]!r}?" if near else ""
