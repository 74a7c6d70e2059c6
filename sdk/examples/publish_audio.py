"""Join a channel and send it sound made here: a tone of 440 Hz, pushed as raw 16 kHz samples."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Iterator

from options import options

from metered_realtime import AudioSource, MeteredPeer

RATE = 16_000


def tone(seconds: float, frequency_hz: float = 440.0) -> Iterator[bytes]:
    """Yield pieces of 100 ms, as a speech synthesiser would."""
    for piece in range(round(seconds * 10)):
        times = (number / RATE for number in range(piece * RATE // 10, (piece + 1) * RATE // 10))
        yield array("h", (round(8000 * math.sin(2 * math.pi * frequency_hz * time)) for time in times)).tobytes()


async def main() -> None:
    arguments = options(__doc__ or "", seconds="10")
    async with MeteredPeer(api_key=arguments.key, url=arguments.url) as peer:
        source = AudioSource(input_rate=RATE)
        peer.add_track(source, metadata={"role": "tone"})
        await peer.join(arguments.channel)
        print("joined", flush=True)
        for chunk in tone(float(arguments.seconds)):
            await source.push(chunk)  # waits once five seconds are ahead of the listeners
        source.end()
        await asyncio.sleep(source.buffered_seconds)


if __name__ == "__main__":
    asyncio.run(main())
