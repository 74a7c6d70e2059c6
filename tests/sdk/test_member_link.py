"""A member's link, end to end: media with its metadata both ways, changes of it, data channels, renewal."""

from __future__ import annotations

import asyncio

import pytest

from metered_realtime import events
from metered_realtime.frames import Description, IceCandidate, TrackMetadata
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.frames import iter_frames
from metered_realtime.stats import PeerStats
from metered_realtime.streams import MediaStream
from tests.sdk.wired import AudioStreamTrack, End, SmallPictures, wired


async def frames_of(track: object, count: int = 3) -> list:
    got = []
    async with asyncio.timeout(10):
        async for frame in iter_frames(track):
            got.append(frame)
            if len(got) >= count:
                break
    return got


async def test_a_stream_arrives_with_its_metadata_and_frames_flow() -> None:
    async with wired() as (polite, impolite, _):
        picture, sound = SmallPictures(), AudioStreamTrack()
        stream = MediaStream([picture, sound], id="camera-yard")
        for track in stream.get_tracks():
            polite.add(track, stream, {"name": "yard"})
        (added,) = await impolite.until(lambda: impolite.all(events.StreamAdded))
        assert (added.stream.id, added.metadata) == ("camera-yard", {"name": "yard"})
        assert {track.kind for track in added.stream.get_tracks()} == {"video", "audio"}
        tracks = [event.track for event in impolite.all(events.Track)]
        assert {track.id for track in tracks} == {picture.id, sound.id}
        for track in tracks:
            assert await frames_of(track)
        assert impolite.link.state == "connected"
        changes = [(event.from_, event.to) for event in impolite.all(events.StateChange)]
        assert changes == [("idle", "connecting"), ("connecting", "connected")]


async def test_both_send_at_the_same_moment() -> None:
    async with wired(delay_s=0.02) as (polite, impolite, _):
        polite.add(SmallPictures(), MediaStream(id="p"), {"from": "polite"})
        impolite.add(SmallPictures(), MediaStream(id="i"), {"from": "impolite"})
        for end, other in ((polite, "impolite"), (impolite, "polite")):
            event = await end.track()
            assert event.metadata == {"from": other}
            assert await frames_of(event.track)
        assert not polite.all(events.NegotiationError) + impolite.all(events.NegotiationError)
        assert polite.offers + impolite.offers <= 4


async def test_tracks_added_one_after_another_over_a_slow_link_all_arrive() -> None:
    async with wired(delay_s=0.05) as (polite, impolite, _):
        tracks = [SmallPictures() for _ in range(4)]
        for track in tracks:
            polite.add(track)
            await asyncio.sleep(0.02)
        await impolite.until(lambda: len(impolite.all(events.Track)) == 4)
        assert {event.track.id for event in impolite.all(events.Track)} == {track.id for track in tracks}
        for event in impolite.all(events.Track):
            assert await frames_of(event.track)
        assert not impolite.all(events.NegotiationError)


async def test_a_removed_track_ends_there_is_read_no_more_and_comes_back() -> None:
    async with wired() as (polite, impolite, _):
        track, stream = SmallPictures(), MediaStream(id="s")
        polite.add(track, stream)
        first = (await impolite.track()).track
        assert await frames_of(first)
        polite.remove(track)
        await impolite.until(lambda: impolite.all(events.StreamRemoved))
        async for _ in iter_frames(first):
            pass
        assert first.readyState == "ended"
        polite.add(track, stream)
        again = (await impolite.track(1)).track
        assert again.id == track.id
        assert await frames_of(again)
        assert len(impolite.all(events.StreamAdded)) == 2


