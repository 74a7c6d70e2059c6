"""Members of a channel on a real hub: life, messages, media, and what happens when the service goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from metered_realtime import MeteredPeer, SignallingClient, events, renewal, roster, wire
from metered_realtime.errors import (
    MeteredPeerOversizedError,
    MeteredPeerReplaceTrackError,
    MeteredPeerSendError,
    MeteredPeerStateError,
    MeteredRealtimeError,
    ReconcileTimeoutError,
    ServerRequestError,
    SignallingConnectError,
)
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_choice import EncodedVideoChoice
from metered_realtime.media.frames import iter_frames
from metered_realtime.streams import MediaStream
from tests.sdk.media.tracks import Scripted
from tests.sdk.real_hub import KEY, channel, hub_url  # noqa: F401 - fixtures
from tests.sdk.rounds import Rounds
from tests.sdk.signalling_server import WELCOME, scripted_server
from tests.sdk.wired import AudioStreamTrack, SmallPictures
from tests.turn import coturn


@pytest.fixture
async def open_peer(hub_url: str) -> AsyncIterator[Callable[[], MeteredPeer]]:  # noqa: F811
    async with AsyncExitStack() as stack:
        peers: list[MeteredPeer] = []

        def make(**more: Any) -> MeteredPeer:
            peers.append(MeteredPeer(api_key=KEY, url=hub_url, **more))
            stack.push_async_callback(peers[-1].close)
            return peers[-1]

        yield make


async def next_event(emitter: Any, event_type: type[Any], *, where: Callable[[Any], bool] = lambda event: True) -> Any:
    async with emitter.events(event_type) as stream, asyncio.timeout(10):
        async for event in stream:
            if where(event):
                return event
    raise AssertionError("the stream ended")


def expect(emitter: Any, event_type: type[Any], **more: Any) -> asyncio.Task[Any]:
    """Start to wait now for what is about to happen."""
    return asyncio.create_task(next_event(emitter, event_type, **more))


async def met(a: MeteredPeer, b: MeteredPeer, channel: str) -> tuple[Any, Any]:  # noqa: F811
    """Both join; returns each one's view of the other."""
    seen = expect(a, events.PeerJoined)
    await asyncio.sleep(0)
    await a.join(channel)
    seen_too = expect(b, events.PeerJoined)
    await asyncio.sleep(0)
    await b.join(channel)
    return (await seen).peer, (await seen_too).peer


# Life ---------------------------------------------------------------------------------------------------


