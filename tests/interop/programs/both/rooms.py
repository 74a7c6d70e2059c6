"""Who is in a room: members who come, stay and go; another room; what a newcomer does to the first it meets."""

from stage import Audience, arrives, perform

import metered_realtime as sdk

FACTS = (
    "a newcomer is told who is there",
    "who is there is told of a newcomer",
    "the badge of a member is shown to the others",
    "nobody is told of another room",
    "a greeting sent from the handler of the first member arrives",
    "who leaves is told of",
    "the others stay",
    "who has left is out",
)


async def play(stage):
    first = await stage.peer(token_provider=stage.provider("ada", peerMetadata={"badge": "A"}))
    second, third, elsewhere = await stage.peer(), await stage.peer(), await stage.peer()
    of_first, of_second, of_elsewhere = Audience(first), Audience(second), Audience(elsewhere)
    refused = []

    @second.on(sdk.PeerJoined)
    async def greet(event):
        try:
            await event.peer.send("good morning")
        except sdk.MeteredRealtimeError as error:
            refused.append(error)

    await elsewhere.join(stage.channel + "-next-door")
    await first.join(stage.channel)
    await second.join(stage.channel)
    stage.fact("a newcomer is told who is there", await arrives(lambda: ids(second) == [stage.id_of("ada")]))
    newcomer = await arrives(lambda: ids(first) == [second.peer_id])
    stage.fact("who is there is told of a newcomer", newcomer)
    stage.fact("the badge of a member is shown to the others", of_second.remote.metadata == {"badge": "A"})
    greeted = await arrives(lambda: refused or of_first.all(sdk.Data)) and not refused
    stage.fact("a greeting sent from the handler of the first member arrives", greeted)

    await third.join(stage.channel)
    # Both: the official package may still add a member it is just being told of when it closes.
    await arrives(lambda: len(first.remote_peers) == len(second.remote_peers) == 2)
    await second.close()
    await arrives(lambda: of_first.all(sdk.PeerLeft))
    arrived = [event.peer for event in of_first.all(sdk.PeerJoined)]
    stage.fact("who leaves is told of", [event.peer for event in of_first.all(sdk.PeerLeft)] == arrived[:1])
    stage.fact("the others stay", ids(first) == [third.peer_id])
    stage.fact("nobody is told of another room", not of_elsewhere.all(sdk.PeerJoined))
    stage.fact("who has left is out", second.state == "closed" and not second.remote_peers)


def ids(peer):
    return [remote.id for remote in peer.remote_peers]


perform(play, FACTS)
