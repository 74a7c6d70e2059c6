"""What every fuzz test watches."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fuzz.faults import Faults


@pytest.fixture
def faults() -> Iterator[Faults]:
    handler, root = Faults(), logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
