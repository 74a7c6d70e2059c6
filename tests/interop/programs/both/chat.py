"""A chat: to all, to one, in order, in any language, and refusals that a program can tell apart."""

from stage import Audience, arrives, perform

import metered_realtime as sdk

FACTS = (
    "what is said to all reaches all others",
    "nobody hears an echo",
    "what is said to one reaches one",
    "messages come in order",
    "the sender's badge comes with its messages where it is asked for",
    "22,500 accented letters are one message",
    "a message too large is refused, and nothing else happens",
    "wrong use is refused by its name",
)


async def play(stage):
    ada = await stage.peer(token_provider=stage.provider("ada", peerMetadata={"badge": "A"}))
    ben, cleo = await stage.peer("ben"), await stage.peer("cleo")
    of_ada, of_ben, of_cleo = Audience(ada), Audience(ben), Audience(cleo)
    wrong = [await code_of(ada.send("too early"))]
    await ada.join(stage.channel)
    await ben.join(stage.channel, include_sender_metadata=True)
    await cleo.join(stage.channel)
    await arrives(lambda: len(ada.remote_peers) == len(ben.remote_peers) == 2)

    text = {"text": "22 °C, naïve ☂ 🚜", "list": [1, 2.5, None, True]}
    await ada.send(text)
    await arrives(lambda: of_ben.all(sdk.Data) and of_cleo.all(sdk.Data))
    heard = [(e.sender_peer_id, e.data, e.kind) for e in of_ben.all(sdk.Data) + of_cleo.all(sdk.Data)]
    stage.fact("what is said to all reaches all others", heard == [(ada.peer_id, text, "broadcast")] * 2)
    badge = "the sender's badge comes with its messages where it is asked for"
    stage.fact(badge, [e.sender_metadata for e in of_ben.all(sdk.Data)] == [{"badge": "A"}])

    await ada.send_to(ben.peer_id, "psst")
    await ben.remote_peers[0].send("what?")
    await arrives(lambda: of_ada.all(sdk.Data) and len(of_ben.all(sdk.Data)) == 2)
    directed = [(e.data, e.kind) for e in of_ada.all(sdk.Data) + of_ben.all(sdk.Data)[1:]]
    one = directed == [("what?", "direct"), ("psst", "direct")] and len(of_cleo.all(sdk.Data)) == 1
    stage.fact("what is said to one reaches one", one)
    stage.fact("nobody hears an echo", len(of_ada.all(sdk.Data)) == 1)

    for number in range(50):
        await ada.send(number)
    await arrives(lambda: len(of_cleo.all(sdk.Data)) == 51)
    stage.fact("messages come in order", [e.data for e in of_cleo.all(sdk.Data)[1:]] == list(range(50)))

    long = "é" * 22_500
    sent = await code_of(ada.send(long)) is None and await arrives(lambda: of_cleo.all(sdk.Data)[-1].data == long)
    stage.fact("22,500 accented letters are one message", sent)
    refused = await code_of(ada.send("x" * 65_536)) == "MeteredPeerOversizedError"
    calm = ada.state == "joined" and not any(e.to == "reconnecting" for e in of_ada.all(sdk.StateChange))
    stage.fact("a message too large is refused, and nothing else happens", refused and calm)
    wrong += [await code_of(ada.send_to(ada.peer_id, 1)), await code_of(ada.send_to("nobody", 1))]
    wrong += [await code_of(ada.join("_metered/secret"))]
    stage.fact(
        "wrong use is refused by its name", wrong == ["not_joined", "self_send", "peer_not_found", "invalid_state"]
    )


async def code_of(request):
    """Return what tells a refusal from others, or None where there was none."""
    try:
        await request
    except sdk.MeteredRealtimeError as error:
        return getattr(error, "code", type(error).__name__)
    return None


perform(play, FACTS)
