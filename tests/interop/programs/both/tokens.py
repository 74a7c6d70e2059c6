"""Tokens of a back end that live for seconds, as others live for an hour: everything goes on when they expire."""

import itertools

from stage import Audience, Pictures, arrives, perform

import metered_realtime as sdk

LIFETIME_S = 4.0
FACTS = (
    "the picture is there",
    "another token is asked for when one expires",
    "the peer keeps its id",
    "messages arrive under the next token",
    "the picture is there under the next token",
    "a channel that the token does not cover is refused",
    "a token of somebody else's back end is refused for good",
    "a provider that is a plain function will do",
)


async def play(stage):
    asked = itertools.count(1)
    given = []

    async def provide():
        given.append(next(asked))
        # The first one expires soon; whoever holds a later one has survived that.
        return stage.token("b-camera", lifetime_s=LIFETIME_S if len(given) == 1 else 60.0)

    camera, viewer = await stage.peer(token_provider=provide), await stage.peer("a-viewer")
    of_viewer, pictures = Audience(viewer), Pictures()
    camera.add_track(pictures, sdk.MediaStream(id="camera"))
    await stage.meet(viewer, camera)
    stage.fact("the picture is there", await of_viewer.sees(64))

    renewed = await arrives(lambda: len(given) > 1, LIFETIME_S + 5) and await arrives(lambda: camera.state == "joined")
    stage.fact("another token is asked for when one expires", renewed)
    back = await arrives(lambda: [peer.id for peer in viewer.remote_peers] == [stage.id_of("b-camera")])
    stage.fact("the peer keeps its id", back and camera.peer_id == stage.id_of("b-camera"))
    await camera.send("still here")
    heard = await arrives(lambda: [event.data for event in of_viewer.all(sdk.Data)] == ["still here"])
    stage.fact("messages arrive under the next token", heard)
    pictures.width = 96
    stage.fact("the picture is there under the next token", await of_viewer.sees(96))
    await refusals(stage)


async def refusals(stage):
    limited = stage.provider("limited", channels=[stage.channel])
    async with sdk.SignallingClient(token_provider=limited, url=stage.url) as client:
        await client.subscribe(stage.channel)
        try:
            await client.subscribe("forbidden")
        except sdk.ServerRequestError as error:
            stage.fact("a channel that the token does not cover is refused", error.code == "channel_not_authorized")

    forged = sdk.SignallingClient(token_provider=stage.provider("x"), url=stage.url)
    stage._secret = "sk_secret_of_somebody_else"
    try:
        await forged.connect()
    except sdk.SignallingConnectError as error:
        stage.fact("a token of somebody else's back end is refused for good", error.close_code == 4001)


async def main(stage):
    plain_token = stage.token("plain")
    await play(stage)
    plain = sdk.SignallingClient(token_provider=lambda: plain_token, url=stage.url)
    try:
        async with plain:
            stage.fact("a provider that is a plain function will do", plain.state == "connected")
    except TypeError:
        stage.fact("a provider that is a plain function will do", False)


perform(main, FACTS)
