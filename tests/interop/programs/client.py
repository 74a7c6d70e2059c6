"""A `SignallingClient` written for `metered_realtime` 1.0: the tests run it under the official SDK and under ours.

Its options are one JSON object in argv; commands come as JSON lines on stdin, events go as JSON lines to stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import metered_realtime
from metered_realtime import (
    Connected,
    Direct,
    Disconnected,
    Message,
    MeteredRealtimeError,
    Presence,
    ServerError,
    SignallingClient,
    SubscribeOptions,
)


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def listen(client: SignallingClient) -> None:
    """Report everything."""

    @client.on(Connected)
    def connected(event: Connected) -> None:
        say("connected", peer=event.peer_id, is_reconnect=event.is_reconnect)

    @client.on(Disconnected)
    def disconnected(event: Disconnected) -> None:
        say("disconnected", code=event.code, will_reconnect=event.will_reconnect)

    @client.on(Message)
    def message(event: Message) -> None:
        say("message", channel=event.channel, sender=event.sender_peer_id, data=event.data)

    @client.on(Direct)
    def direct(event: Direct) -> None:
        say("direct", sender=event.sender_peer_id, data=event.data)

    @client.on(Presence)
    def presence(event: Presence) -> None:
        joined = [member.peer_id for member in event.joined]
        say("presence", channel=event.channel, joined=joined, left=[member.peer_id for member in event.left])

    @client.on(ServerError)
    def server_error(event: ServerError) -> None:
        say("server_error", code=event.code, message=event.message)


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Yield the commands on stdin until it closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def obey(client: SignallingClient, command: dict[str, Any]) -> None:
    match command["do"]:
        case "subscribe":
            await client.subscribe(command["channel"], SubscribeOptions())
        case "unsubscribe":
            await client.unsubscribe(command["channel"])
        case "publish":
            await client.publish(command["channel"], command["data"])
        case "publish_many":
            for number in range(command["count"]):
                await client.publish(command["channel"], {"number": number})
        case "send":
            await client.send(command["peer"], command["data"])


async def main() -> None:
    options = json.loads(sys.argv[1])
    client = SignallingClient(api_key=options["key"], url=options["url"])
    listen(client)
    try:
        await client.connect()
    except MeteredRealtimeError as error:
        say(
            "refused",
            version=metered_realtime.__version__,
            error=type(error).__name__,
            code=getattr(error, "close_code", None),
        )
        return
    say("ready", version=metered_realtime.__version__)
    async for command in commands():
        if command["do"] == "close":
            break
        try:
            await obey(client, command)
        except MeteredRealtimeError as error:
            say("failed", do=command["do"], error=type(error).__name__, code=getattr(error, "code", None))
        else:
            say("done", do=command["do"])
    await client.close()
    say("closed")


asyncio.run(main())
