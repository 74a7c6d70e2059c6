"""One room for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sdk.defects.room import Room, plain_room


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with plain_room() as running:
        yield running
