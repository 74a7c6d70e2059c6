"""Streams that say what they are: several of them, to members who are there, who come late, and who are met first."""

import asyncio

from stage import Audience, Pictures, arrives, perform

import metered_realtime as sdk

YARD, GATE = {"name": "yard", "place": {"floor": 2}}, {"name": "gate"}
FACTS = (
    "each stream comes with its id and metadata",
    "each track comes with the metadata of its stream",
    "metadata can be looked up by who sent it",
    "who comes late is told the same",
    "all the pictures come",
    "a track added in the handler of the first member comes",
    "tracks added one after the other over a slow line come without an error",
)


def found(audience):
    return {event.stream.id: event.metadata for event in audience.all(sdk.StreamAdded)}


async def several(stage):
    sender, early, late = await stage.peer("c-sender"), await stage.peer("a-early"), await stage.peer("b-late")
    of_early, of_late = Audience(early), Audience(late)
    yard, gate = sdk.MediaStream([Pictures(64)], id="yard"), sdk.MediaStream([Pictures(96)], id="gate")
    sender.add_stream(yard, YARD)
    sender.add_stream(gate, GATE)
    await stage.meet(early, sender)
    seen = await arrives(lambda: found(of_early) == {"yard": YARD, "gate": GATE})
    stage.fact("each stream comes with its id and metadata", seen)
    tracks = [(event.streams[0].id, event.metadata) for event in of_early.all(sdk.Track)]
    stage.fact("each track comes with the metadata of its stream", sorted(tracks) == [("gate", GATE), ("yard", YARD)])
    kept = (sender.get_stream_metadata(yard), sender.get_track_metadata(gate.get_tracks()[0]))
    stage.fact("metadata can be looked up by who sent it", kept == (YARD, GATE))
    await late.join(stage.channel)
    stage.fact("who comes late is told the same", await arrives(lambda: found(of_late) == {"yard": YARD, "gate": GATE}))
    shown = [await audience.sees(width) for audience in (of_early, of_late) for width in (64, 96)]
    stage.fact("all the pictures come", all(shown))
    for peer in (sender, early, late):
        await peer.close()


async def from_the_first_handler(stage):
    present, newcomer = await stage.peer("a-present"), await stage.peer("b-newcomer")
    audience = Audience(present)
    newcomer.on(sdk.PeerJoined, lambda event: newcomer.add_track(Pictures(), sdk.MediaStream(id="hello")))
    await stage.meet(present, newcomer)
    stage.fact("a track added in the handler of the first member comes", await audience.sees(64))
    await present.close()
    await newcomer.close()


async def over_a_slow_line(stage):
    lines = [await stage.line(), await stage.line()]
    sender, viewer = await stage.peer("b-sender", line=lines[0]), await stage.peer("a-viewer", line=lines[1])
    of_sender, of_viewer = Audience(sender), Audience(viewer)
    await stage.meet(viewer, sender)
    for line in lines:
        line.latency_s = 0.075
    for number in range(4):
        sender.add_track(Pictures(64 + 32 * number))
        await asyncio.sleep(0.05)
    come = await arrives(lambda: len(of_viewer.all(sdk.Track)) == 4, 10)
    errors = of_sender.all(sdk.NegotiationError) + of_viewer.all(sdk.NegotiationError)
    stage.fact("tracks added one after the other over a slow line come without an error", come and not errors)


async def play(stage):
    await several(stage)
    await from_the_first_handler(stage)
    await over_a_slow_line(stage)


perform(play, FACTS)
