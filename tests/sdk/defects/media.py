"""Defects of the official SDK in media and negotiation (numbers of its API reference, section 9.1): ours right."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metered_realtime import events, recovery
from metered_realtime.errors import IceRestartExhaustedError
from metered_realtime.media.audio import AudioSource
from metered_realtime.streams import MediaStream
from tests.sdk.defects.room import Member, Room, description_of, until
from tests.sdk.wired import AudioStreamTrack, SmallPictures


def camera(member: Member, width: int = 64) -> SmallPictures:
    """Let the member send pictures, whose width may be changed to tell older from newer ones."""
    track = SmallPictures(width)
    member.peer.add_track(track, MediaStream(id="camera"), {"name": "yard"})
    return track


async def show_that_pictures_made_now_arrive(pictures: SmallPictures, viewer: Member) -> None:
    pictures.width += 32
    await viewer.sees(pictures.width, 10)
    assert viewer.remote.state == "connected"


@pytest.mark.parametrize("loss", ["cut", "token expired"])
@pytest.mark.parametrize("who", ["sender", "viewer"])
@pytest.mark.parametrize("ids", [(None, None), ("a", "b"), ("b", "a")], ids=["new", "sender polite", "viewer polite"])
async def test_01_media_comes_back_after_a_drop_the_service_announces_at_once(
    room: Room, loss: str, who: str, ids: Any
) -> None:
    sender, viewer = await room.member(ids[0]), await room.member(ids[1])
    pictures = camera(sender)
    await room.meet(viewer, sender)
    await viewer.sees(64)

    dropped, other = (sender, viewer) if who == "sender" else (viewer, sender)
    if loss == "cut":
        dropped.road.cut()
    else:
        await dropped.road.close(4002, "token expired")
    await other.told_of(events.PeerLeft)  # the situation: told at once, not after a hold
    await dropped.rejoined(2)
    await other.told_of(events.PeerJoined, 1)

    await show_that_pictures_made_now_arrive(pictures, viewer)


@pytest.mark.parametrize("first", ["sender", "viewer"])
@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")], ids=["sender polite", "viewer polite"])
async def test_01_media_comes_back_after_the_service_restarted_and_forgot_its_members(
    room: Room, first: str, ids: Any
) -> None:
    sender, viewer = await room.member(ids[0]), await room.member(ids[1])
    pictures = camera(sender)
    await room.meet(viewer, sender)
    await viewer.sees(64)

    early, late = (sender, viewer) if first == "sender" else (viewer, sender)
    late.road.is_open.clear()
    for member in (early, late):
        member.road.cut()
    await early.told_of(events.PeerLeft)  # the early one gets an empty list of members
    late.road.is_open.set()
    await late.rejoined(2)
    await early.told_of(events.PeerJoined, 1)

    await show_that_pictures_made_now_arrive(pictures, viewer)


async def test_02_replace_track_keeps_picture_and_sound_going(room: Room) -> None:
    sender, viewer = await room.member("a"), await room.member("b")
    stream, old_picture, old_sound = MediaStream(id="camera"), SmallPictures(64), AudioStreamTrack()
    sender.peer.add_track(old_picture, stream)
    sender.peer.add_track(old_sound, stream)
    await room.meet(viewer, sender)
    await viewer.sees(64)
    await viewer.hears(loud=False)

    new_picture, new_sound = SmallPictures(96), AudioSource(input_rate=48_000)
    await sender.peer.replace_track(old_picture, new_picture)
    await sender.peer.replace_track(old_sound, new_sound)
    await new_sound.push((b"\x00\x40" * 24 + b"\x00\xc0" * 24) * 4000)  # 4 s of a square wave of 1 kHz

    await viewer.sees(96, 60)  # the official SDK: none in 2 s
    await viewer.hears(loud=True)
    assert (new_picture.readyState, new_sound.readyState) == ("live", "live")
    assert len(viewer.all(events.Track)) == 2


@pytest.mark.parametrize("pause", ["seen by the viewer", "none"])
async def test_03_a_camera_taken_away_and_added_again_sends(room: Room, pause: str) -> None:
    sender, viewer = await room.member("a"), await room.member("b")
    stream = MediaStream([SmallPictures(64), AudioStreamTrack()], id="camera")
    pictures = stream.get_video_tracks()[0]
    sender.peer.add_stream(stream)
    await room.meet(viewer, sender)
    await viewer.sees(64)

    for times, width in enumerate((96, 128)):
        sender.peer.remove_stream(stream)
        if pause != "none":
            await viewer.told_of(events.StreamRemoved, times)
        pictures.width = width
        sender.peer.add_stream(stream)
        await viewer.sees(width, 20)
        await viewer.hears(loud=False)


async def test_04_lost_offers_and_answers_are_sent_again(room: Room) -> None:
    """Both at once, each with its own pair: it takes the 4 s that a real answer is given."""

    async def pair(number: int, kind: str) -> None:
        pair_room = room.next_door(f"room-{number}")
        sender, viewer = await pair_room.member(f"{number}a"), await pair_room.member(f"{number}b")
        lost: list[Any] = []

        def lose(frame: Any) -> bool:
            description = description_of(frame)
            if lost or description is None or description["type"] != kind:
                return False
            lost.append(frame)
            return True

        (sender if kind == "offer" else viewer).road.lose = lose
        camera(sender)
        await pair_room.meet(viewer, sender)
        await viewer.sees(64)
        assert len(lost) == 1
        assert sender.remote.state == viewer.remote.state == "connected"

    async with asyncio.TaskGroup() as pairs:
        for number, kind in enumerate(("offer", "answer")):
            pairs.create_task(pair(number, kind))


async def test_05_a_channel_opened_by_the_polite_side_survives_an_offer_of_media_only(room: Room) -> None:
    polite, impolite = await room.member("a"), await room.member("b")
    # Slow enough that the two offers cross: the impolite side's, with media only, is the one that counts.
    polite.road.extra_latency_s = impolite.road.extra_latency_s = 0.1
    channels: list[Any] = []
    polite.peer.on(events.PeerJoined, lambda joined: channels.append(joined.peer.create_data_channel("talk")))
    camera(impolite)
    await room.meet(polite, impolite)

    opened = await impolite.told_of(events.DataChannelOpened)
    await until(lambda: channels[0].readyState == "open")
    heard: list[str] = []
    channels[0].on("message", heard.append)
    opened.channel.send("hello")
    await until(lambda: heard == ["hello"])
    first = impolite.road.descriptions[0]
    assert (first["type"], "m=application" in first["sdp"]) == ("offer", False)  # the situation
    await polite.sees(64)


async def test_07_tracks_added_and_messages_sent_by_handlers_of_the_first_members_arrive(room: Room) -> None:
    present, newcomer = await room.member("a"), await room.member("b")
    track, failures = SmallPictures(64), []

    @newcomer.peer.on(events.PeerJoined)
    def add(joined: events.PeerJoined) -> None:
        newcomer.peer.add_track(track, None, {"added": "in the handler"})

    @newcomer.peer.on(events.PeerJoined)
    async def greet(joined: events.PeerJoined) -> None:
        try:
            await joined.peer.send("hello you")
            await newcomer.peer.send("hello all")
        except Exception as error:
            failures.append(error)

    await room.meet(present, newcomer)

    heard = [await present.told_of(events.Data, number) for number in range(2)]
    assert [(event.data, event.kind) for event in heard] == [("hello you", "direct"), ("hello all", "broadcast")]
    event = await present.told_of(events.Track)
    assert (event.track.id, event.metadata, failures) == (track.id, {"added": "in the handler"}, [])
    await present.sees(64)


async def test_13_a_removed_stream_is_announced_its_frames_end_and_it_may_come_again(room: Room) -> None:
    sender, viewer = await room.member("a"), await room.member("b")
    track, stream = SmallPictures(64), MediaStream(id="camera")
    sender.peer.add_track(track, stream)
    await room.meet(viewer, sender)
    await viewer.sees(64)

    sender.peer.remove_track(track)
    assert (await viewer.told_of(events.StreamRemoved)).stream.id == "camera"
    await until(viewer.readers[0].done)  # `iter_frames` came to its end
    assert viewer.readers[0].exception() is None

    sender.peer.add_track(track, stream)
    again = await viewer.told_of(events.Track, 1)
    assert again.track.id == track.id
    assert (await viewer.told_of(events.StreamAdded, 1)).stream.id == "camera"
    await viewer.sees(64)
    assert again.track is not viewer.all(events.Track)[0].track


async def test_14_tracks_added_one_after_another_over_a_slow_link_are_no_error(room: Room) -> None:
    sender, viewer = await room.member("a"), await room.member("b")
    await room.meet(viewer, sender)
    sender.road.extra_latency_s = viewer.road.extra_latency_s = 0.075  # 150 ms there, 300 ms to an answer

    tracks = [SmallPictures(64 + 32 * number) for number in range(4)]
    for track in tracks:
        sender.peer.add_track(track)
        await asyncio.sleep(0.05)  # the situation: the next one before the answer to the one before

    await viewer.told_of(events.Track, 3)
    for track in tracks:
        await viewer.sees(track.width)
    assert {event.track.id for event in viewer.all(events.Track)} == {track.id for track in tracks}
    assert sender.all(events.NegotiationError) + viewer.all(events.NegotiationError) == []


async def test_21_an_answer_whose_ack_is_slow_holds_up_nothing_behind_it(room: Room) -> None:
    polite, impolite = await room.member("a"), await room.member("b")
    await room.meet(polite, impolite)
    withheld: list[Any] = []
    polite.road.withhold = lambda frame: frame["type"] == "ack" and (withheld.append(frame) or True)

    camera(impolite, 64)
    await polite.sees(64)
    nonsense = {"candidate": "candidate:1 1 udp 1 192.0.2.1 nonsense typ host", "sdpMLineIndex": 0}
    await impolite.peer._client.send(polite.peer.peer_id, {"type": "rtc-ice", "candidate": nonsense})
    await polite.told_of(events.IceCandidateError)  # read, though no answer has been acknowledged
    camera(impolite, 96)
    await polite.sees(96)  # the same for the next offer
    answers = [description for description in polite.road.descriptions if description["type"] == "answer"]
    assert len(withheld) >= 2 <= len(answers)


async def test_22_offers_right_after_a_rebuild_are_answered(room: Room) -> None:
    sender, viewer = await room.member("a"), await room.member("b")
    camera(sender)
    await room.meet(viewer, sender)
    await viewer.sees(64)
    offers_before = len(sender.road.descriptions)

    before = viewer.remote.pc
    await sender.remote.pc.close()
    await until(lambda: viewer.remote.pc is not before)
    rebuilt_s = asyncio.get_running_loop().time()
    camera(sender, 96)

    await viewer.sees(96)
    assert asyncio.get_running_loop().time() - rebuilt_s < 2.0  # so long offers were dropped without an answer
    assert len(sender.road.descriptions) > offers_before
    await viewer.sees(64)


async def test_20_the_end_of_the_ladder_is_an_error_of_its_own_and_not_the_end(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ATTEMPT_DELAYS_S", (0.0,) * len(recovery.ATTEMPT_DELAYS_S))  # or it takes 4 minutes
    monkeypatch.setattr(recovery, "DELAY_AFTER_LADDER_S", 0.5)
    monkeypatch.setattr(recovery, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(recovery, "RESTART_TIMEOUT_S", 0.3)
    sender, viewer = await room.member("b"), await room.member("a")
    for member in (sender, viewer):
        member.road.change = without_candidates  # neither can find the other
    camera(sender)
    await room.meet(viewer, sender)

    failures = [await each.told_of(events.NegotiationError) for each in (sender, viewer)]
    for failure in failures:
        assert isinstance(failure.err, IceRestartExhaustedError)
        assert failure.err.attempts == len(recovery.ATTEMPT_DELAYS_S)
    monkeypatch.setattr(recovery, "CONNECT_TIMEOUT_S", 10.0)
    for member in (sender, viewer):
        member.road.change = None
    await viewer.sees(64)  # it was still being tried
    assert len(sender.all(events.NegotiationError) + viewer.all(events.NegotiationError)) == 2


def without_candidates(frame: Any) -> None:
    """Take every address out of what a peer tells another."""
    description = description_of(frame)
    if description is not None:
        lines = description["sdp"].splitlines(keepends=True)
        description["sdp"] = "".join(line for line in lines if not line.startswith("a=candidate:"))
    elif isinstance(frame.get("data"), dict) and frame["data"].get("type") == "rtc-ice":
        frame["data"]["candidate"] = None
