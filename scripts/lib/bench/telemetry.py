"""What it costs to bring a sensor's message to the far side: ours and mosquitto's own bridge, in the same run.

Sensors publish with QoS 1 to a broker; from there ours brings it to a hub, the bridge to another broker, and a listener
takes the time. Each server is seen online, while the far side cannot be reached, and while it sends what waited. How it
measures: docs/benchmarks.md. With --quick everything is brief: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.lib import peers
from scripts.lib.bench.programs.telemetry_sensors import Order
from scripts.lib.bench.report import print_report
from scripts.lib.bench.telemetry_road.disk import Disk, enter_private_mounts, real_disk
from scripts.lib.bench.telemetry_road.figures import UNWANTED, Figures, marks_of, row_of
from scripts.lib.bench.telemetry_road.sites import SERVERS, Server, edged_site, far_hub
from scripts.lib.bench.telemetry_road.visit import Effort, Visit, cost_alone, publishing

QUICK = Effort(
    payloads_b=(100,), warm_s=0.3, slices=2, slice_s=0.3, max_slices=1, max_slice_s=0.3, alone_s=0.3,
    settle_s=0.2, outage_settle_s=0.2, slow_s=0.5, outage_s=0.5, quiet_s=3.0,
)  # fmt: skip
MODULE_RUN_S = 1.0
# Loaded into a run of its own through PYTHONPATH, so that the product is measured as it is.
LIST_MODULES = """
import atexit, os, sys
def tell():
    with open(os.environ["BENCH_MODULES_FILE"], "w") as file:
        file.write("\\n".join(sys.modules))
atexit.register(tell)
"""


async def loaded_modules(folder: Path) -> list[str]:
    """Return what a gateway has loaded that has forwarded messages."""
    hook, answer = folder / "hook", folder / "modules"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(LIST_MODULES)
    paths = [str(hook), peers.tree_environment()["PYTHONPATH"]]
    env = {"PYTHONPATH": os.pathsep.join(paths), "BENCH_MODULES_FILE": str(answer)}
    async with far_hub() as far:
        async with edged_site(folder / "state", far.port, env=env) as site, publishing(Order(site.port, 100, rate=100)):
            await asyncio.sleep(MODULE_RUN_S)
        assert far.progress.count > 0, "no message came through"
    return answer.read_text().split("\n")


async def measure(effort: Effort, disk: Disk, servers: Sequence[Server]) -> list[Figures]:
    """Measure every server with every size of payload."""
    found: list[Figures] = []
    for payload_b in effort.payloads_b:
        slow = payload_b == effort.payloads_b[0]
        rates = (effort.rate, 0.0, *((effort.slow_rate,) if slow else ()))
        alone = await cost_alone(effort, disk, payload_b, rates)
        for server in servers:
            print(f"bench telemetry: {server.name} ({server.setup}), {payload_b} B", file=sys.stderr, flush=True)
            visit = Visit(effort, disk, server, payload_b, alone, slow=slow)
            await visit.measure()
            found += visit.found
    return found


async def bench(effort: Effort, base: Path, servers: Sequence[Server]) -> None:
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        modules = await loaded_modules(Path(folder))
    with real_disk(base) as disk:
        found = await measure(effort, disk, servers)
    unwanted = [name for name in modules if name.partition(".")[0] in UNWANTED]
    loop = "uvloop" if "uvloop" in modules else "asyncio"
    notes = [f"state on {disk.kind}", f"edged on {loop}, {len(modules)} modules loaded"]
    print_report("telemetry", [row_of(figures) for figures in found], marks_of(found, len(unwanted)), notes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench telemetry", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--payload", type=int, nargs="+", metavar="BYTES", help="sizes of payloads: 100 1000")
    parser.add_argument("--server", nargs="+", choices=list(SERVERS), default=list(SERVERS), help="all by default")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where state is kept: a real disk")
    options = parser.parse_args()
    enter_private_mounts(["-m", "scripts.lib.bench.telemetry", *sys.argv[1:]])
    effort = QUICK if options.quick else Effort()
    if options.payload:
        effort = replace(effort, payloads_b=tuple(options.payload))
    asyncio.run(bench(effort, options.folder, [SERVERS[name] for name in options.server]))


if __name__ == "__main__":
    main()
