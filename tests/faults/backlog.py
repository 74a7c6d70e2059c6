"""The scenario of the long outage: a large backlog on disk, a restart, and dashboards that want to be current."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.account import account_faults, ask
from tests.faults.judge import percentile
from tests.faults.link import Weather
from tests.faults.outcome import Outcome, outcome
from tests.faults.site import TOPICS, Site

_LIVE_TOPICS = ("live/a", "live/b")
_GROWTH_MB = 20.0
_LIVE_P95_S = 2.0
_MORE_BACKLOG = 100
_ASK_EVERY_S = 0.5


async def backlog(
    folder: Path, *, messages: int = 50_000, live_per_s: int = 20, catch_up_s: float = 1.0, bytes_per_s: int = 400_000
) -> Outcome:
    """Fill the store while the line is down, restart, and let it drain over a line that takes a while for it."""
    routes = [{"topic": "plant/#"}, {"topic": "live/#"}]
    telemetry = {"outbox": {"catch_up_s": catch_up_s, "max_bytes": 4 * 1024**3}}
    async with Site(folder, routes=routes, telemetry=telemetry, is_backlog_marked=True) as site:
        await site.start_gateway()
        await site.sensors.count(_LIVE_TOPICS, 100, per_s=100)
        await site.all_arrived()
        idle_mb = site.memory_mb()
        await site.uplink.refuse()
        begin_s = time.monotonic()
        await site.sensors.count(TOPICS, messages)
        await site.sensors.answered()
        # What still waits at the broker is not the gateway's backlog.
        while (await ask(site))["account"]["waiting"] < messages:
            await asyncio.sleep(_ASK_EVERY_S)
        filled_s = time.monotonic() - begin_s
        await site.terminate_gateway()
        await site.start_gateway()
        site.uplink.weather = Weather(bytes_per_s=bytes_per_s)
        drained = site.judge.arrived
        begin_s = time.monotonic()
        await site.uplink.accept()
        live_s: list[float] = []
        site.far_end.on_reading = lambda reading: (
            live_s.append(time.monotonic() - site.ledger.sent_at_s((reading["topic"], reading["value"])))
            if reading["topic"] in _LIVE_TOPICS
            else None
        )
        # Nothing can be current before the gateway is back.
        await site.arrived(drained + 1)
        site.forget_peak()
        live = asyncio.create_task(_live(site, live_per_s))
        while messages - (site.judge.arrived - drained) > _MORE_BACKLOG:
            heard = site.judge.arrived
            await site.arrived(heard + 1)
        live.cancel()
        drained_s = time.monotonic() - begin_s
        verdict = await site.settle()
        p95_s = percentile(live_s, 0.95)
        grown_mb = site.memory_mb("VmHWM") - idle_mb
        faults = [
            f"memory grew by {grown_mb:.1f} MB" if grown_mb > _GROWTH_MB else "",
            f"live readings took {p95_s:.1f} s (p95 of {len(live_s)})" if p95_s >= _LIVE_P95_S else "",
            "no live reading came while it drained" if len(live_s) < live_per_s else "",
        ]
        seen = {
            "filled_s": round(filled_s, 1),
            "drained_s": round(drained_s, 1),
            "live_p95_s": round(p95_s, 2),
            "live": len(live_s),
            "grown_mb": round(grown_mb, 1),
            "marked": verdict.marked,
        }
        return outcome(site, verdict, *faults, *await account_faults(site), **seen)


async def _live(site: Site, per_s: int) -> None:
    while True:
        for topic in _LIVE_TOPICS:
            await site.sensors.publish(topic)
            await asyncio.sleep(1 / per_s)
