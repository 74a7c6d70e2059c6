"""All scenarios by name, in the short form of `scripts/test` and in the long form of `scripts/test-faults`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tests.faults import backlog, clocks, deaths, disks, floods, outages
from tests.faults.faulty_disk import BROKEN, FULL, READ_ONLY
from tests.faults.outcome import Scenario


@dataclass(frozen=True, slots=True)
class Forms:
    """One scenario, short and long."""

    short: Scenario
    long: Scenario


def _same(scenario: Scenario) -> Forms:
    return Forms(scenario, scenario)


_disk = disks.disk_fails
SCENARIOS: dict[str, Forms] = {
    "uplink-reset": Forms(outages.uplink_reset, partial(outages.uplink_reset, outage_s=30, around_s=10)),
    "black-hole": Forms(outages.black_hole, partial(outages.black_hole, hole_s=30, around_s=10)),
    "idle-hole": _same(outages.idle_hole),
    "hub-killed": Forms(outages.hub_killed, partial(outages.hub_killed, times=10, per_s=1000)),
    "toggling": Forms(outages.toggling, partial(outages.toggling, times=12, up_s=150, down_s=150)),
    "long-line": Forms(partial(outages.bad_line, delay_s=0.6), partial(outages.bad_line, delay_s=0.6, seconds=60)),
    "lossy-line": Forms(
        partial(outages.bad_line, delay_s=0.1, loss=0.02, seconds=4),
        partial(outages.bad_line, delay_s=0.1, loss=0.02, seconds=60),
    ),
    "thin-line": Forms(
        partial(outages.bad_line, bytes_per_s=20_000, per_s=100, seconds=4),
        partial(outages.bad_line, bytes_per_s=20_000, per_s=100, seconds=60),
    ),
    "killed-online": Forms(deaths.killed, partial(deaths.killed, times=100)),
    "killed-offline": Forms(
        partial(deaths.killed, is_online=False, seed=2), partial(deaths.killed, is_online=False, seed=2, times=100)
    ),
    "killed-old-broker": Forms(
        partial(deaths.killed, times=10, seed=3, is_old_broker=True),
        partial(deaths.killed, times=50, seed=3, is_old_broker=True),
    ),
    "killed-with-filters": Forms(deaths.killed_with_filters, partial(deaths.killed_with_filters, per_topic=20)),
    "terminated": Forms(deaths.terminated, partial(deaths.terminated, times=10)),
    "terminated-offline": Forms(
        partial(deaths.terminated, is_online=False), partial(deaths.terminated, is_online=False, times=10)
    ),
    "broker-killed": Forms(deaths.broker_killed, partial(deaths.broker_killed, times=10)),
    "broker-line": Forms(deaths.broker_line_broken, partial(deaths.broker_line_broken, times=20, per_s=1000)),
    "disk-full": Forms(partial(_disk, how=FULL), partial(_disk, how=FULL, around_s=15)),
    "disk-read-only": Forms(partial(_disk, how=READ_ONLY), partial(_disk, how=READ_ONLY, around_s=15)),
    "disk-broken": Forms(partial(_disk, how=BROKEN), partial(_disk, how=BROKEN, around_s=15)),
    "disk-full-restart": _same(partial(_disk, how=FULL, is_restarted=True)),
    "disk-read-only-restart": _same(partial(_disk, how=READ_ONLY, is_restarted=True)),
    "power-cuts": Forms(disks.power_cuts, partial(disks.power_cuts, cuts=1000, readings=6000)),
    "clock-turned": _same(clocks.clock_turned),
    "clock-turned-offline": _same(partial(clocks.clock_turned, is_online=False)),
    "boot-in-1970": _same(clocks.boot_in_1970),
    "hostile-payloads": Forms(floods.hostile_payloads, partial(floods.hostile_payloads, rounds=100)),
    "hostile-payloads-old-broker": _same(partial(floods.hostile_payloads, is_old_broker=True)),
    "many-topics": Forms(floods.many_topics, partial(floods.many_topics, rounds=20)),
    "retained-flood": Forms(partial(floods.retained_flood, topics=10_000), floods.retained_flood),
    "backlog": Forms(backlog.backlog, partial(backlog.backlog, messages=1_000_000, bytes_per_s=0, catch_up_s=20.0)),
}
