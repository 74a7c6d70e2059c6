"""Paths into JSON, as settings have them: `data.temp_c`, `bat[0]`, `["a name.with dots"].value`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_STEP = re.compile(r'(?:\A|\.)([^.\[\]"]+)|\[(-?\d{1,6})\]|(?:\A|\.)?\["([^"]+)"\]')
_MAX_STEPS = 32
MISSING: Any = object()
"""Nothing stands there; null is something."""

Steps = tuple[str | int, ...]


def path_fault(path: str) -> str:
    """Return what is wrong with a path and what would be right, or an empty string."""
    steps = parse(path)
    if not steps:
        return f'{path!r} is no path into JSON; write for example temp, data.temp_c, bat[0] or ["odd.name"].x'
    if len(steps) > _MAX_STEPS:
        return f"a path has at most {_MAX_STEPS} steps, this one has {len(steps)}"
    return ""


def optional_path_fault(path: str) -> str:
    """Check a path that may be left empty."""
    return path_fault(path) if path else ""


def parse(path: str) -> Steps:
    """Return the steps of a path, none if it is not one."""
    if path.startswith("."):
        return ()
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return ()
        name, index, quoted = step.groups()
        steps.append(int(index) if index is not None else name if name is not None else quoted)
        at = step.end()
    return tuple(steps)


def pick(value: Any, steps: Sequence[str | int]) -> Any:
    """Return what stands at a path, or MISSING."""
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return MISSING
            value = value[step]
        else:
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return MISSING
            value = value[step]
    return value
