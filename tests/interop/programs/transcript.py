"""A SignallingClient that does what its standard input says, one JSON array a line, and prints what it hears."""

from __future__ import annotations

import asyncio
import json
import sys

import metered_realtime as sdk


def say(name, **fields):
    print(json.dumps({"event": "heard", "heard": {"name": name, **fields}}), flush=True)


def listen(client):
    client.on(sdk.Connected, lambda e: say("connected", peerId=e.peer_id, isReconnect=e.is_reconnect))
    client.on(sdk.Message, lambda e: say("message", channel=e.channel, **{"from": e.sender_peer_id}, data=e.data))
    client.on(sdk.Direct, lambda e: say("direct", **{"from": e.sender_peer_id}, data=e.data))
    client.on(sdk.ServerError, lambda e: say("server-error", code=e.code))
    client.on(sdk.GoingAway, lambda e: say("going-away", retryAfterMs=e.retry_after_ms))
    client.on(
        sdk.Presence,
        lambda e: say(
            "presence", channel=e.channel, joined=[p.peer_id for p in e.joined], left=[p.peer_id for p in e.left]
        ),
    )


async def main(url, key):
    client = sdk.SignallingClient(api_key=key, url=url)
    listen(client)
    print(json.dumps({"event": "ready", "version": sdk.__version__}), flush=True)
    async with client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            method, *arguments = json.loads(line)
            if method == "subscribe":
                arguments[1] = sdk.SubscribeOptions(include_sender_metadata=arguments[1])
            try:
                await getattr(client, method)(*arguments)
            except sdk.ServerRequestError as error:
                say("refused", code=error.code)


options = json.loads(sys.argv[1])
asyncio.run(main(options["url"], options["key"]))
