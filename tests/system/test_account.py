"""The account over the lives of a real gateway: stopped, killed, rebooted, and robbed of its outbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.peers import edged_command, tree_environment
from tests.faults.account import ask
from tests.faults.site import TOPICS, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
ASK_EVERY_S = 0.1
OUTBOX = "outbox.db"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path) as found:
        await found.start_gateway()
        yield found


async def account_when(site: Site, ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the account as soon as it is as wanted; at every moment it has to add up."""
    async with asyncio.timeout(30):
        while True:
            account = dict((await ask(site))["account"])
            assert account["received"] == account["delivered"] + account["waiting"] + account["dropped"], account
            if ready(account):
                return account
            await asyncio.sleep(ASK_EVERY_S)


async def counters(site: Site) -> dict[str, float]:
    """Return what `edged status --metrics` says of readings, without labels."""
    command = edged_command("status", "--metrics", "--config", str(site.config()))
    env = tree_environment() | site.environment()
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
    text, _ = await process.communicate()
    lines = [line.split() for line in text.decode().splitlines() if line.startswith("edged_readings_")]
    return {name: float(value) for name, value in lines}


async def send(site: Site, count: int) -> None:
    await site.sensors.count(TOPICS, count, per_s=500)


async def test_the_account_goes_on_over_stop_kill_and_reboot(site: Site) -> None:
    await send(site, 200)
    await account_when(site, lambda account: account["delivered"] == 200)
    await site.uplink.refuse()
    await send(site, 100)
    await account_when(site, lambda account: account["waiting"] == 100)

    await site.terminate_gateway()
    await site.start_gateway()
    account = await account_when(site, lambda account: account["waiting"] == 100)
    assert (account["received"], account["delivered"], account["dropped"]) == (300, 200, 0)

    await send(site, 100)
    await account_when(site, lambda account: account["received"] == 400)
    await counters(site)
    await site.kill_gateway()
    await site.start_gateway()
    assert (await counters(site))["edged_readings_received_total"] == 400, "a counter does not go back"
    await account_when(site, lambda account: account["received"] == 400)
    status = await ask(site)
    life = status["figures"]["telemetry"]["this_life"]
    assert life["received"] + life["recovered"] == life["waiting"] == 200
    assert status["account"]["delivered"] == 200

    await site.terminate_gateway()
    for left_over in site.runtime_dir.iterdir():
        left_over.unlink()
    await site.start_gateway()
    account = await account_when(site, lambda account: account["waiting"] == 200)
    assert (account["received"], account["delivered"]) == (400, 200)

    await site.uplink.accept()
    account = await account_when(site, lambda account: account["delivered"] == 400)
    assert (account["received"], account["dropped"], account["unexplained"]) == (400, 0, 0)
    found = await counters(site)
    assert (found["edged_readings_received_total"], found["edged_readings_delivered_total"]) == (400, 400)


async def test_readings_of_an_outbox_that_is_damaged_are_dropped_not_forgotten(site: Site) -> None:
    await site.uplink.refuse()
    await send(site, 50)
    await account_when(site, lambda account: account["waiting"] == 50)
    await site.terminate_gateway()
    (site.state_dir / OUTBOX).write_bytes(b"no database" * 1000)
    gateway = await site.start_gateway()
    account = await account_when(site, lambda account: account["dropped"])
    assert (account["received"], account["dropped_by_reason"]) == (50, {"store_lost": 50})
    assert "50 readings that were in" in gateway.log
