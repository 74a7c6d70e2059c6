"""One set of events, three ways to listen: a decorator, a one-shot handler, and a stream that ends the program."""

from __future__ import annotations

import asyncio

from options import options

from metered_realtime import Data, Joined, MeteredPeer, PeerJoined


async def main() -> None:
    arguments = options(__doc__ or "")
    async with MeteredPeer(api_key=arguments.key, url=arguments.url) as peer:

        @peer.on(PeerJoined)  # every time, plain function or coroutine
        def on_peer(event: PeerJoined) -> None:
            print(f"{event.peer.id} joined", flush=True)

        peer.once(Joined, lambda event: print(f"we are {event.peer_id}", flush=True))  # the first time only

        await peer.join(arguments.channel)
        async for message in peer.events(Data):  # one after the other, at our own pace
            print(f"heard {message.data}", flush=True)
            if message.data == "stop":
                break


if __name__ == "__main__":
    asyncio.run(main())
