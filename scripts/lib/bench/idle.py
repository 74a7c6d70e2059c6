"""What a gateway costs while nothing happens: time to READY, memory, CPU, loaded modules."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from scripts.lib import peers
from scripts.lib.bench.report import Mark, Row, print_report
from scripts.lib.process_cost import cpu_s, rss_mb

STARTS = 5
SETTLE_S = 4.0
CPU_WINDOW_S = 20.0
READY_MARK_S = 0.6
CPU_MARK_PCT = 0.3
RSS_MARKS_MB = {"telemetry only": 36.0, "one on-demand camera": 60.0}

# Loaded into a run of its own through PYTHONPATH, so that the product is measured as it is.
COUNT_MODULES = """
import atexit, os, sys
def count():
    with open(os.environ["BENCH_MODULES_FILE"], "w") as file:
        file.write(str(len(sys.modules)))
atexit.register(count)
"""

TELEMETRY = """
gateway: {{name: bench}}
hub: {{url: "{hub.url}", key: "{hub.key}", channel: bench}}
mqtt: {{port: {broker.port}}}
telemetry: {{routes: [{{topic: sensors/#}}]}}
"""
CAMERA = """
cameras: {yard: {source: "rtsp://127.0.0.1:9/cam"}}
"""


async def ready_s(config: Path, state: dict[str, str]) -> float:
    """Return the seconds from exec to READY=1."""
    begin = time.perf_counter()
    async with peers.Gateway(config, env=state) as gateway:
        await gateway.ready()
        return time.perf_counter() - begin


async def module_count(config: Path, state: dict[str, str], folder: Path) -> int:
    """Return the number of modules a settled gateway has loaded."""
    hook, answer = folder / "hook", folder / "modules"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(COUNT_MODULES)
    paths = [str(hook), peers.tree_environment()["PYTHONPATH"]]
    env = {**state, "PYTHONPATH": os.pathsep.join(paths), "BENCH_MODULES_FILE": str(answer)}
    async with peers.Gateway(config, env=env) as gateway:
        await gateway.ready()
        await asyncio.sleep(SETTLE_S)
        await gateway.stop()
    return int(answer.read_text())


async def measure(load: str, config: Path, folder: Path) -> Row:
    """Return the row of one configuration."""
    state = {"STATE_DIRECTORY": str(folder)}
    starts = [await ready_s(config, state) for _ in range(STARTS)]
    modules = await module_count(config, state, folder)
    async with peers.gateway(config, env=state) as gateway:
        await asyncio.sleep(SETTLE_S)
        begin, before_s = time.perf_counter(), cpu_s(gateway.pid)
        await asyncio.sleep(CPU_WINDOW_S)
        used_s, window_s = cpu_s(gateway.pid) - before_s, time.perf_counter() - begin
        resident_mb = rss_mb(gateway.pid)
    return {
        "package": "edged",
        "load": load,
        "ready_s": round(statistics.median(starts), 3),
        "ready_max_s": round(max(starts), 3),
        "starts": STARTS,
        "rss_mb": round(resident_mb, 1),
        "cpu_pct": round(100 * used_s / window_s, 3),
        "modules": modules,
    }


def marks_of(row: Row) -> list[Mark]:
    load = row["load"]
    return [
        Mark(f"{load}: ready_s", row["ready_s"], READY_MARK_S),
        Mark(f"{load}: rss_mb", row["rss_mb"], RSS_MARKS_MB[load]),
        Mark(f"{load}: cpu_pct", row["cpu_pct"], CPU_MARK_PCT),
    ]


async def main() -> None:
    rows: list[Row] = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-bench-")))
        broker = await stack.enter_async_context(peers.mosquitto())
        hub = await stack.enter_async_context(peers.hub())
        telemetry = TELEMETRY.format(hub=hub, broker=broker)
        for load, text in (("telemetry only", telemetry), ("one on-demand camera", telemetry + CAMERA)):
            own = folder / load.replace(" ", "-")
            own.mkdir()
            config = own / "edged.yaml"
            config.write_text(text)
            rows.append(await measure(load, config, own))
    print_report("idle", rows, [mark for row in rows for mark in marks_of(row)])


if __name__ == "__main__":
    asyncio.run(main())
