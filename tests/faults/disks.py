"""Scenarios of the disk: full, read-only, broken, and a power cut in the middle of its writes."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults import recording
from tests.faults.account import account_faults
from tests.faults.faulty_disk import FULL, GOOD
from tests.faults.forks import ForkServer
from tests.faults.judge import Judge, Name
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

# The least there may be, so that the disk is needed at once.
# Nothing is given up for others' room: this is the disk that fails in the middle of a write.
_SMALL_MEMORY = {"outbox": {"memory_bytes": 262144, "spill_after_s": 0.5}}
_EARLY = {"outbox": {"spill_after_s": 0.5}}
_SLACK_S = 0.2
_REPLAY_S = 5.0
_ENOUGH_FAULTS = 10

Heard = tuple[float, str]
"""When a message arrived, and under which id."""


async def disk_fails(
    folder: Path, *, how: str = FULL, per_s: int = 400, around_s: float = 1.5, is_restarted: bool = False
) -> Outcome:
    """The disk fails while the line is down too; the line comes back first. Nothing but the disk is mended by hand."""
    disk = folder / "disk"
    disk.write_text(GOOD)
    launcher = (sys.executable, "-m", "tests.faults.faulty_disk", str(folder))
    # What cannot be read back for a while comes late, and says so.
    is_late = how != FULL
    async with Site(folder, telemetry=_SMALL_MEMORY, launcher=launcher, is_backlog_marked=is_late) as site:
        await site.start_gateway()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        await site.all_arrived()
        await site.uplink.refuse()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        disk.write_text(how)
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        if is_restarted:
            await site.terminate_gateway()
            # Its memory may be full at once, and then it does not read what the broker answers.
            await (await site.start_gateway(is_waited_for=False)).ready()
        await site.uplink.accept()
        if not is_late:
            # What is on the disk can be read, by who has it open: live readings go on, and all that waits is sent.
            await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
            await site.sensors.answered()
            stuck = "" if await site.all_arrived() else f"{len(site.judge.missing())} wait for the disk to be mended"
        else:
            await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
            stuck = ""
        disk.write_text(GOOD)
        verdict = await site.settle()
        await site.uplink.refuse()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        await site.terminate_gateway()
        await site.start_gateway()
        await site.uplink.accept()
        verdict = await site.settle()
        return outcome(site, verdict, stuck, *await account_faults(site))


async def power_cuts(
    folder: Path, *, cuts: int = 200, readings: int = 1500, per_s: int = 500, seed: int = 1
) -> Outcome:
    """Record the disk through outage and recovery; then start from what a power cut would leave, at many points."""
    (folder / "disk").write_text(GOOD)
    (folder / "recording").touch()
    launcher = (sys.executable, "-m", "tests.faults.faulty_disk", str(folder))
    async with Site(folder, telemetry=_EARLY, launcher=launcher, judges_broker=True) as site:
        heard_s = await _record(site, readings, per_s)
        recorded = outcome(site, site.judge.verdict())
        await site.terminate_gateway()
        with (folder / "recording").open("rb") as source:
            steps = list(recording.read_steps(source))
        faults: list[str] = []
        judged = 0
        dice = random.Random(seed)
        async with ForkServer() as forks:
            for number in range(cuts):
                cut = dice.randrange(1, len(steps) + 1)
                begin = folder / f"cut-{number}"
                for name, content in recording.after_power_cut(steps[:cut], dice).items():
                    (begin / name).parent.mkdir(parents=True, exist_ok=True)
                    (begin / name).write_bytes(content)
                owed = _owed(site, steps[cut - 1].at_s, heard_s)
                judged += len(owed)
                wrong = await _replay(site, forks, begin, owed, heard_s)
                faults += [f"cut {number} behind step {cut}: {fault}" for fault in wrong]
                shutil.rmtree(begin)
                if len(faults) > _ENOUGH_FAULTS:
                    break
        seen: dict[str, float | str] = {"cuts": cuts, "steps": len(steps), "judged": judged}
        return replace(recorded, faults=(*recorded.faults, *faults), seen=seen)


async def _record(site: Site, readings: int, per_s: int) -> dict[Name, Heard]:
    """Run an outage and its recovery; return when each message arrived, and under which id."""
    loop = asyncio.get_running_loop()
    heard_s: dict[Name, Heard] = {}

    def hear(reading: dict[str, Any]) -> None:
        heard_s.setdefault((reading["topic"], reading["value"]["n"]), (loop.time(), reading["id"]))

    await site.start_gateway()
    await site.sensors.count(TOPICS, 50, size_bytes=600)
    await site.uplink.refuse()
    site.far_end.on_reading = hear
    await site.sensors.count(TOPICS, readings, per_s=per_s, size_bytes=600)
    await site.uplink.accept()
    await site.sensors.count(TOPICS, readings // 3, per_s=per_s, size_bytes=600)
    await site.sensors.answered()
    await site.all_arrived()
    site.far_end.on_reading = lambda _reading: None
    return heard_s


def _owed(site: Site, cut_s: float, heard_s: dict[Name, Heard]) -> set[Name]:
    """Return what the gateway had answered for to the broker and not brought to the far end yet at that time."""
    assert site.tap is not None
    return {
        name
        for name, answered_s in site.tap.answered_s.items()
        if answered_s < cut_s and name in heard_s and heard_s[name][0] > cut_s + _SLACK_S
    }


async def _replay(
    site: Site, forks: ForkServer, folder: Path, owed: set[Name], heard_s: dict[Name, Heard]
) -> list[str]:
    """Start the gateway from the files in a folder, with no broker; return what is wrong."""
    judge = site.far_end.judge = Judge(site.ledger)
    # Of the one before there may still be something on its way.
    site.far_end.only_from = folder.name
    ids: dict[Name, str] = {}

    def hear(reading: dict[str, Any]) -> None:
        ids.setdefault((reading["topic"], reading["value"]["n"]), reading["id"])

    site.far_end.on_reading = hear
    (folder / "state").mkdir(parents=True, exist_ok=True)
    (folder / "runtime").mkdir()
    env = {"STATE_DIRECTORY": str(folder / "state"), "RUNTIME_DIRECTORY": str(folder / "runtime")}
    connections = site.uplink.connections
    # Port 9 is the discard service, which nobody runs: the broker is not there yet.
    pid = await forks.start(["run", "--config", str(site.config(folder.name, port=9))], env)
    try:
        async with asyncio.timeout(_REPLAY_S):
            await site.uplink.connected(connections + 1)
        await site.far_end.heard(lambda: owed <= ids.keys(), stall_s=_REPLAY_S)
    except TimeoutError:
        return [f"the gateway does not come up: {forks.log[-600:]}"]
    finally:
        await forks.kill(pid)
    lost = sorted(owed - ids.keys())
    renamed = [name for name, found_id in ids.items() if name in heard_s and heard_s[name][1] != found_id]
    found = judge.verdict()
    aside = list((folder / "state").glob("*corrupt*"))
    broken = {
        f"{len(lost)} of {len(owed)} acknowledged readings are lost, {lost[:3]}": lost,
        f"{len(renamed)} readings have other ids, {renamed[:3]}": renamed,
        f"{found.faults[2:]}": found.reordered or found.ids_twice or found.renamed or found.strange,
        f"the store was set aside as {aside}": aside,
    }
    return [fault for fault, is_so in broken.items() if is_so]
