"""Join a channel and count the frames of every track that anybody sends."""

from __future__ import annotations

import asyncio

from options import options

from metered_realtime import MeteredPeer, PeerJoined, Track, iter_frames


async def main() -> None:
    arguments = options(__doc__ or "")
    async with MeteredPeer(api_key=arguments.key, url=arguments.url) as peer:

        @peer.on(PeerJoined)
        def on_peer(joined: PeerJoined) -> None:
            print(f"{joined.peer.id} joined", flush=True)

            @joined.peer.on(Track)
            async def on_track(event: Track) -> None:
                print(f"{event.track.kind} with {event.metadata}", flush=True)
                count = 0
                async for frame in iter_frames(event.track):
                    count += 1
                    if count % 25 == 0:
                        print(f"{event.track.kind}: {count} frames, the last at {frame.time:.2f} s", flush=True)
                print(f"{event.track.kind} ended after {count} frames", flush=True)

        await peer.join(arguments.channel)
        print("joined", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
