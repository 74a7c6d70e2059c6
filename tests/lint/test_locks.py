"""The locks hold what the packages declare, and name no download address."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "scripts").glob("requirements*.lock"))
OWN = {"edged", "edged-sdk"}


def locked() -> dict[str, Version]:
    """Return name -> version of the run-time lock."""
    text = (ROOT / "scripts/requirements.lock").read_text()
    return {name: Version(version) for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE)}


def declared() -> list[Requirement]:
    """Return what both packages need at run time, extras included."""
    daemon = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sdk = tomllib.loads((ROOT / "sdk/pyproject.toml").read_text())["project"]
    extras = [line for lines in sdk["optional-dependencies"].values() for line in lines]
    found = [Requirement(line) for line in [*daemon["dependencies"], *sdk["dependencies"], *extras]]
    return [requirement for requirement in found if requirement.name not in OWN]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_every_declared_dependency_is_locked_at_a_version_it_allows(requirement: Requirement) -> None:
    version = locked()[canonicalize_name(requirement.name)]

    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_python_lock_is_hashed_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert "index-url" not in text
    names = re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(names) == len(blocks)
    assert all("--hash=sha256:" in block for block in blocks)


def test_npm_lock_names_no_address() -> None:
    packages = json.loads((ROOT / "scripts/node/package-lock.json").read_text())["packages"]

    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
