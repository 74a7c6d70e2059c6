"""Every module has a test file of the same path."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = {"edged": "tests/edged", "sdk/metered_realtime": "tests/sdk"}


def modules():
    for source, tests in TREES.items():
        for path in sorted((ROOT / source).rglob("*.py")):
            if path.name not in {"__init__.py", "__main__.py"}:
                inner = path.relative_to(ROOT / source)
                yield path.relative_to(ROOT), Path(tests) / inner.parent / f"test_{inner.name}"


@pytest.mark.parametrize(("module", "test"), list(modules()), ids=str)
def test_a_module_has_its_test_file(module, test):
    assert (ROOT / test).is_file(), f"{module} has no {test}"


def test_there_are_modules_to_look_at():
    assert len(list(modules())) > 40
