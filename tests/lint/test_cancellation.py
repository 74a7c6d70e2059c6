"""What runs while its task is being cancelled keeps its time limits on every Python there is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDINGS = re.compile(r"(?:^|_)(?:close|aclose|stop|finish|end|aexit|cleanup|teardown)(?:_|$)")
FILES = sorted(
    path for tree in ("edged", "sdk/metered_realtime", "scripts/lib") for path in (ROOT / tree).rglob("*.py")
)


def limits_of_endings(source):
    """Return the lines of `asyncio.timeout` in coroutines that end something."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.AsyncFunctionDef) and ENDINGS.search(function.name.strip("_")):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in {"asyncio.timeout", "asyncio.timeout_at"}:
                    yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_endings_do_not_use_asyncio_timeout(path):
    # Before Python 3.11.4 (Debian 12 has 3.11.2) it never raises TimeoutError in a task that is being cancelled.
    assert not list(limits_of_endings(path.read_text())), "use asyncio.wait_for in code that runs during a cancellation"


def test_the_check_sees_what_it_looks_for():
    assert list(limits_of_endings("async def aclose():\n    async with asyncio.timeout(1):\n        pass\n")) == [2]
