"""The benches run, and say what they promise to say."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.child import ROOT

CASES = (
    "import of the pub/sub-only install",
    "memory after that import",
    "publish round trips",
    "CPU per message published",
    "join to first frame",
    "peer seen to first media packet",
    "WebSocket cut to joined with media",
    "longest pause in the picture after the cut",
    "CPU of a 720p30 publisher with 1 viewers",
    "pictures to each of 1 viewers",
    "memory of the publisher per connected peer",
)


async def bench(name: str, *words: str) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"scripts.lib.bench.{name}",
        "--json",
        *words,
        cwd=ROOT,
        env=peers.tree_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    report: dict[str, Any] = json.loads(output)
    return report


@pytest.mark.system
@pytest.mark.timeout(120)
async def test_both_sdks_are_measured_in_every_case() -> None:
    report = await bench("sdk", "--quick")

    assert {(row["case"], row["package"]) for row in report["rows"]} == {
        (case, package) for case in CASES for package in ("official", "ours")
    }
    ours = [row for row in report["rows"] if row["package"] == "ours"]
    assert all(isinstance(row["value"], float) and row["unit"] for row in ours)
    names = [mark["name"].partition(":")[0] for mark in report["marks"]]
    assert set(names) == set(CASES)
