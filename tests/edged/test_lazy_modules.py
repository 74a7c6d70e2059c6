"""Modules that are imported for nothing cost nothing, and work when they are used after all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from scripts.lib import peers

BEGIN = "import json, sys; from edged.lazy_modules import load_when_used; load_when_used(); "


def told_by(program: str) -> Any:
    """Run a program in an interpreter of its own and return what it prints."""
    answer = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        check=True,
        capture_output=True,
        env=peers.tree_environment(),
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize("library", ["websockets.asyncio.client", "edged.mqtt", "metered_realtime.signalling"])
def test_our_libraries_do_not_load_what_they_do_not_use(library: str) -> None:
    loaded = told_by(f"import {library}; print(json.dumps(list(sys.modules)))")
    assert library in loaded
    assert not {"email", "http.client", "zipfile", "tempfile"} & set(loaded)


def test_they_work_when_they_are_used() -> None:
    program = "import urllib.request, importlib.metadata; print(json.dumps([{}, {}]))"
    proxies, version = told_by(
        program.format("urllib.request.getproxies()", "importlib.metadata.version('websockets')")
    )
    assert isinstance(proxies, dict)
    assert int(version.split(".")[0]) >= 15


def test_what_is_loaded_already_and_what_does_not_exist_is_left_alone() -> None:
    program = """
import http.client
load_when_used(["http.client", "http.nothing", "importlib.metadata"])
print(json.dumps([sys.modules["http.client"] is http.client, "http.nothing" in sys.modules]))
"""
    assert told_by(program.strip().replace("\n", "; ")) == [True, False]
