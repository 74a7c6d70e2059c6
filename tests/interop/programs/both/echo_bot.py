"""A bot that sends back whatever comes over a data channel, whoever opened it and whatever else is going on."""

import contextlib

from stage import Audience, Pictures, arrives, perform

import metered_realtime as sdk

FACTS = (
    "the channel keeps its label",
    "text comes back",
    "bytes come back",
    "100 messages come back in order",
    "the end of the channel is told",
    "a second channel works beside the first",
    "a channel opened against an offer of media comes back to life",
)


def serve(bot):
    """Be the bot."""
    labels, ends = [], []

    @bot.on(sdk.PeerJoined)
    def joined(event):
        @event.peer.on(sdk.DataChannelOpened)
        def opened(event):
            channel = sdk.DataChannel(event.channel)
            labels.append(channel.label)
            channel.on(sdk.DCClose, ends.append)

            @channel.on(sdk.DCMessage)
            async def message(event):
                await channel.send(event.data)

    return labels, ends


def ask(remote, label, **parameters):
    """Open a channel; returns it, what comes back, and whether it is open."""
    channel, back, life = sdk.DataChannel(remote.create_data_channel(label, **parameters)), [], []
    channel.on(sdk.DCMessage, lambda event: back.append(event.data))
    channel.on(sdk.DCOpen, lambda event: life.append("open"))
    return channel, back, life


async def talk(stage):
    bot, caller = await stage.peer("a-bot"), await stage.peer("b-caller")
    labels, ends = serve(bot)
    await stage.meet(bot, caller)
    channel, back, life = ask(caller.remote_peers[0], "talk")
    await arrives(lambda: life == ["open"])
    await channel.send("hello")
    stage.fact("text comes back", await arrives(lambda: back == ["hello"]))
    stage.fact("the channel keeps its label", labels == ["talk"])
    await channel.send(b"\x00\xff")
    stage.fact("bytes come back", await arrives(lambda: back[1:] == [b"\x00\xff"]))
    for number in range(100):
        await channel.send(str(number))
    ordered = await arrives(lambda: back[2:] == [str(number) for number in range(100)])
    stage.fact("100 messages come back in order", ordered)
    second, second_back, second_life = ask(caller.remote_peers[0], "more", ordered=False, maxRetransmits=0)
    await arrives(lambda: second_life == ["open"])
    await second.send("beside")
    stage.fact("a second channel works beside the first", await arrives(lambda: second_back == ["beside"]))
    channel.close()
    stage.fact("the end of the channel is told", await arrives(lambda: len(ends) == 1, 3))
    await bot.close()
    await caller.close()


async def against_media(stage):
    """The caller opens its channel while the bot, who wins, offers a picture and nothing else."""
    bot, caller = await stage.peer("b-bot"), await stage.peer("a-caller")
    serve(bot)
    audience = Audience(caller)
    opened = []
    caller.on(sdk.PeerJoined, lambda event: opened.append(ask(event.peer, "talk")))
    bot.add_track(Pictures(), sdk.MediaStream(id="face"))
    await stage.meet(bot, caller)
    await audience.sees(64)
    channel, back, life = opened[0]
    if await arrives(lambda: life == ["open"]):
        with contextlib.suppress(sdk.MeteredRealtimeError):
            await channel.send("hello")
    stage.fact(FACTS[-1], await arrives(lambda: back == ["hello"], 2))


async def play(stage):
    await talk(stage)
    await against_media(stage)


perform(play, FACTS)
