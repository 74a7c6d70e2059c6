"""The yardstick of the bench `video`: an RTSP client of the camera that tells when each picture came.

Commands come as JSON lines on stdin: {"do": "open", "url", "times"} opens that often and tells how long each took from
connecting to the first picture. In between it watches the URL in argv, and connects again when the camera is back.
"""

from __future__ import annotations

import asyncio
import sys
import time

from metered_realtime.media.rtsp import RtspClient, RtspError
from scripts.lib.bench.viewing.lines import commands, say
from scripts.lib.bench.viewing.slices import checksum

AGAIN_S = 0.1


async def watch(url: str) -> None:
    """Tell every picture with its checksum, for ever."""
    while True:
        try:
            async with RtspClient(url, timeout_s=3.0) as client:
                async for unit in client.access_units():
                    at_s = time.monotonic()
                    say("unit", at_s=at_s, checksum=checksum(unit.data), is_key=unit.is_key)
        except RtspError:
            await asyncio.sleep(AGAIN_S)


async def measure_open(url: str, times: int) -> None:
    """Open while somebody else watches, so that the camera runs already."""
    opened_ms = []
    async with RtspClient(url) as other:
        await other.next_unit()
        for number in range(times):
            await asyncio.sleep(0.05 + 0.0077 * number)  # begin at another moment between two pictures each time
            begin_s = time.monotonic()
            async with RtspClient(url) as client:
                await client.next_unit()
                opened_ms.append((time.monotonic() - begin_s) * 1e3)
    say("opened", ms=opened_ms)


async def main() -> None:
    watching = asyncio.create_task(watch(sys.argv[1]))
    async for command in commands():
        await measure_open(command["url"], command["times"])
    watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
