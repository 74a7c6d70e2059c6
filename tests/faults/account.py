"""The gateway's own account, asked as an operator asks it, held against itself and against the judge."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any

from scripts.lib.peers import edged_command, tree_environment
from tests.faults.site import Site

_QUIET_WITHIN_S = 10.0
_ASK_EVERY_S = 0.2


async def ask(site: Site) -> dict[str, Any]:
    """Return what `edged status --json` says."""
    command = edged_command("status", "--json", "--config", str(site.config()))
    env = {**os.environ, **tree_environment(), **site.environment()}
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=PIPE, stderr=DEVNULL)
    text, _ = await process.communicate()
    return dict(json.loads(text))


async def settled_account(site: Site) -> dict[str, Any]:
    """Return the account once nothing waits: the far end hears a reading a moment before the gateway hears of that."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _QUIET_WITHIN_S
    while True:
        account = dict((await ask(site))["account"])
        if not account["waiting"] or loop.time() > until_s:
            return account
        await asyncio.sleep(_ASK_EVERY_S)


async def account_faults(site: Site, *, dropped: int = 0) -> list[str]:
    """Return what does not add up, at a moment when everything has arrived; `dropped`: what had to be refused."""
    account = await settled_account(site)
    received, delivered, waiting = account["received"], account["delivered"], account["waiting"]
    by_reason: dict[str, int] = account["dropped_by_reason"]
    faults = []
    if received != delivered + waiting + sum(by_reason.values()):
        faults.append(f"the account does not add up: {account}")
    if waiting:
        faults.append(f"{waiting} readings wait though all have arrived")
    if sum(by_reason.values()) != dropped:
        faults.append(f"dropped {by_reason}, not {dropped}")
    heard = site.judge.ids + len({reading["id"] for reading in site.far_end.others})
    # What was sent again because its answer was lost may have been counted again, never left out.
    if not heard <= delivered <= heard + site.judge.verdict().repeated:
        faults.append(
            f"delivered {delivered}, but {heard} readings were heard, {site.judge.verdict().repeated} repeats"
        )
    return faults
