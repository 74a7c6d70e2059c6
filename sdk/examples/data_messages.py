"""Join a channel, greet it, and answer every direct message with the same data."""

from __future__ import annotations

import asyncio

from options import options

from metered_realtime import Data, MeteredPeer


async def main() -> None:
    arguments = options(__doc__ or "")
    async with MeteredPeer(api_key=arguments.key, url=arguments.url) as peer:

        @peer.on(Data)
        async def on_data(event: Data) -> None:
            print(f"{event.kind} from {event.sender_peer_id}: {event.data}", flush=True)
            if event.kind == "direct":
                await peer.send_to(event.sender_peer_id, {"you said": event.data})

        await peer.join(arguments.channel)
        await peer.send({"type": "chat", "text": "hi from the agent"})  # to everybody
        print("joined", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