async def test_a_replaced_track_goes_on_in_the_same_section_without_a_word() -> None:
    async with wired() as (polite, impolite, _):
        old, new = SmallPictures(64), SmallPictures(96)
        local = polite.add(old, MediaStream(id="s"), {"a": 1})
        received = (await impolite.track()).track
        assert await frames_of(received)
        offers = polite.offers
        polite.link.track_replaced(local, polite.media.replace(old, new))
        async with asyncio.timeout(10):
            async for frame in iter_frames(received):
                if frame.width == 96:
                    break
        assert len(await frames_of(received, 5)) == 5
        assert polite.offers == offers
        said = [each for each in polite.sent if isinstance(each, TrackMetadata)]
        assert [(each.track_id, each.metadata) for each in said[-2:]] == [(old.id, None), (new.id, {"a": 1})]


async def test_a_data_channel_works_both_ways_whoever_opens_it() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        await impolite.connected()
        for opener, other in ((polite, impolite), (impolite, polite)):
            channel = opener.link.create_data_channel(f"from {opener.name}")
            event = (await other.until(lambda other=other: other.all(events.DataChannelOpened)))[0]
            heard: list[str] = []
            channel.on("message", heard.append)
            event.channel.send("hello")
            await opener.until(lambda heard=heard: heard)
            assert (event.channel.label, heard) == (f"from {opener.name}", ["hello"])


async def test_a_channel_opened_by_the_polite_side_survives_an_offer_with_media_only() -> None:
    async with wired(delay_s=0.02) as (polite, impolite, _):
        channel = polite.link.create_data_channel("x")
        impolite.add(SmallPictures())
        await polite.until(lambda: channel.readyState == "open")
        assert await frames_of((await polite.track()).track)


async def test_a_lost_answer_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metered_realtime.negotiation.ANSWER_TIMEOUTS_S", (0.2, 0.2, 0.2))
    async with wired() as (polite, impolite, wires):
        lost: list[object] = []

        def lose(sender: End, envelope: object) -> bool:
            if isinstance(envelope, Description) and envelope.type == "answer" and not lost:
                lost.append(envelope)
                return True
            return False

        wires.lose = lose
        polite.add(SmallPictures())
        assert await frames_of((await impolite.track()).track)
        assert polite.offers == 2


async def test_a_connection_closed_by_the_other_side_is_made_anew() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures(), MediaStream(id="s"), {"a": 1})
        first = (await impolite.track()).track
        assert await frames_of(first)
        before = polite.link.pc
        await impolite.link.pc.close()
        again = await impolite.track(1)
        assert again.metadata == {"a": 1}
        assert await frames_of(again.track)
        assert polite.link.pc is not before
        assert not impolite.all(events.StreamRemoved)
        changes = [event.to for event in polite.all(events.StateChange)]
        assert changes == ["connecting", "connected", "reconnecting", "connected"]


async def test_a_member_that_knows_us_under_another_id_is_offered_everything_anew() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        await frames_of((await impolite.track()).track)
        polite.link.signalling_lost()
        assert polite.link.state == "reconnecting"
        polite.link.signalling_back({"new": 1}, polite=False, renamed=True)
        assert await frames_of((await impolite.track(1)).track)
        await polite.connected()
        assert polite.link.metadata == {"new": 1}
        assert not polite.link.polite


async def test_healthy_media_outlives_a_lost_signalling_connection() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        received = (await impolite.track()).track
        await frames_of(received)
        before = polite.link.pc
        polite.link.signalling_lost()
        await frames_of(received)
        polite.link.signalling_back(None, polite=True, renamed=False)
        assert polite.link.state == "connected"
        assert polite.link.pc is before
        await frames_of(received)


async def test_an_idle_member_stays_idle_when_signalling_is_lost() -> None:
    async with wired() as (polite, _, _):
        polite.link.signalling_lost()
        assert polite.link.state == "idle"


async def test_a_track_that_needs_another_codec_is_replaced_in_a_new_section() -> None:
    async with wired() as (polite, impolite, _):
        old, new = SmallPictures(), EncodedVideoSource()
        local = polite.add(old)
        await frames_of((await impolite.track()).track)
        polite.link.track_replaced(local, polite.media.replace(old, new))
        assert (await impolite.track(1)).track.id == new.id
        new.stop()