async def test_members_see_each_other_come_and_go(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    assert (a.state, a.peer_id, a.channel, a.remote_peers) == ("idle", None, None, [])
    joined = expect(a, events.Joined)
    await asyncio.sleep(0)
    b_at_a, a_at_b = await met(a, b, channel)
    assert await joined == events.Joined(a.peer_id, channel)
    assert (b_at_a.id, a_at_b.id) == (b.peer_id, a.peer_id)
    assert b_at_a.polite != a_at_b.polite
    assert a.remote_peers == [b_at_a]
    assert (a.state, a.channel) == ("joined", channel)
    gone = expect(a, events.PeerLeft)
    left = expect(b, events.Left)
    await asyncio.sleep(0)
    await b.close("bye")
    assert (await gone).peer is b_at_a
    assert (await left).reason == "bye"
    assert b_at_a.state == a_at_b.state == "closed"
    assert a.remote_peers == []
    assert "joined" in repr(a)


async def test_states_are_told_in_order(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer, states = open_peer(), []
    peer.on(events.StateChange, lambda event: states.append(event.to))
    async with peer.joined(channel) as joined:
        assert joined is peer
    assert states == ["joining", "joined", "leaving", "closed"]
    await peer.close()


async def test_a_closed_or_joined_peer_does_not_join(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    for state in ("joined", "closed"):
        with pytest.raises(MeteredPeerStateError, match="join") as refused:
            await peer.join(channel)
        assert (refused.value.code, refused.value.current_state) == ("invalid_state", state)
        await peer.close()


async def test_a_second_close_waits_for_the_first(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    first = asyncio.create_task(peer.close("first"))
    await asyncio.sleep(0)
    assert peer.state == "leaving"
    await peer.close("second")
    assert peer.state == "closed"
    await first


async def test_a_close_that_is_cancelled_is_finished_all_the_same(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    left = expect(peer, events.Left)
    impatient = asyncio.create_task(peer.close("bye"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    assert (await left).reason == "bye"
    await peer.close()
    assert (peer.state, peer._client.state) == ("closed", "closed")


@pytest.mark.parametrize(
    ("event_type", "trigger"),
    [
        (events.PeerJoined, None),
        (events.Joined, None),
        (events.Data, lambda peer: peer._client.emit(events.Message(peer.channel, "x", 1))),
        (events.FatalError, lambda peer: peer._client.emit(events.ServerError("action_not_permitted"))),
    ],
)
async def test_handlers_may_close_the_peer_that_calls_them(
    open_peer: Any,
    channel: str,  # noqa: F811
    event_type: type[Any],
    trigger: Any,
) -> None:
    a, b = open_peer(), open_peer()
    await b.join(channel)
    left = expect(a, events.Left)

    async def closes(event: Any) -> None:
        await a.close(f"closed at {type(event).__name__}")

    a.on(event_type, closes)
    a.on(event_type, closes)  # two handlers do not wait for each other
    a.on(events.StateChange, lambda change: closes(change) if change.to in ("leaving", "closed") else None)
    started_s = asyncio.get_running_loop().time()
    await a.join(channel)
    if trigger is not None:
        trigger(a)
    assert (await left).reason == f"closed at {event_type.__name__}"
    await a.close()
    assert asyncio.get_running_loop().time() - started_s < 0.9  # nobody had to be cancelled after its second


async def test_a_peer_closed_while_its_join_fails_stays_closed(hub_url: str, channel: str) -> None:  # noqa: F811
    client = SignallingClient(api_key=KEY, url=hub_url)
    is_refused = asyncio.Event()

    async def refuse(*args: Any) -> None:
        is_refused.set()
        raise ServerRequestError("channel_not_authorized")

    client.subscribe = refuse  # type: ignore[method-assign]
    peer, states = MeteredPeer(_client=client), []
    peer.on(events.StateChange, lambda event: states.append(event.to))
    join = asyncio.create_task(peer.join(channel))
    await is_refused.wait()
    await peer.close()
    with pytest.raises(ServerRequestError):
        await join
    assert states == ["joining", "leaving", "closed"]


async def test_a_join_cancelled_at_success_leaves_no_member(hub_url: str, channel: str) -> None:  # noqa: F811
    client = SignallingClient(api_key=KEY, url=hub_url)
    subscribe = client.subscribe

    async def subscribe_and_wait(*args: Any) -> None:
        await subscribe(*args)
        await asyncio.Future()

    client.subscribe = subscribe_and_wait  # type: ignore[method-assign]
    async with MeteredPeer(api_key=KEY, url=hub_url) as other:
        await other.join(channel)
        peer = MeteredPeer(_client=client)
        joined, gone = expect(peer, events.Joined), expect(other, events.PeerLeft)
        entering = asyncio.create_task(peer.joined(channel).__aenter__())
        await joined
        entering.cancel()
        await asyncio.wait([entering])
        assert entering.cancelled()
        assert (peer.state, client.state) == ("closed", "closed")
        await gone


async def test_closing_before_joining_is_enough(open_peer: Any) -> None:
    peer = open_peer()
    await peer.close()
    assert peer.state == "closed"


@pytest.mark.parametrize("name", ["_metered/x", "_INTERNAL/x", "_system/x"])
async def test_channels_of_the_service_are_refused_at_once(open_peer: Any, name: str) -> None:
    peer = open_peer()
    with pytest.raises(MeteredPeerSendError) as refused:
        await peer.join(name)
    assert refused.value.code == "reserved_channel"
    assert peer.state == "idle"


async def test_a_failed_join_leaves_nothing_and_may_be_repeated(hub_url: str, channel: str) -> None:  # noqa: F811
    client = SignallingClient(api_key=KEY, url=hub_url)
    refusals = [ServerRequestError("channel_not_authorized")]
    subscribe = client.subscribe

    async def refuse_once(*args: Any) -> None:
        if refusals:
            raise refusals.pop()
        await subscribe(*args)

    client.subscribe = refuse_once  # type: ignore[method-assign]
    async with MeteredPeer(_client=client) as peer:
        with pytest.raises(ServerRequestError):
            await peer.join(channel)
        assert (peer.state, peer.channel, client.state) == ("idle", None, "closed")
        async with MeteredPeer(api_key=KEY, url=hub_url) as other:
            await other.join(channel)
            await peer.join(channel)
            heard = expect(other, events.Data)
            await asyncio.sleep(0)
            await peer.send("again")
            assert (await heard).data == "again"


async def test_nobody_listening_is_a_failed_join(channel: str) -> None:  # noqa: F811
    async with MeteredPeer(api_key=KEY, url="ws://127.0.0.1:9") as peer:
        with pytest.raises(SignallingConnectError):
            await peer.join(channel)
        assert peer.state == "idle"


def test_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="auto_resubscribe"):
        MeteredPeer(api_key=KEY, auto_resubscribe=False)
    with pytest.raises(ValueError, match="api_key"):
        MeteredPeer()


# Messages -----------------------------------------------------------------------------------------------


async def test_broadcast_and_direct_messages_arrive_with_their_kind(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    b_at_a, _ = await met(a, b, channel)
    async with b.events(events.Data) as heard, asyncio.timeout(10):
        await a.send({"n": 1})
        await a.send_to(b.peer_id, [2])
        await b_at_a.send("three")
        got = [await anext(heard) for _ in range(3)]
    assert [(event.data, event.kind, event.sender_peer_id) for event in got] == [
        ({"n": 1}, "broadcast", a.peer_id), ([2], "direct", a.peer_id), ("three", "direct", a.peer_id),
    ]  # fmt: skip


async def test_handlers_of_the_first_members_may_send_and_add_tracks_at_once(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    await a.join(channel)
    heard = expect(a, events.Data)
    received = asyncio.get_running_loop().create_future()
    a.on(events.PeerJoined, lambda event: event.peer.on(events.Track, received.set_result))
    track = SmallPictures()

    @b.on(events.PeerJoined)
    async def greet(event: events.PeerJoined) -> None:
        b.add_track(track, None, {"added": "in the handler"})
        await event.peer.send("hello")

    await b.join(channel)
    assert (await heard).data == "hello"
    async with asyncio.timeout(10):
        event = await received
    assert (event.track.id, event.metadata) == (track.id, {"added": "in the handler"})


async def test_a_message_must_fit_in_utf8_bytes(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    await met(a, b, channel)
    heard = expect(b, events.Data)
    await asyncio.sleep(0)
    await a.send("é" * 32_000)  # 64,002 bytes as the service counts, three times that as escapes
    assert len((await heard).data) == 32_000
    with pytest.raises(MeteredPeerOversizedError) as refused:
        await a.send_to(b.peer_id, "é" * 33_000)
    assert (refused.value.size, refused.value.cap) == (66_002, 65_536)


async def test_sending_has_its_conditions(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    for call in (lambda: peer.send(1), lambda: peer.send_to("x", 1)):
        with pytest.raises(MeteredPeerSendError) as refused:
            await call()
        assert refused.value.code == "not_joined"
    await peer.join(channel)
    for peer_id, code in ((peer.peer_id, "self_send"), ("", "invalid_args"), (5, "invalid_args")):
        with pytest.raises(MeteredPeerSendError) as refused:
            await peer.send_to(peer_id, 1)
        assert refused.value.code == code
    with pytest.raises(ServerRequestError) as unknown:
        await peer.send_to("nobody", 1)
    assert unknown.value.code == "peer_not_found"


async def test_strangers_are_not_heard(open_peer: Any, hub_url: str, channel: str) -> None:  # noqa: F811
    peer, told = open_peer(), []
    await peer.join(channel)
    peer.on(events.Data, told.append)
    async with SignallingClient(api_key=KEY, url=hub_url) as stranger:
        await stranger.send(peer.peer_id, "psst")
        heard = expect(peer, events.Data)
        await asyncio.sleep(0)
        await stranger.publish(channel, "aloud")  # whoever may publish to the channel is heard
        await heard
    assert [event.data for event in told] == ["aloud"]


# Media --------------------------------------------------------------------------------------------------


async def test_streams_reach_present_and_future_members_with_metadata(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b, late = open_peer(), open_peer(), open_peer()
    stream = MediaStream([SmallPictures(), AudioStreamTrack()], id="camera-yard")
    metadata = {"name": "yard"}
    a_at_b = (await met(a, b, channel))[1]
    added = expect(a_at_b, events.StreamAdded)
    await asyncio.sleep(0)
    a.add_stream(stream, metadata)
    assert a.get_stream_metadata(stream) == a.get_track_metadata(stream.get_tracks()[1]) == metadata
    event = await added
    assert (event.stream.id, event.metadata, len(event.stream.get_tracks())) == ("camera-yard", metadata, 2)

    arrived = asyncio.get_running_loop().create_future()

    @late.on(events.PeerJoined)
    def watch(joined: events.PeerJoined) -> None:
        if joined.peer.id == a.peer_id:
            joined.peer.on(events.StreamAdded, arrived.set_result)

    await late.join(channel)
    async with asyncio.timeout(10):
        event = await arrived
        for track in event.stream.get_tracks():
            assert await anext(aiter(iter_frames(track))) is not None
    assert event.metadata == metadata

    removed = expect(a_at_b, events.StreamRemoved)
    await asyncio.sleep(0)
    a.remove_stream(stream)
    assert (await removed).stream.id == "camera-yard"
    assert a.get_stream_metadata(stream) is None


async def test_a_replaced_track_keeps_frames_flowing(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    old, new = SmallPictures(64), SmallPictures(96)
    a.add_track(old, MediaStream(id="s"), {"a": 1})
    received = asyncio.get_running_loop().create_future()
    b.on(events.PeerJoined, lambda event: event.peer.on(events.Track, received.set_result))
    await met(a, b, channel)
    async with asyncio.timeout(10):
        frames = iter_frames((await received).track)
        assert (await anext(frames)).width == 64
        await a.replace_track(old, new)
        widths = [(await anext(frames)).width]
        while widths.count(96) < 5:
            widths.append((await anext(frames)).width)
    assert widths == sorted(widths)
    assert a.get_track_metadata(new) == {"a": 1}


async def test_replace_track_has_its_conditions(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    track, other = Scripted("video"), Scripted("video")
    peer.add_track(track)
    peer.add_track(other)
    await peer.replace_track(Scripted("video"), track)  # not sent: nothing to replace
    await peer.replace_track(track, track)
    with pytest.raises(TypeError, match="old track"):
        await peer.replace_track(None, track)
    with pytest.raises(TypeError, match="video"):
        await peer.replace_track(track, Scripted("audio"))
    with pytest.raises(MeteredPeerStateError) as refused:
        await peer.replace_track(track, other)
    assert refused.value.code == "track_already_attached"
    await peer.replace_track(track, None)
    peer.remove_track(track)  # gone already
    peer.add_track(track)
    await peer.close()
    with pytest.raises(MeteredPeerStateError) as refused:
        await peer.replace_track(track, None)
    assert refused.value.current_state == "closed"


async def test_media_calls_are_refused_after_the_end(open_peer: Any) -> None:
    peer, stream = open_peer(), MediaStream([Scripted("video")])
    await peer.close()
    for call in (
        lambda: peer.add_stream(stream), lambda: peer.remove_stream(stream),
        lambda: peer.add_track(Scripted("video")), lambda: peer.remove_track(Scripted("video")),
    ):  # fmt: skip
        with pytest.raises(MeteredPeerStateError):
            call()


async def test_metadata_must_fit_before_it_is_sent(open_peer: Any) -> None:
    peer, track = open_peer(), Scripted("video")
    with pytest.raises(MeteredPeerOversizedError):
        peer.add_track(track, None, {"x": "y" * 70_000})
    with pytest.raises(TypeError):
        peer.add_track(track, None, {"x": object()})
    peer.add_track(track)
    peer.add_track(track)
    assert peer.get_track_metadata(track) is None


async def test_a_plain_handler_chooses_what_a_member_gets_before_it_is_told(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b, c = open_peer(), open_peer(), open_peer()
    yard, door = SmallPictures(64), SmallPictures(96)
    for track in (yard, door):
        a.add_track(track, MediaStream(), {"width": track.width})

    @a.on(events.PeerJoined)
    def choose(event: events.PeerJoined) -> None:
        event.peer.create_data_channel("early")  # opens the connection before the choice is made
        event.peer.choose_media([yard] if event.peer.id == b.peer_id else [door])

    got: list[asyncio.Queue[Any]] = [asyncio.Queue(), asyncio.Queue()]
    for peer, queue in zip((b, c), got, strict=True):
        peer.on(events.PeerJoined, lambda event, queue=queue: event.peer.on(events.Track, queue.put_nowait))
    await b.join(channel)
    await a.join(channel)
    await c.join(channel)
    async with asyncio.timeout(10):
        arrived = [await queue.get() for queue in got]
        for event, track in zip(arrived, (yard, door), strict=True):
            assert (event.track.id, event.metadata) == (track.id, {"width": track.width})
            assert (await anext(iter_frames(event.track))).width == track.width
    assert [queue.qsize() for queue in got] == [0, 0]


async def test_a_track_that_cannot_reach_a_member_is_an_error_with_the_members_names(
    open_peer: Any,
    channel: str,  # noqa: F811
) -> None:
    a, b, c = open_peer(), open_peer(), open_peer()
    old, foreign = SmallPictures(), EncodedVideoSource()
    foreign.mime_type = "video/AV1"
    a.add_track(old)
    b_at_a, _ = await met(a, b, channel)
    seen = expect(a, events.PeerJoined)
    await asyncio.sleep(0)
    await c.join(channel)
    c_at_a = (await seen).peer
    c_at_a.choose_media([])
    async with asyncio.timeout(10):
        while b_at_a.state != "connected":
            await asyncio.sleep(0.01)
    with pytest.raises(MeteredPeerReplaceTrackError) as refused:
        await a.replace_track(old, foreign)
    assert refused.value.succeeded == (c_at_a.id,)
    assert [failure.peer_id for failure in refused.value.failed] == [b_at_a.id]
    assert "AV1" in str(refused.value.failed[0].err)
    again = SmallPictures()
    await a.replace_track(foreign, again)
    assert b_at_a in a.remote_peers


# One way only -------------------------------------------------------------------------------------------


async def test_who_joined_to_send_gets_nothing_and_who_joined_to_receive_sends_nothing(
    open_peer: Any,
    channel: str,  # noqa: F811
) -> None:
    sender, receiver, unheard = open_peer(), open_peer(), SmallPictures()
    tracks: dict[str, list[Any]] = {"sender": [], "receiver": []}
    arrived = asyncio.Event()
    for name, peer in (("sender", sender), ("receiver", receiver)):
        peer.on(
            events.PeerJoined,
            lambda joined, name=name: joined.peer.on(
                events.Track, lambda event: (tracks[name].append(event), arrived.set())
            ),
        )
    sender.add_track(SmallPictures(96))
    await receiver.join(channel, media="receive")
    third = open_peer()
    third.add_track(unheard)
    await third.join(channel)
    async with asyncio.timeout(10):
        await arrived.wait()
        arrived.clear()
        await sender.join(channel, media="send")
        await arrived.wait()
        while any(remote.state != "connected" for remote in sender.remote_peers):
            await asyncio.sleep(0.01)
    assert tracks["sender"] == []
    assert len(tracks["receiver"]) == 2
    for call in (lambda: receiver.add_track(unheard), lambda: receiver.add_stream(MediaStream([unheard]))):
        with pytest.raises(MeteredPeerStateError, match="receive") as refused:
            call()
        assert refused.value.code == "invalid_state"
    receiver.remove_track(unheard)
    sender.add_track(SmallPictures())


async def test_what_to_exchange_must_make_sense(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer, track = open_peer(), Scripted("video")
    with pytest.raises(ValueError, match="both, send, receive, none"):
        await peer.join(channel, media="video")
    peer.add_track(track)
    with pytest.raises(MeteredPeerStateError, match="join") as refused:
        await peer.join(channel, media="none")
    assert (refused.value.method, peer.state) == ("join", "idle")
    peer.remove_track(track)
    async with peer.joined(channel, media="none"), open_peer() as other:
        await other.join(channel)
        heard = expect(peer, events.Data)
        await asyncio.sleep(0)
        await other.send("hello")
        assert (await heard).data == "hello"


async def test_a_join_that_failed_decides_nothing_about_media(channel: str) -> None:  # noqa: F811
    async with MeteredPeer(api_key=KEY, url="ws://127.0.0.1:9") as peer:
        with pytest.raises(SignallingConnectError):
            await peer.join(channel, media="receive")
        peer.add_track(Scripted("video"))


# Ways to others -----------------------------------------------------------------------------------------


async def test_servers_of_the_application_are_used_beside_those_of_the_service(open_peer: Any, channel: str) -> None:  # noqa: F811
    own, theirs = IceServerConfig("stun:127.0.0.1:9"), IceServerConfig("stun:127.0.0.1:19")
    a, b = open_peer(relay_only=True, ice_servers=[own]), open_peer()
    await met(a, b, channel)
    a._ice_servers = (theirs,)
    (link,) = a._members.links
    options = link._connection._performer._options
    assert options.ice_servers() == (own, theirs)
    assert options.relay_only
    with pytest.raises(TypeError):
        open_peer(ice_servers=["stun:127.0.0.1:9"])


async def test_members_that_want_it_meet_through_a_relay_of_the_application_only(open_peer: Any, channel: str) -> None:  # noqa: F811
    async with coturn() as turn:
        own = [turn.config("udp")]
        a, b = open_peer(relay_only=True, ice_servers=own), open_peer(relay_only=True, ice_servers=own)
        a.add_track(SmallPictures())
        arrived = asyncio.get_running_loop().create_future()
        b.on(events.PeerJoined, lambda event: event.peer.on(events.Track, arrived.set_result))
        b_at_a, _ = await met(a, b, channel)
        async with asyncio.timeout(10):
            assert await anext(iter_frames((await arrived).track)) is not None
        pair = (await b_at_a.stats()).pair
        assert pair is not None
        assert (pair.local_type, pair.remote_type) == ("relay", "relay")
        await a.close()
        await b.close()


async def test_the_way_of_a_link_is_told(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    a.add_track(SmallPictures())
    b_at_a, _ = await met(a, b, channel)
    assert (await b_at_a.stats()).state in ("idle", "connecting")
    async with asyncio.timeout(10):
        while not (tracks := (await b_at_a.stats()).tracks) or not tracks[0].packets:
            await asyncio.sleep(0.01)
    stats = await b_at_a.stats()
    assert (stats.state, stats.tracks[0].direction, stats.tracks[0].kind) == ("connected", "send", "video")


async def test_many_members_at_once_are_connected_one_per_round_of_the_loop(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    peer.add_track(SmallPictures())
    await peer.join(channel)
    seen: list[int] = []

    def count() -> None:
        links = peer._members.links
        seen.append(sum(link._connection._performer.session is not None for link in links))

    rounds = Rounds(count)
    crowd = tuple(wire.PresencePeer(f"member-{number}") for number in range(40))
    peer._client.emit(events.Presence(channel, crowd, ()))
    async with asyncio.timeout(20):
        while seen[-1] < 40:
            await asyncio.sleep(0)
    rounds.stop()
    assert max(after - before for before, after in pairwise(seen)) == 1


# When the service goes away -----------------------------------------------------------------------------


async def drop(peer: MeteredPeer) -> None:
    """Cut the connection as a network does."""
    for link in peer._client._lines._links.values():
        link._socket.transport.abort()


async def test_media_comes_back_after_each_side_lost_the_service(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    tracks: asyncio.Queue[Any] = asyncio.Queue()
    a.add_track(SmallPictures(), MediaStream(id="s"), {"a": 1})
    b.on(events.PeerJoined, lambda event: event.peer.on(events.Track, tracks.put_nowait))
    await met(a, b, channel)
    async with asyncio.timeout(30):
        first = await tracks.get()
        assert await anext(iter_frames(first.track)) is not None
        for dropped in (a, b):
            await drop(dropped)
            again = await tracks.get()
            assert again.metadata == {"a": 1}
            assert await anext(iter_frames(again.track)) is not None
            assert dropped.state == "joined"


async def test_one_task_waits_for_the_members_however_often_the_service_is_lost(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    await met(a, b, channel)
    for _ in range(3):
        back = expect(a, events.StateChange, where=lambda event: event.to == "joined")
        await asyncio.sleep(0)
        await drop(a)
        await back
    assert sum(task.get_name().startswith("wait for the roster") for task in asyncio.all_tasks()) <= 1


async def test_alone_in_the_room_a_lost_service_is_joined_again_at_once(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    states = expect(peer, events.StateChange, where=lambda event: event.to == "joined")
    await asyncio.sleep(0)
    await drop(peer)
    assert (await states).from_ == "reconnecting"


@pytest.mark.parametrize("renewed", [False, True], ids=["connection lost", "token renewed"])
async def test_a_missing_list_of_members_is_asked_for_again_and_fatal_in_the_end(
    monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    monkeypatch.setattr(roster, "SNAPSHOT_TIMEOUT_S", 0.1)
    for name, value in (("EARLIEST_SHARE", 0.0), ("LATEST_SHARE", 0.0), ("MIN_INTERVAL_S", 0.01)):
        monkeypatch.setattr(renewal, name, value)
    async with scripted_server() as server:
        if renewed:
            server.welcome = {**WELCOME, "serverTime": 1_700_000_000_000, "expiresAt": 1_700_000_060}
        tokens = iter(f"token-{number}" for number in range(3))
        async with MeteredPeer(token_provider=lambda: next(tokens), url=server.url) as peer:
            fatal, joined = expect(peer, events.FatalError), expect(peer, events.PeerJoined)
            await asyncio.sleep(0)
            server.answer = lambda frame: [
                {"type": "ack", "requestId": frame["requestId"]},
                # None but the first connection hears who is there.
                *([presence_of("other")] if len(server.connections) == 1 else []),
            ]
            await peer.join("room")
            remote = (await joined).peer
            if not renewed:
                await drop(peer)
            assert isinstance((await fatal).err, ReconcileTimeoutError)
            assert len(server.connections) == 2
            assert (peer.state, peer.remote_peers) == ("joined" if renewed else "reconnecting", [remote])
            frames = [server.frames.get_nowait() for _ in range(server.frames.qsize())]
            # Of join, with the new connection, and twice more; after a renewal perhaps once for its own sake.
            assert [frame["type"] for frame in frames].count("subscribe") in (4, 4 + renewed)


def presence_of(peer_id: str) -> dict[str, Any]:
    return {"type": "presence", "channel": "room", "joined": [{"peerId": peer_id}], "left": []}


async def test_what_happens_to_the_connection_to_the_service_is_told(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer, told = open_peer(), []
    kinds = (events.Connected, events.Disconnected, events.ServerError, events.GoingAway)
    for event_type in (*kinds, events.StateChange):
        peer.on(event_type, told.append)
    await peer.join(channel)
    peer._client.emit(events.ServerError("over_message_quota"))
    back = expect(peer, events.StateChange, where=lambda event: event.to == "joined")
    await asyncio.sleep(0)
    await drop(peer)
    await back
    names = [type(event).__name__ if not isinstance(event, events.StateChange) else event.to for event in told]
    assert names == [
        "joining", "Connected", "joined", "ServerError", "Disconnected", "reconnecting", "Connected", "joined",
    ]  # fmt: skip


async def test_an_announced_shutdown_is_told(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    warned = expect(peer, events.GoingAway)
    await asyncio.sleep(0)
    peer._client.emit(events.GoingAway(1500))
    assert (await warned).retry_after_ms == 1500


async def test_floods_of_presence_and_of_strangers_are_bounded(open_peer: Any, channel: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    for flood in range(4):
        crowd = tuple(wire.PresencePeer(f"{flood}-{number}") for number in range(1000))
        peer._client.emit(events.Presence(channel, crowd, ()))
        peer._client.emit(events.Presence(channel, (), crowd[::2]))
        peer._client.emit(events.Direct(f"stranger {flood}", {"kind": "nothing"}))
    assert len(peer.remote_peers) <= 256
    assert peer._members.refused_members > 0
    await peer.send("still here")


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (events.ServerError("action_not_permitted", "send is off"), "send is off"),
        (events.TokenProviderError(3, ValueError("no token")), "3 times"),
    ],
)
async def test_what_the_application_must_act_on_is_fatal(open_peer: Any, channel: str, event: Any, word: str) -> None:  # noqa: F811
    peer = open_peer()
    await peer.join(channel)
    fatal = expect(peer, events.FatalError)
    await asyncio.sleep(0)
    peer._client.emit(events.ServerError("over_message_quota"))
    peer._client.emit(event)
    error = (await fatal).err
    assert isinstance(error, MeteredRealtimeError)
    assert word in str(error)


async def test_a_final_close_ends_the_peer_with_its_reason(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    await met(a, b, channel)
    fatal, left, gone = expect(a, events.FatalError), expect(a, events.Left), expect(a, events.PeerLeft)
    await asyncio.sleep(0)
    a._client.emit(events.Disconnected(4020, "kicked", will_reconnect=False))
    assert "admin_disconnect" in str((await fatal).err)
    assert (await left).reason == "kicked"
    await gone
    await a.close()
    assert (a.state, a.remote_peers, a.channel) == ("closed", [], None)


async def test_it_is_known_what_a_member_takes_of_what_it_was_offered(open_peer: Any, channel: str) -> None:  # noqa: F811
    a, b = open_peer(), open_peer()
    h264, h265 = EncodedVideoSource(), EncodedVideoSource(mime_type="video/H265")
    a.add_track(EncodedVideoChoice([h264, h265], preferred="video/H265"))
    b_at_a, _ = await met(a, b, channel)
    assert b_at_a.codecs == frozenset()
    agreed = await expect(b_at_a, events.CodecsAgreed)
    assert agreed.codecs == b_at_a.codecs == {"video/H264"}, "ours decodes no H.265"
