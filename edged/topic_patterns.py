"""Topic filters of routes: as MQTT has them, and with levels that are named, for use in the channel. Pure.

`farm/{barn}/temp` selects what `farm/+/temp` does and calls the second level "barn"; `farm/{path...}` selects what
`farm/#` does and calls all that follows "path". A template, `farm-{barn}`, is filled with what was found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAMED = re.compile(r"\{([a-z][a-z0-9_]*)(\.\.\.)?\}\Z")
_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A plain topic filter, for the broker, and the levels that have names."""

    filter: str
    levels: tuple[tuple[str, int], ...] = ()
    rest: tuple[str, int] | None = None
    """The name of all levels from an index on."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the levels."""
        return tuple(name for name, _ in (*self.levels, *((self.rest,) if self.rest else ())))

    def captured(self, topic: str) -> dict[str, str]:
        """Return what the names stand for in a topic that the filter selects."""
        parts = topic.split("/")
        found = {name: parts[index] for name, index in self.levels}
        if self.rest:
            name, index = self.rest
            found[name] = "/".join(parts[index:])
        return found


def parse(text: str) -> Pattern:
    """Read a filter with names; `pattern_fault` has found nothing wrong with it."""
    plain: list[str] = []
    levels: list[tuple[str, int]] = []
    rest = None
    for index, level in enumerate(text.split("/")):
        named = _NAMED.match(level)
        if named is None:
            plain.append(level)
        elif named[2]:
            plain.append("#")
            rest = (named[1], index)
        else:
            plain.append("+")
            levels.append((named[1], index))
    return Pattern("/".join(plain), tuple(levels), rest)


def pattern_fault(text: str) -> str:
    """Return what is wrong with the names in a filter and what would be right, or an empty string."""
    levels = text.split("/")
    for level in levels:
        if ("{" in level or "}" in level) and not _NAMED.match(level):
            return (
                f"{level!r} names no level; a whole level is named with a-z, 0-9 and _, as in farm/{{barn}}/temp, "
                "all that follow as in farm/{path...}"
            )
    names = parse(text).names
    if len(set(names)) < len(names):
        return f"{next(name for name in names if names.count(name) > 1)!r} names two levels; give each its own name"
    if any(level.endswith("...}") for level in levels[:-1]):
        return "{...} names all levels that follow and stands last, as in farm/{path...}"
    return ""


def template_fault(template: str, names: tuple[str, ...]) -> str:
    """Return what is wrong with a template that is filled from `names`, or an empty string."""
    bare = _PLACE.sub("", template)
    if "{" in bare or "}" in bare:
        return "a brace is not closed; a name of the topic is written as in farm-{barn}"
    for name in _PLACE.findall(template):
        if name not in names:
            known = f"topic names {', '.join(names)}" if names else "topic names none; write for example farm/{barn}/#"
            return f"{{{name}}} is no name in the route's topic; {known}"
    return ""


def fill(template: str, captured: Mapping[str, str]) -> str:
    """Put what was found into a template."""
    return _PLACE.sub(lambda place: captured[place[1]], template)