async def test_nothing_goes_to_a_member_that_left() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        received = (await impolite.track()).track
        await frames_of(received)
        impolite.link.leave()
        async for _ in iter_frames(received):
            pass
        assert impolite.link.state == "closed"
        impolite.link.leave()
        assert [event.to for event in impolite.all(events.StateChange)][-1] == "closed"


async def test_both_sides_may_add_tracks_one_after_the_other() -> None:
    """Each counts its own sections, so the second to add must not take a mid that the first has used."""
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        await impolite.track()
        await impolite.connected()
        await polite.connected()
        impolite.add(SmallPictures())
        await polite.track()
        polite.add(SmallPictures())
        await impolite.track(1)


# What one peer gets ---------------------------------------------------------------------------------------


def said(end: End) -> list[tuple[str, object]]:
    return [(each.track_id, each.metadata) for each in end.sent if isinstance(each, TrackMetadata)]


async def test_a_peer_gets_what_was_chosen_for_it_and_hears_of_nothing_else() -> None:
    async with wired() as (polite, impolite, _):
        yard, door = SmallPictures(64), SmallPictures(96)
        polite.link.choose_media([yard])
        polite.add(yard, MediaStream(id="yard"), {"name": "yard"})
        polite.add(door, MediaStream(id="door"), {"name": "door"})
        event = await impolite.track()
        assert (await frames_of(event.track))[0].width == 64
        assert said(polite) == [(yard.id, {"name": "yard"})]
        assert len(impolite.all(events.Track)) == 1
        assert polite.media.get(door).source.is_idle  # nobody gets it: it is not read


async def test_a_choice_may_change_at_any_time() -> None:
    async with wired() as (polite, impolite, _):
        yard, door = SmallPictures(64), SmallPictures(96)
        door_stream = MediaStream(id="door")
        polite.add(yard, MediaStream(id="yard"), {"name": "yard"})
        polite.add(door, door_stream, {"name": "door"})
        await impolite.track(1)
        polite.link.choose_media([door_stream])
        removed = (await impolite.until(lambda: impolite.all(events.StreamRemoved)))[0]
        assert removed.stream.id == "yard"
        await polite.until(lambda: polite.media.get(yard).source.is_idle)
        polite.link.choose_media(None)
        again = await impolite.track(2)
        assert (again.track.id, again.metadata) == (yard.id, {"name": "yard"})
        assert (await frames_of(again.track))[0].width == 64
        told = [entry for entry in said(polite) if entry[0] == yard.id]
        assert told == [(yard.id, {"name": "yard"}), (yard.id, None), (yard.id, {"name": "yard"})]


async def test_the_same_choice_again_says_nothing() -> None:
    async with wired() as (polite, impolite, _):
        track = SmallPictures()
        polite.add(track, MediaStream(id="s"), {"a": 1})
        await frames_of((await impolite.track()).track)
        sent = len(polite.sent)
        for choice in ([track], None, [track, SmallPictures()]):
            polite.link.choose_media(choice)
        await asyncio.sleep(0.1)
        assert len(polite.sent) == sent


async def test_a_choice_outlives_loss_rename_and_renewal() -> None:
    async with wired() as (polite, impolite, _):
        yard, door = SmallPictures(64), SmallPictures(96)
        polite.link.choose_media([yard])
        for track in (yard, door):
            polite.add(track, None, {"width": track.width})
        await frames_of((await impolite.track()).track)
        polite.link.signalling_lost()
        polite.link.signalling_back(None, polite=True, renamed=False)
        polite.link.signalling_lost()
        polite.link.signalling_back(None, polite=True, renamed=True)
        assert (await frames_of((await impolite.track(1)).track))[0].width == 64
        await impolite.link.pc.close()
        assert (await frames_of((await impolite.track(2)).track))[0].width == 64
        assert {track_id for track_id, _ in said(polite)} == {yard.id}
        assert polite.media.get(door).source.is_idle


