"""Publish and subscribe without peers: sizes, timeouts, handlers, and a line that is cut."""

import asyncio

from stage import SOON, arrives, perform

import metered_realtime as sdk

FACTS = (
    "messages and presence arrive",
    "a message too large costs one error and no connection",
    "without a time limit for silence the connection stays",
    "a handler for one time can be taken back",
    "subscriptions are there again after a cut",
    "a stream of events ends with its client",
)


async def play(stage):
    line = await stage.line()
    one = sdk.SignallingClient(api_key=stage.key, url=line.url, reconnect=SOON)
    other = sdk.SignallingClient(api_key=stage.key, url=stage.url)
    lost, presence, messages = [], [], []
    one.on(sdk.Disconnected, lost.append)
    one.on(sdk.Presence, presence.append)
    one.on(sdk.Message, lambda event: messages.append(event.data))
    async with one, other:
        await one.subscribe(stage.channel)
        await other.subscribe(stage.channel, sdk.SubscribeOptions(include_sender_metadata=True))
        await other.publish(stage.channel, {"c": 21.5})
        stage.fact(
            "messages and presence arrive", await arrives(lambda: messages == [{"c": 21.5}] and len(presence) == 2)
        )

        once = []
        one.once(sdk.Message, once.append)
        one.off(sdk.Message, once.append)
        await other.publish(stage.channel, "again")
        await arrives(lambda: len(messages) == 2)
        stage.fact("a handler for one time can be taken back", len(messages) == 2 and not once)

        line.cut()
        await arrives(lambda: one.state == "reconnecting")
        await arrives(lambda: one.state == "connected" and len(presence) > 2)
        await other.publish(stage.channel, "after")
        stage.fact("subscriptions are there again after a cut", await arrives(lambda: messages[-1] == "after"))

        lost.clear()
        refused = False
        try:
            await one.publish(stage.channel, "x" * 70_000)
        except sdk.MeteredRealtimeError:
            refused = True
        # The hub answers what comes next, or has closed by then.
        await asyncio.sleep(0.2)
        stage.fact("a message too large costs one error and no connection", refused and not lost)
        reading = asyncio.create_task(read(one))
        await asyncio.sleep(0)
    stage.fact("a stream of events ends with its client", await arrives(reading.done))
    await without_a_limit(stage)


async def read(client):
    async for _ in client.events(sdk.Message):
        pass


async def without_a_limit(stage):
    lost = []
    client = sdk.SignallingClient(api_key=stage.key, url=stage.url, inactivity_timeout=0, reconnect=False)
    client.on(sdk.Disconnected, lost.append)
    async with client:
        # The official watchdog wakes after a second.
        await asyncio.sleep(1.5)
        stage.fact("without a time limit for silence the connection stays", client.state == "connected" and not lost)


perform(play, FACTS)
