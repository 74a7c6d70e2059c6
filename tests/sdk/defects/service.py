"""Defects of the official SDK in signalling and events (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from metered_realtime import MeteredPeer, SignallingClient, events
from metered_realtime.emitter import MAX_RUNNING_HANDLERS, Emitter
from metered_realtime.errors import (
    MeteredPeerOversizedError,
    OversizedPayloadError,
    ServerRequestError,
    SignallingError,
)
from tests.edged.hub.conftest import KEY
from tests.sdk.defects.room import SOON, Room, token, until
from tests.sdk.signalling_server import scripted_server
from tests.sdk.wired import SmallPictures


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("nesting", ["[" * 30_000 + "]" * 30_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 60_000])
async def test_08_deeply_nested_json_costs_neither_the_connection_nor_a_descriptor(room: Room, nesting: str) -> None:
    one, other = await room.member(), await room.member()
    await room.meet(one, other)
    await other.peer.send("hello")
    await one.told_of(events.Data)  # by then all is open that a member needs
    open_before = count_descriptors()
    sender = other.peer.peer_id

    for _ in range(5):  # as a service does that passes on what a member sent
        await one.road.inject(f'{{"type":"direct","from":"{sender}","data":{nesting}}}')
        await one.road.inject(f'{{"type":"message","channel":"room","from":"{sender}","data":{nesting}}}')
    await other.peer.send("still there?")

    assert (await one.told_of(events.Data, 1)).data == "still there?"
    assert (one.road.connections, one.peer.state) == (1, "joined")
    assert count_descriptors() <= open_before


@pytest.mark.parametrize("ids", [(None, None), ("a", "b")], ids=["new ids", "the same ids"])
async def test_11_a_peer_with_nothing_to_exchange_is_idle_again_after_a_drop(room: Room, ids: Any) -> None:
    one, other = await room.member(ids[0]), await room.member(ids[1])
    await room.meet(one, other)
    assert one.remote.state == other.remote.state == "idle"

    one.road.cut()
    await one.rejoined(2)
    await other.told_of(events.PeerJoined, 1)

    await one.peer.send("here again")
    assert (await other.told_of(events.Data)).data == "here again"
    assert one.remote.state == other.remote.state == "idle"
    other.peer.add_track(SmallPictures(64))
    await one.sees(64)


async def test_12_a_drop_during_join_leaves_a_peer_that_can_join_again(room: Room) -> None:
    peer, other = await room.member(), await room.member()

    def cut_at_subscribe(frame: Any) -> bool:
        if frame["type"] == "subscribe":
            peer.road.cut()
        return False

    peer.road.lose = cut_at_subscribe
    with pytest.raises(SignallingError):
        await peer.peer.join(room.channel)
    assert peer.peer.state == "idle"

    peer.road.lose = lambda frame: False
    await room.meet(other, peer)
    await peer.peer.send("joined after all")
    assert (await other.told_of(events.Data)).data == "joined after all"


async def test_16_an_inactivity_timeout_of_0_switches_the_watchdog_off() -> None:
    async with scripted_server() as server:
        client = SignallingClient(api_key=KEY, url=server.url, inactivity_timeout=0, reconnect=SOON)
        lost: list[Any] = []
        client.on(events.Disconnected, lost.append)
        async with client:
            # The official client closes in the heartbeat's first round, which is never later than after 1 s.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await server.closes.get()
            await client.publish("room", "still here")
            assert (lost, len(server.connections)) == ([], 1)
            assert (await server.frames.get())["type"] == "publish"  # and no heartbeat before it


async def test_17_text_is_counted_and_sent_as_utf8(room: Room) -> None:
    one, other = await room.member(), await room.member()
    await room.meet(one, other)
    text = "é" * 22_500  # 45,002 bytes with its quotes, 135,002 as escapes

    await one.peer.send(text)
    assert (await other.told_of(events.Data)).data == text
    await one.remote.send(text)
    assert (await other.told_of(events.Data, 1)).data == text
    assert one.road.largest_bytes < 45_200
    with pytest.raises(MeteredPeerOversizedError) as refused:
        await one.peer.send("é" * 32_768)
    assert (refused.value.size, refused.value.cap) == (65_538, 65_536)


async def test_18_a_raw_client_refuses_what_would_cost_its_connection(room: Room) -> None:
    client, road = await room.client()
    listener, _ = await room.client()
    await client.subscribe("room")
    await listener.subscribe("room")
    heard = listener.events(events.Message)

    for send in (lambda: client.publish("room", "x" * 65_535), lambda: client.send("somebody", "é" * 40_000)):
        with pytest.raises(OversizedPayloadError) as refused:
            await send()
        assert (refused.value.size > refused.value.cap, refused.value.cap) == (True, 65_536)
    await client.publish("room", "x" * 65_534)  # the largest there may be

    assert len((await anext(heard)).data) == 65_534
    assert (client.state, road.connections) == ("connected", 1)


async def test_19_a_peer_never_shows_joined_without_being_a_member(room: Room) -> None:
    with pytest.raises(ValueError, match="auto_resubscribe"):
        MeteredPeer(api_key=KEY, url="ws://127.0.0.1:1", auto_resubscribe=False)

    alone, visitor = await room.member(), await room.member()
    await room.meet(alone)
    alone.road.cut()
    await alone.rejoined(2)
    await visitor.peer.join(room.channel)

    assert (await visitor.told_of(events.PeerJoined)).peer.id == alone.peer.peer_id
    assert (await alone.told_of(events.PeerJoined)).peer.id == visitor.peer.peer_id


async def test_24_once_can_be_taken_back_and_running_handlers_are_bounded() -> None:
    emitter, told = Emitter(), []
    emitter.once(events.Message, told.append)
    emitter.off(events.Message, told.append)
    assert emitter.listener_count(events.Message) == 0

    may_end, started = asyncio.Event(), []

    @emitter.on(events.Direct)
    async def slow(event: events.Direct) -> None:
        started.append(event.data)
        await may_end.wait()

    for number in range(MAX_RUNNING_HANDLERS + 1000):
        emitter.emit(events.Message("room", "a", number))
        emitter.emit(events.Direct("a", number))
    await until(lambda: len(started) >= MAX_RUNNING_HANDLERS)
    assert started == list(range(MAX_RUNNING_HANDLERS))  # each begins in the order of the events
    assert (told, emitter.dropped_handler_calls, len(emitter._running)) == ([], 1000, MAX_RUNNING_HANDLERS)
    may_end.set()
    await until(lambda: not emitter._running)
    emitter.emit(events.Direct("a", "after the flood"))
    await until(lambda: started[-1] == "after the flood")


async def test_25_a_token_provider_may_be_a_plain_function(room: Room) -> None:
    asked: list[str] = []

    def provide() -> str:
        asked.append("asked")
        return token("plain")

    client, road = await room.client(token_provider=provide)
    road.cut()
    await until(lambda: road.connections == 2 and client.state == "connected")
    assert asked == ["asked"] * 2


async def test_26_a_channel_that_refused_us_is_not_subscribed_again_after_a_reconnect(room: Room) -> None:
    client, road = await room.client("member", channels=["open"])
    with pytest.raises(ServerRequestError) as refused:
        await client.subscribe("forbidden")
    assert refused.value.code == "channel_not_authorized"
    await client.subscribe("open")

    road.sent.clear()
    road.cut()
    await until(lambda: road.connections == 2 and road.of_type("subscribe"))
    await client.publish("open", 1)  # whatever is replayed went before this

    assert [frame["channel"] for frame in road.of_type("subscribe")] == ["open"]
    assert json.dumps(road.sent).count("forbidden") == 0