async def test_a_choice_follows_a_replacement() -> None:
    async with wired() as (polite, impolite, _):
        old, new, other = SmallPictures(64), SmallPictures(96), SmallPictures(32)
        polite.link.choose_media([old])
        local = polite.add(old, None, {"a": 1})
        unchosen = polite.add(other, None, {"b": 1})
        received = (await impolite.track()).track
        await frames_of(received)
        assert polite.link.track_replaced(local, polite.media.replace(old, new)) is None
        async with asyncio.timeout(10):
            async for frame in iter_frames(received):
                if frame.width == 96:
                    break
        another = SmallPictures(48)
        assert polite.link.track_replaced(unchosen, polite.media.replace(other, another)) is None
        assert said(polite) == [(old.id, {"a": 1}), (old.id, None), (new.id, {"a": 1})]
        assert len(impolite.all(events.Track)) == 1


async def test_what_is_neither_track_nor_stream_changes_nothing() -> None:
    async with wired() as (polite, impolite, _):
        track = SmallPictures()
        polite.link.choose_media([track])
        with pytest.raises(TypeError):
            polite.link.choose_media(["yard"])
        polite.add(track)
        assert await frames_of((await impolite.track()).track)


async def test_a_peer_that_left_may_be_chosen_for_without_effect() -> None:
    async with wired() as (polite, _, _):
        polite.link.leave()
        polite.link.choose_media([])
        assert polite.link.state == "closed"


# One way only ---------------------------------------------------------------------------------------------


async def test_who_receives_nothing_is_sent_nothing_and_still_sends() -> None:
    async with wired(polite_receives=False) as (polite, impolite, _):
        unseen = SmallPictures(96)
        impolite.add(unseen, MediaStream(id="unseen"), {"a": 1})
        await impolite.connected()
        polite.add(SmallPictures(64), MediaStream(id="seen"), {"b": 1})
        assert (await frames_of((await impolite.track()).track))[0].width == 64
        directions = [each.currentDirection for each in impolite.link.pc.getTransceivers()]
        assert sorted(directions) == ["inactive", "recvonly"]
        assert polite.all(events.Track) == []
        assert impolite.media.get(unseen).source.is_idle  # the other side does not even read it
        assert not polite.all(events.NegotiationError) + impolite.all(events.NegotiationError)


async def test_who_receives_nothing_keeps_to_it_when_the_connection_is_made_anew() -> None:
    async with wired(polite_receives=False) as (polite, impolite, _):
        impolite.add(SmallPictures(96))
        polite.add(SmallPictures(64))
        await frames_of((await impolite.track()).track)
        await impolite.link.pc.close()
        await frames_of((await impolite.track(1)).track)
        assert polite.all(events.Track) == []
        assert not any("recv" in each.currentDirection for each in polite.link.pc.getTransceivers())


async def test_data_channels_need_no_media() -> None:
    async with wired(polite_receives=False) as (polite, impolite, _):
        impolite.add(SmallPictures())
        channel = polite.link.create_data_channel("x")
        await polite.until(lambda: channel.readyState == "open")
        assert polite.all(events.Track) == []


# How it does ----------------------------------------------------------------------------------------------


async def test_statistics_of_a_link_without_a_connection_are_empty() -> None:
    async with wired() as (polite, _, _):
        assert await polite.link.stats() == PeerStats(state="idle")
        polite.link.leave()
        assert (await polite.link.remote.stats()).state == "closed"


