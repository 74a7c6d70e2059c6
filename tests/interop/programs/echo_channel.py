"""A peer that sends back what it hears on data channels named `talk`; it opens one to every peer, if told so.

Its options are one JSON object in argv. Runs under the official SDK; uses nothing but names that both SDKs export.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import metered_realtime
from metered_realtime import DataChannelOpened, MeteredPeer, PeerJoined


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def echo(channel: Any) -> None:
    channel.on("message", channel.send)


def meet(remote: Any, *, opens: bool) -> None:
    remote.on(DataChannelOpened, lambda event: echo(event.channel))
    if opens:
        echo(remote.create_data_channel("talk"))


async def main(options: dict[str, Any]) -> None:
    peer = MeteredPeer(api_key=options["key"], url=options["url"])
    peer.on(PeerJoined, lambda event: meet(event.peer, opens=options["opens"]))
    await peer.join(options["channel"])
    say("ready", version=metered_realtime.__version__)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await peer.close()


asyncio.run(main(json.loads(sys.argv[1])))
