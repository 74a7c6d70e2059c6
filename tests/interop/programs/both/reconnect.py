"""The network goes away and comes back: under one's hand, under the other's, and in the middle of a join."""

import contextlib

from stage import Audience, Pictures, arrives, perform

import metered_realtime as sdk

FACTS = (
    "the drop is shown",
    "the room is joined again",
    "the other is the same object as before",
    "messages go both ways again",
    "who exchanges nothing is idle again",
    "the picture comes back when its sender was cut off",
    "the picture comes back when its viewer was cut off",
    "a join that was cut off can be repeated",
)


async def idle(stage):
    """Two who only talk."""
    line = await stage.line()
    one, other = await stage.peer("a-one", line=line), await stage.peer("b-other")
    of_one, of_other = Audience(one), Audience(other)
    await stage.meet(other, one)
    before = of_one.remote
    line.cut()
    await arrives(lambda: one.state == "reconnecting")
    stage.fact("the drop is shown", [e.to for e in of_one.all(sdk.StateChange)][-1:] == ["reconnecting"])
    stage.fact("the room is joined again", await arrives(lambda: one.state == "joined"))
    stage.fact("the other is the same object as before", one.remote_peers == [before] and of_one.remote is before)
    await arrives(lambda: len(of_other.all(sdk.PeerJoined)) == 2)
    await one.send("back")
    await other.send("welcome back")
    heard = await arrives(lambda: of_one.all(sdk.Data) and of_other.all(sdk.Data))
    stage.fact("messages go both ways again", heard)
    stage.fact("who exchanges nothing is idle again", await arrives(lambda: of_one.remote.state == "idle", 2))
    await one.close()
    await other.close()


async def media(stage, cut_off):
    lines = {"sender": await stage.line(), "viewer": await stage.line()}
    sender = await stage.peer("b-sender", line=lines["sender"])
    viewer = await stage.peer("a-viewer", line=lines["viewer"])
    of_viewer, pictures = Audience(viewer), Pictures()
    sender.add_track(pictures, sdk.MediaStream(id="camera"))
    await stage.meet(viewer, sender)
    if await of_viewer.sees(64):
        dropped = sender if cut_off == "sender" else viewer
        lines[cut_off].cut()
        await arrives(lambda: dropped.state == "reconnecting")
        await arrives(lambda: sender.state == viewer.state == "joined" and sender.remote_peers and viewer.remote_peers)
        pictures.width = 96
        stage.fact(f"the picture comes back when its {cut_off} was cut off", await of_viewer.sees(96))
    await sender.close()
    await viewer.close()


async def join(stage):
    line = await stage.line()
    line.cut_after = 2  # the request to upgrade goes through, the subscription does not
    peer = await stage.peer("a-late", line=line)
    try:
        await peer.join(stage.channel)
    except sdk.MeteredRealtimeError:
        line.cut_after = None
        with contextlib.suppress(sdk.MeteredRealtimeError):
            await peer.join(stage.channel)
        stage.fact("a join that was cut off can be repeated", peer.state == "joined")


async def play(stage):
    await idle(stage)
    await media(stage, "sender")
    await media(stage, "viewer")
    await join(stage)


perform(play, FACTS)
