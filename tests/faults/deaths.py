"""Scenarios of sudden ends: the gateway's by -9 and by SIGTERM, the broker's by -9."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from tests.faults.account import account_faults, ask
from tests.faults.link import Weather
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

_LONGEST_LIFE_S = 1.0
_START_WITHIN_S = 3.0
_ACQUAINTED_S = 2.0


async def killed(
    folder: Path,
    *,
    times: int = 25,
    is_online: bool = True,
    is_old_broker: bool = False,
    per_s: int = 200,
    seed: int = 1,
) -> Outcome:
    """The gateway is killed at random points of its life, its start included, while readings come in."""
    dice = random.Random(seed)
    async with Site(folder, is_old_broker=is_old_broker) as site:
        await site.start_gateway()
        # With some length in the line, every death catches readings under way.
        site.uplink.weather = Weather(delay_s=0.03)
        if not is_online:
            await site.sensors.count(TOPICS, 2 * per_s, per_s=per_s)
            await site.uplink.refuse()
        done = asyncio.Event()
        flow = asyncio.create_task(_flow_until(site, done, per_s))
        for _ in range(times):
            await asyncio.sleep(dice.uniform(0.0, _LONGEST_LIFE_S))
            await site.kill_gateway()
            await site.start_gateway(is_waited_for=False)
        done.set()
        await flow
        await site.uplink.accept()
        begin_s = time.monotonic()
        await site.kill_gateway()
        await (await site.start_gateway(is_waited_for=False)).ready()
        start_s = time.monotonic() - begin_s
        verdict = await site.settle()
        slow = f"a start took {start_s:.1f} s" if start_s > _START_WITHIN_S else ""
        faults = (slow, *await account_faults(site))
        return outcome(site, verdict, *faults, kills=times + 1, start_s=round(start_s, 2))


async def terminated(folder: Path, *, times: int = 4, per_s: int = 1000, is_online: bool = True) -> Outcome:
    """The gateway is ended by SIGTERM under load, again and again."""
    async with Site(folder) as site:
        await site.start_gateway()
        if not is_online:
            await site.uplink.refuse()
        done = asyncio.Event()
        flow = asyncio.create_task(_flow_until(site, done, per_s))
        for turn in range(times):
            await asyncio.sleep(0.3 * (turn + 1))
            await site.terminate_gateway()
            await site.start_gateway()
        done.set()
        await flow
        await site.uplink.accept()
        verdict = await site.settle()
        return outcome(site, verdict, *await account_faults(site))


async def broker_killed(folder: Path, *, times: int = 2, per_s: int = 100, around_s: float = 1.5) -> Outcome:
    """The broker is killed and started again; it answers itself for what it forgot."""
    async with Site(folder, judges_broker=True, keeps_all=True) as site:
        await site.start_gateway()
        done = asyncio.Event()
        flow = asyncio.create_task(_flow_until(site, done, per_s))
        for _ in range(times):
            await asyncio.sleep(around_s)
            lives = site.broker_link.connections
            await site.kill_broker()
            await site.start_broker()
            await site.broker_link.connected(lives + 1)
        await asyncio.sleep(around_s)
        done.set()
        await flow
        verdict = await site.settle()
        return outcome(site, verdict, *await account_faults(site), lost_by_broker=verdict.lost_by_broker)


async def broker_line_broken(folder: Path, *, times: int = 4, per_s: int = 500, around_s: float = 0.7) -> Outcome:
    """The line to the broker is reset under load: what was not answered comes again, and is the same reading."""
    async with Site(folder) as site:
        site.uplink.weather = Weather(delay_s=0.03)
        await site.start_gateway()
        done = asyncio.Event()
        flow = asyncio.create_task(_flow_until(site, done, per_s))
        # A broker that nobody knows yet may mean another message by the same packet id: let it show how it counts.
        await asyncio.sleep(_ACQUAINTED_S)
        for _ in range(times):
            await asyncio.sleep(around_s)
            lives = site.broker_link.connections
            site.broker_link.reset()
            await site.broker_link.connected(lives + 1)
        done.set()
        await flow
        verdict = await site.settle()
        return outcome(site, verdict, *await account_faults(site))


async def killed_with_filters(folder: Path, *, per_topic: int = 4, min_interval_s: float = 0.05) -> Outcome:
    """What had passed a route's time rules and was in memory only is brought again all at once: it has passed."""
    routes = [{"topic": "plant/#", "min_interval_s": min_interval_s}]
    # Nothing is written down before the kill.
    async with Site(folder, routes=routes, telemetry={"outbox": {"spill_after_s": 60}}) as site:
        await site.start_gateway()
        await site.uplink.refuse()
        for _ in range(per_topic):
            await site.sensors.count(TOPICS, len(TOPICS))
            await asyncio.sleep(10 * min_interval_s)
        await site.sensors.answered()
        before = (await ask(site))["account"]
        await site.kill_gateway()
        await site.start_gateway()
        await site.uplink.accept()
        await site.all_arrived()
        after = (await ask(site))["account"]
        was_written = "" if before["waiting"] == site.ledger.count else f"before the kill: {before}"
        return outcome(site, site.judge.verdict(), was_written, *await account_faults(site), received=after["received"])


async def _flow_until(site: Site, done: asyncio.Event, per_s: int) -> None:
    begin_s, count = time.monotonic(), 0
    while not done.is_set():
        await site.sensors.publish(TOPICS[count % len(TOPICS)])
        count += 1
        await asyncio.sleep(max(0.0, begin_s + count / per_s - time.monotonic()))