async def test_statistics_tell_what_is_sent_and_received(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metered_realtime.stats.MIN_INTERVAL_S", 0.0)
    async with wired() as (polite, impolite, _):
        picture = SmallPictures()
        polite.add(picture)
        polite.add(AudioStreamTrack())
        tracks = [(await impolite.track(number)).track for number in range(2)]
        for track in tracks:
            await frames_of(track)
        first, _ = await polite.link.stats(), await impolite.link.stats()
        for track in tracks:
            await frames_of(track, 10)
        ours, theirs = await polite.link.stats(), await impolite.link.stats()
        assert (ours.state, theirs.state) == ("connected", "connected")
        sent = {track.kind: track for track in ours.tracks}
        received = {track.kind: track for track in theirs.tracks}
        assert {track.direction for track in ours.tracks} == {"send"}
        assert {track.direction for track in theirs.tracks} == {"receive"}
        for kind, codec in (("video", "video/VP8"), ("audio", "audio/opus")):
            assert sent[kind].codec == received[kind].codec == codec
            assert sent[kind].ssrc == received[kind].ssrc
            assert sent[kind].track_id == received[kind].track_id
            assert received[kind].packets > 3
            assert received[kind].bytes > 0
            assert received[kind].bitrate_bps > 0 < sent[kind].bitrate_bps
            assert received[kind].lost == 0
        assert sent["video"].track_id == picture.id
        assert ours.bytes_sent > first.bytes_sent
        assert theirs.packets_received > 0
        assert ours.dropped_signals == 0
        assert ours.pair is not None
        assert (ours.pair.local_type, ours.pair.protocol) == ("host", "udp")
        assert theirs.pair is not None
        assert (ours.pair.local_address, ours.pair.remote_address) == (
            theirs.pair.remote_address,
            theirs.pair.local_address,
        )


async def test_statistics_may_be_asked_for_all_through_a_renewal() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        await frames_of((await impolite.track()).track)
        asked: list[PeerStats] = []

        async def ask() -> None:
            while True:
                asked.append(await polite.link.stats())
                asked.append(await impolite.link.stats())
                await asyncio.sleep(0)

        asking = asyncio.create_task(ask())
        await impolite.link.pc.close()
        await frames_of((await impolite.track(1)).track)
        assert not asking.done()
        asking.cancel()
        assert {stats.state for stats in asked} >= {"connected", "reconnecting"}


# Renewal is told ------------------------------------------------------------------------------------------


async def test_a_replaced_connection_is_told_at_a_moment_when_channels_can_be_opened_again() -> None:
    async with wired() as (polite, impolite, _):
        opened = [polite.link.create_data_channel("x")]
        polite.link.remote.on(events.ConnectionReset, lambda event: opened.append(polite.link.create_data_channel("x")))
        await polite.until(lambda: opened[0].readyState == "open")
        assert polite.all(events.ConnectionReset) == []
        await impolite.link.pc.close()
        await polite.until(lambda: polite.all(events.ConnectionReset))
        await polite.until(lambda: opened[1].readyState == "open")
        await impolite.until(lambda: len(impolite.all(events.DataChannelOpened)) == 2)


# Hostile --------------------------------------------------------------------------------------------------


async def test_floods_of_a_peer_are_bounded_and_counted() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        await frames_of((await impolite.track()).track)
        for number in range(3000):
            impolite.link.receive(TrackMetadata(f"t{number}", {"n": number}, "video", "s"))
            impolite.link.receive(Description("offer", f"v=0 {number}"))
            impolite.link.receive(IceCandidate({"candidate": f"candidate:{number}"}))
        assert len(impolite.link._track_metadata) <= 512
        stats = await impolite.link.stats()
        assert stats.dropped_signals > 5000
        await frames_of(impolite.all(events.Track)[0].track)  # and what worked goes on
        await impolite.until(lambda: not impolite.link._connection._inputs)
        polite.add(SmallPictures(96))
        assert (await frames_of((await impolite.track(1)).track))[0].width == 96


async def test_a_change_of_the_network_interrupts_nothing() -> None:
    async with wired() as (polite, impolite, _):
        polite.link.network_changed()  # before there is a connection: nothing to do
        polite.add(SmallPictures())
        received = (await impolite.track()).track
        await frames_of(received)
        before = polite.link.pc
        for _ in range(3):
            polite.link.network_changed()
        assert len(await frames_of(received, 20)) == 20
        assert polite.link.pc is before
        assert not polite.all(events.ConnectionReset)
