"""A camera that is taken away and added again, as a button to mute it does, again and again."""

from stage import Audience, Pictures, arrives, perform

import metered_realtime as sdk

FACTS = (
    "the picture is there",
    "the viewer is told that it is gone",
    "it comes back when it is added again",
    "the viewer is told of the track again",
    "it comes back when it is added at once",
    "another one can be added beside it",
)


async def play(stage):
    sender, viewer = await stage.peer("b-sender"), await stage.peer("a-viewer")
    audience, pictures = Audience(viewer), Pictures(64)
    stream = sdk.MediaStream([pictures], id="camera")
    sender.add_stream(stream, {"name": "yard"})
    await stage.meet(viewer, sender)
    stage.fact("the picture is there", await audience.sees(64))

    sender.remove_stream(stream)
    stage.fact("the viewer is told that it is gone", await arrives(lambda: audience.all(sdk.StreamRemoved), 3))
    pictures.width = 96
    sender.add_stream(stream, {"name": "yard"})
    stage.fact("it comes back when it is added again", await audience.sees(96))
    stage.fact("the viewer is told of the track again", len(audience.all(sdk.Track)) == 2)

    sender.remove_stream(stream)
    pictures.width = 128
    sender.add_stream(stream, {"name": "yard"})
    stage.fact("it comes back when it is added at once", await audience.sees(128))
    sender.add_track(Pictures(160), sdk.MediaStream(id="beside"))
    stage.fact("another one can be added beside it", await audience.sees(160))


perform(play, FACTS)
