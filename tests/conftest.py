"""For all tests: the quick ones run first, those with real peers last, whatever order chance gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW_FOLDERS = ("interop", "system", "faults", "package")


def rank(path: Path) -> int:
    """Return 0 for unit tests, more for the slower folders."""
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return SLOW_FOLDERS.index(folder) + 1 if folder in SLOW_FOLDERS else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path))
