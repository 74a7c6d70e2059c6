"""Scenarios of the line to the hub: it breaks, swallows, toggles, is long, thin or lossy; or the hub dies."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.account import account_faults
from tests.faults.link import FAIR, Weather
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

FOUND_WITHIN_S = 20.0
_KEPT_UP_S = 10.0


async def uplink_reset(folder: Path, *, per_s: int = 1000, outage_s: float = 4.0, around_s: float = 2.0) -> Outcome:
    """The line is reset, and refused for a while, under full load."""
    async with Site(folder) as site:
        await site.start_gateway()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        # On a line with some length there is always something under way that a reset takes with it.
        site.uplink.weather = Weather(delay_s=0.05)
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        await site.uplink.refuse()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=outage_s)
        site.uplink.weather = FAIR
        await site.uplink.accept()
        back_s = time.monotonic()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        verdict = await site.settle()
        drained_s = time.monotonic() - back_s
        return outcome(site, verdict, *await account_faults(site), drained_s=round(drained_s, 1))


async def black_hole(folder: Path, *, per_s: int = 200, hole_s: float = 24.0, around_s: float = 2.0) -> Outcome:
    """Everything vanishes without a word; the gateway has to find out by itself."""
    async with Site(folder) as site:
        gateway = await site.start_gateway()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        site.uplink.hole()
        begin_s = time.monotonic()
        flow = asyncio.create_task(site.sensors.flow(TOPICS, per_s=per_s, seconds=hole_s))
        try:
            await gateway.until(
                lambda: any("trying again" in line for line in gateway.log_lines), "word of the hole", timeout_s=hole_s
            )
            found_s = time.monotonic() - begin_s
        finally:
            await flow
        site.uplink.mend()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=around_s)
        verdict = await site.settle()
        late = f"found after {found_s:.1f} s, not {FOUND_WITHIN_S:.0f}" if found_s > FOUND_WITHIN_S else ""
        return outcome(site, verdict, late, *await account_faults(site), found_s=round(found_s, 1))


async def idle_hole(folder: Path, *, hole_s: float = 24.0) -> Outcome:
    """The same while nothing is to be sent: the next reading must not be the one that finds out."""
    async with Site(folder) as site:
        gateway = await site.start_gateway()
        await site.sensors.count(TOPICS, 10)
        await site.all_arrived()
        site.uplink.hole()
        begin_s = time.monotonic()
        await gateway.until(
            lambda: any("trying again" in line for line in gateway.log_lines), "word of the hole", timeout_s=2 * hole_s
        )
        found_s = time.monotonic() - begin_s
        site.uplink.mend()
        await site.sensors.count(TOPICS, 10)
        verdict = await site.settle()
        late = f"found after {found_s:.1f} s, not {FOUND_WITHIN_S:.0f}" if found_s > FOUND_WITHIN_S else ""
        return outcome(site, verdict, late, found_s=round(found_s, 1))


async def hub_killed(folder: Path, *, times: int = 3, per_s: int = 500, around_s: float = 1.0) -> Outcome:
    """The hub is killed under load and started again."""
    async with Site(folder) as site:
        await site.start_gateway()
        flow = asyncio.create_task(site.sensors.flow(TOPICS, per_s=per_s, seconds=times * 3 * around_s))
        for _ in range(times):
            await asyncio.sleep(around_s)
            await site.kill_hub()
            # Nobody may bring readings before somebody is there to hear them.
            await site.uplink.refuse()
            await site.start_hub()
            await site.far_end.listens(anew=True)
            await site.uplink.accept()
        await flow
        verdict = await site.settle()
        return outcome(site, verdict, *await account_faults(site))


async def toggling(
    folder: Path, *, times: int = 4, up_s: float = 1.0, down_s: float = 1.0, per_s: int = 100
) -> Outcome:
    """The line comes and goes, now with a reset, now with a hole."""
    async with Site(folder) as site:
        await site.start_gateway()
        flow = asyncio.create_task(site.sensors.flow(TOPICS, per_s=per_s, seconds=times * (up_s + down_s)))
        for turn in range(times):
            await asyncio.sleep(up_s)
            if turn % 2:
                site.uplink.hole()
                await asyncio.sleep(down_s)
                site.uplink.mend()
            else:
                await site.uplink.refuse()
                await asyncio.sleep(down_s)
                await site.uplink.accept()
        await flow
        verdict = await site.settle()
        return outcome(site, verdict, *await account_faults(site))


async def bad_line(
    folder: Path,
    *,
    delay_s: float = 0.0,
    loss: float = 0.0,
    bytes_per_s: int = 0,
    per_s: int = 1000,
    seconds: float = 8.0,
) -> Outcome:
    """The line is long, lossy or thin; what is sent at this rate has to keep up with it."""
    async with Site(folder) as site:
        site.uplink.weather = Weather(delay_s, loss, bytes_per_s)
        await site.start_gateway()
        await site.sensors.flow(TOPICS, per_s=per_s, seconds=seconds)
        await site.sensors.answered()
        # It keeps up where what is left at the end is what is under way, not what has piled up.
        behind = site.ledger.count - site.judge.arrived
        begin_s = time.monotonic()
        verdict = await site.settle()
        rest_s = time.monotonic() - begin_s
        piled_up = f"{behind} messages behind at the end, {rest_s:.1f} s to catch up" if rest_s > _KEPT_UP_S else ""
        seen = {"behind": behind, "rest_s": round(rest_s, 1)}
        return outcome(site, verdict, piled_up, *await account_faults(site), **seen)
