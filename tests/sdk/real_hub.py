"""The hub as a child process, for tests of peers: one for the whole run, a channel of its own for each test."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEY = "pk_live_tests"

_channels = itertools.count(1)


def environment() -> dict[str, str]:
    """Return an environment in which both packages of this tree are found."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}


@pytest.fixture(scope="session")
def hub_url() -> Iterator[str]:
    command = [sys.executable, "-m", "edged.hub", "--listen", "127.0.0.1:0", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as hub:
        assert hub.stdout is not None
        try:
            yield json.loads(hub.stdout.readline())["url"]
        finally:
            hub.terminate()


@pytest.fixture
def channel() -> str:
    return f"room-{next(_channels)}"
