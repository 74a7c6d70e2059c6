"""YAML as the settings read it: a bounded tree of nodes with positions, and single values without YAML's guesses
(`no` is not false where a text is meant, `0777` is not 511)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edged.settings import Secret

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH = 32
_MAX_EVENTS = 50_000
_MAX_SHOWN = 40
_TAG = "tag:yaml.org,2002:"
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})\Z")
_NUMBER = re.compile(r"[-+]?[0-9]{1,19}(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?\Z")
_GUESSES = {
    "bool": "true or false",
    "null": "no value",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "merge": "a merge key",
    "value": "a default value",
}
# What the parser shows of the text: a name after * or &, or the handle of a tag; it may be part of a password.
_SHOWN_TEXT = re.compile(r"(alias|anchor|handle) '.*'", re.DOTALL)
_MISPLACED_COLON = "a ':' where none fits; check the indentation and the space after the ':' above, or quote the text"
# The parser in C and the one in Python do not always use the same words.
_ADVICE = {
    "mapping values are not allowed in this context": _MISPLACED_COLON,
    "mapping values are not allowed here": _MISPLACED_COLON,
    "found undefined alias": "an alias (*name) without its anchor (&name); put a text that begins with * in quotes",
    "but found another document": "'---' begins a second document; a settings file holds one",
    "did not find expected key": "not in line with its group; indent with the same number of spaces",
    "could not find expected ':'": "a key without its ':'",
    "found unexpected end of stream": "a quoted text begins here and does not end; a closing quote is missing",
    "did not find expected alphabetic or numeric character": "put a text that begins with * or & in quotes",
}


class YamlSyntaxError(Exception):
    """The text is not the YAML that settings are written in; line and column count from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column


class WrongValueError(Exception):
    """One value is not what its setting takes; the text says what it is and what would be right."""


def compose(text: str, loader: Any = _LOADER) -> Node | None:
    """Parse the text into nodes, or raise YamlSyntaxError. None is an empty file."""
    bad = _NOT_TEXT.search(text)
    if bad:
        line, column = position_of(text, bad.start())
        raise YamlSyntaxError(
            f"the character U+{ord(bad[0]):04X} must not stand in a text file; remove it", line, column
        )
    try:
        _check_bounds(text, loader)
        return yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as err:
        raise _syntax_error(err, text) from None


def position_of(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at `offset`."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _check_bounds(text: str, loader: Any) -> None:
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=loader)
    for count, event in enumerate(events):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH or count > _MAX_EVENTS:
            what = f"more than {_MAX_DEPTH} levels deep" if depth > _MAX_DEPTH else f"more than {_MAX_EVENTS} values"
            raise YamlSyntaxError(
                f"{what}; no settings need that", event.start_mark.line + 1, event.start_mark.column + 1
            )


def _syntax_error(err: yaml.MarkedYAMLError, text: str) -> YamlSyntaxError:
    mark = err.problem_mark or err.context_mark
    if err.problem == "found unexpected end of stream":
        mark = err.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = _SHOWN_TEXT.sub(r"\1", err.problem or "not valid YAML")
    lines = text.splitlines()
    if err.context_mark and "flow" in (err.context or "") and line > len(lines):
        return YamlSyntaxError("a '[' or '{' is not closed", err.context_mark.line + 1, err.context_mark.column + 1)
    if line <= len(lines) and "\t" in lines[line - 1][: column + 1] and ("token" in problem or "tab" in problem):
        return YamlSyntaxError("a tab cannot indent YAML; use spaces", line, column)
    advice = _ADVICE.get(problem)
    if advice is None:
        context = f"{err.context}, " if err.context else ""
        advice = f"not valid YAML: {context}{problem}"
    return YamlSyntaxError(advice, line, column)


