"""Joins and closes for ever so often, with media and a data channel in some rounds, and reports what is left.

Argument: one JSON object with url, key, channel, loop ("asyncio", "uvloop"), rounds, warm_up, media_every. The first
rounds, up to warm_up, all have media: so much garbage waits for Python's collector then that the heap has grown to what
it needs. It is counted after these and after the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.sdk.hosting.room import LOOPS, descriptors, exchange_media, resident_kb, say, tasks, threads, two_members
from tests.sdk.wired import SmallPictures


async def one_round(options: dict[str, Any], *, with_media: bool) -> None:
    address = (options["url"], options["key"], options["channel"])
    async with asyncio.timeout(20), two_members(*address) as (first, second):
        if with_media:
            await exchange_media(first, second, SmallPictures())


async def main(options: dict[str, Any]) -> None:
    for number in range(1, options["rounds"] + 1):
        await one_round(options, with_media=number <= options["warm_up"] or number % options["media_every"] == 0)
        if number in (options["warm_up"], options["rounds"]):
            say("count", round=number, tasks=tasks(), threads=threads(), fds=descriptors(), rss_kb=resident_kb())


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    run = LOOPS[arguments["loop"]]
    run(main(arguments))
