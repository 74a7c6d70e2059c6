"""What the gateway promises, with real processes round it: nothing lost, nothing out of order, one id for one reading.

Scenarios that leave the machine enough air run side by side. In full length: scripts/test-faults.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.outcome import Outcome
from tests.faults.scenarios import SCENARIOS

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SIDE_BY_SIDE = (
    ("black-hole", "idle-hole", "killed-online", "toggling"),
    ("uplink-reset", "hub-killed", "thin-line", "killed-with-filters"),
    ("long-line", "lossy-line"),
    ("killed-offline", "killed-old-broker"),
    ("terminated", "terminated-offline", "broker-killed", "broker-line"),
    ("disk-full", "disk-read-only", "disk-broken"),
    ("disk-full-restart", "disk-read-only-restart"),
    ("power-cuts", "clock-turned", "clock-turned-offline", "boot-in-1970"),
    ("hostile-payloads", "hostile-payloads-old-broker", "many-topics"),
    ("retained-flood",),
    ("backlog",),
)


@pytest.mark.parametrize("names", SIDE_BY_SIDE, ids=" ".join)
async def test_nothing_is_lost_reordered_or_renamed(names: tuple[str, ...], tmp_path: Path) -> None:
    outcomes: dict[str, Outcome] = {}

    async def run(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        outcomes[name] = await SCENARIOS[name].short(folder)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(run(name), name=name)

    broken = {name: found for name, found in outcomes.items() if found.faults}
    assert not broken, "\n".join(
        f"{name}: {'; '.join(found.faults)}\n--- its log ---\n{found.log}" for name, found in broken.items()
    )


def test_every_scenario_is_run() -> None:
    assert sorted(SCENARIOS) == sorted(name for names in SIDE_BY_SIDE for name in names)