def describe(node: Node, *, is_secret: bool = False) -> str:
    """Name a node in a message, without showing a secret."""
    if isinstance(node, MappingNode):
        return "a group of keys"
    if isinstance(node, SequenceNode):
        return "a list"
    if is_null(node):
        return "nothing"
    if is_secret:
        return "a single value"
    text = str(node.value)
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def is_null(node: Node) -> bool:
    """Say whether a key has no value (`key:`, `key: null`)."""
    return isinstance(node, ScalarNode) and node.tag == _TAG + "null" and not node.style


def _plain_tag(node: ScalarNode) -> str:
    """Return what YAML takes an unquoted scalar for: bool, int, null, ...; text is str."""
    tag = str(node.tag)
    if not tag.startswith(_TAG):
        raise WrongValueError("put a text that begins with ! in quotes; YAML takes it for a tag, and none is supported")
    return tag.removeprefix(_TAG)


def read_text(node: Node, *, is_secret: bool = False) -> str:
    """Read a text; a scalar that YAML takes for something else must be quoted."""
    if not isinstance(node, ScalarNode):
        raise WrongValueError(f"expected a text, got {describe(node, is_secret=is_secret)}")
    if is_null(node):
        raise WrongValueError("expected a text, got nothing; put a text that begins with # in quotes")
    tag = _plain_tag(node)
    if tag != "str":
        shown = "this value" if is_secret else describe(node)
        quoted = "" if is_secret else f': "{node.value}"'
        raise WrongValueError(f"{shown} is {_GUESSES.get(tag, tag)} to YAML, a text is meant; put it in quotes{quoted}")
    return str(node.value)


def read_bool(node: Node) -> bool:
    """Read true or false, and not the other words that YAML 1.1 takes for them."""
    if isinstance(node, ScalarNode) and not node.style and node.value in {"true", "false"}:
        return bool(node.value == "true")
    raise WrongValueError(f"expected true or false, got {describe(node)}")


def read_int(node: Node) -> int:
    """Read a whole decimal number."""
    if isinstance(node, ScalarNode) and not node.style and _INTEGER.match(node.value):
        return int(node.value)
    raise WrongValueError(f"expected a whole number, got {_describe_number(node)}")


def read_float(node: Node) -> float:
    """Read a finite decimal number."""
    if isinstance(node, ScalarNode) and not node.style and _NUMBER.match(node.value):
        value = float(node.value)
        if math.isfinite(value):
            return value
    raise WrongValueError(f"expected a number, got {_describe_number(node)}")


def _describe_number(node: Node) -> str:
    if isinstance(node, ScalarNode) and node.style and _NUMBER.match(node.value):
        return f"a text; remove the quotes: {node.value}"
    if isinstance(node, ScalarNode) and re.match(r"[-+]?0[0-9]", node.value):
        return f"{describe(node)}, which YAML takes for octal; write it without leading zeros"
    return describe(node)


def read_scalar(kind: type, node: Node) -> Any:
    """Read one value of a scalar type."""
    if kind is bool:
        return read_bool(node)
    if kind is int:
        return read_int(node)
    if kind is float:
        return read_float(node)
    if issubclass(kind, Secret):
        return Secret(read_text(node, is_secret=True))
    return read_text(node)


def read_any(node: Node) -> Any:
    """Read a scalar whose type the file chooses: text, number, true, false or null."""
    if is_null(node):
        return None
    if not isinstance(node, ScalarNode):
        raise WrongValueError(f"expected a single value, got {describe(node)}")
    tag = _plain_tag(node)
    if tag == "str":
        return str(node.value)
    if tag == "bool":
        try:
            return read_bool(node)
        except WrongValueError as error:
            raise WrongValueError(f'{error}; if a text is meant, put it in quotes: "{node.value}"') from None
    if tag == "int":
        return read_int(node)
    if tag == "float":
        return read_float(node)
    raise WrongValueError(f"{describe(node)} is {_GUESSES.get(tag, tag)} to YAML; put it in quotes if a text is meant")
