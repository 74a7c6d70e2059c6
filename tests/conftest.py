"""For all tests: the quick ones run first, those with real peers last, whatever order chance gave them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile("edged", deadline=None)
hypothesis.settings.load_profile("edged")

SLOW_FOLDERS = ("interop", "system", "faults", "package")


def rank(path: Path) -> int:
    """Return 0 for unit tests, more for the slower folders."""
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return SLOW_FOLDERS.index(folder) + 1 if folder in SLOW_FOLDERS else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path))


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test that configures the log leaves behind, levels that loggers have cached included."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {None: root.level}
    levels |= {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    yield
    root.handlers[:] = handlers
    for name in [None, *logging.root.manager.loggerDict]:
        # setLevel, not an assignment: only that forgets what each logger has cached.
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    logging.raiseExceptions = True
