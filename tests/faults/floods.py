"""Scenarios of what comes from the broker: hostile payloads, very many topics, a flood of retained messages."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.account import account_faults
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

_DEPTH = 10_000
_MB = 1_000_000
_GROWTH_MB = 20.0

HOSTILE = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x80 not text",
    "NaN": b"NaN",
    "NaN inside": b'{"n": NaN}',
    "infinite": b"1e999",
    "deep list": b"[" * _DEPTH + b"]" * _DEPTH,
    "deep object": b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH,
    "deep, unclosed": b"[" * _DEPTH,
    "long number": b"9" * 5000,
    "half a surrogate": b'"\\ud800"',
    "null bytes": b"\x00" * 100,
    "large": b"x" * 100_000,
}


async def hostile_payloads(
    folder: Path, *, rounds: int = 5, large_mb: int = 20, is_old_broker: bool = False
) -> Outcome:
    """Among the good messages come such that nobody can read; the good ones pass as if nothing were."""
    # To a client of MQTT 3.1.1 mosquitto 2.0 does not keep its own order beside a message of 20 MB.
    async with Site(folder, is_old_broker=is_old_broker, judges_broker=is_old_broker) as site:
        await site.start_gateway()
        await site.sensors.count(TOPICS, 100)
        await site.all_arrived()
        before_mb = site.memory_mb()
        for turn in range(rounds):
            for kind, payload in HOSTILE.items():
                await site.sensors.publish_raw(f"plant/hostile/{kind.replace(' ', '-')}", payload)
                await site.sensors.count(TOPICS, 10)
            if not turn:
                await site.sensors.publish_raw("plant/hostile/huge", b"y" * large_mb * _MB)
                await site.sensors.count(TOPICS, 10)
        begin_s = time.monotonic()
        verdict = await site.settle()
        rest_s = time.monotonic() - begin_s
        grown_mb = site.memory_mb() - before_mb
        grown = f"memory grew by {grown_mb:.1f} MB" if grown_mb > _GROWTH_MB else ""
        others = len(site.far_end.others)
        # A broker of MQTT 5 keeps the huge one to itself; what is text arrives as text.
        refused = rounds * len(HOSTILE) + is_old_broker - others
        faults = (grown, *await account_faults(site, dropped=refused))
        return outcome(site, verdict, *faults, rest_s=round(rest_s, 1), odd_readings=others)


async def many_topics(folder: Path, *, topics: int = 10_000, rounds: int = 2) -> Outcome:
    """One wildcard brings very many topics; each has its own order."""
    names = [f"plant/{number % 100}/{number}/value" for number in range(topics)]
    routes = [{"topic": "plant/{hall}/+/value", "on_change": True, "max_interval_s": 60}]
    async with Site(folder, routes=routes) as site:
        await site.start_gateway()
        await site.sensors.count(names[:100], 100)
        await site.all_arrived()
        before_mb = site.memory_mb()
        await site.sensors.count(names, topics * rounds)
        verdict = await site.settle()
        grown_mb = site.memory_mb() - before_mb
        grown = f"memory grew by {grown_mb:.1f} MB" if grown_mb > _GROWTH_MB else ""
        return outcome(site, verdict, grown, *await account_faults(site), grown_mb=round(grown_mb, 1))


async def retained_flood(folder: Path, *, topics: int = 50_000) -> Outcome:
    """The broker keeps very many retained messages: each comes once, also where the connection is made anew."""
    async with Site(folder) as site:
        for number in range(topics):
            await site.sensors.publish(f"plant/kept/{number}", retain=True)
        await site.sensors.answered()
        await site.start_gateway()
        live = asyncio.create_task(site.sensors.count(TOPICS, 200, per_s=100))
        await live
        await site.all_arrived()
        again = site.judge.verdict().repeated
        lives = site.broker_link.connections
        site.broker_link.reset()
        await site.broker_link.connected(lives + 1)
        await site.sensors.count(TOPICS, 20, per_s=10)
        await site.all_arrived()
        # What was not answered when the connection broke comes again as the same reading; a flood has new ones.
        verdict = await site.settle()
        twice = f"{again} readings came twice without need" if again else ""
        return outcome(site, verdict, twice, *await account_faults(site))
