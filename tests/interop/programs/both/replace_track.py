"""Another camera and another microphone in the place of those that are being sent."""

import asyncio

from stage import Audience, Pictures, arrives, perform, play_tone

import metered_realtime as sdk

FACTS = (
    "the first picture and the first tone are there",
    "the other picture takes its place",
    "the other tone takes its place",
    "nobody is told of new tracks",
    "the new tracks are still alive",
    "back to the first picture",
)


async def play(stage):
    sender, viewer = await stage.peer("b-sender"), await stage.peer("a-viewer")
    audience, stream = Audience(viewer), sdk.MediaStream(id="camera")
    pictures, others = Pictures(64), Pictures(96)
    tone, other_tone = sdk.AudioSource(), sdk.AudioSource()
    sender.add_track(pictures, stream)
    sender.add_track(tone, stream)
    playing = [asyncio.create_task(play_tone(tone, 440)), asyncio.create_task(play_tone(other_tone, 880))]
    await stage.meet(viewer, sender)
    stage.fact(FACTS[0], await audience.sees(64) and await audience.hears(420, 460))

    await sender.replace_track(pictures, others)
    await sender.replace_track(tone, other_tone)
    stage.fact("the other picture takes its place", await audience.sees(96, 60))
    stage.fact("the other tone takes its place", await audience.hears(860, 900))
    stage.fact("nobody is told of new tracks", len(audience.all(sdk.Track)) == 2)
    stage.fact("the new tracks are still alive", others.readyState == other_tone.readyState == "live")
    await sender.replace_track(others, pictures)
    stage.fact("back to the first picture", await arrives(lambda: True) and await audience.sees(64))
    for task in playing:
        task.cancel()


perform(play, FACTS)
