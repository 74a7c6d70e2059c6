"""A member's link, end to end: media with its metadata both ways, changes of it, data channels, renewal."""

from __future__ import annotations

import asyncio

import pytest

from metered_realtime import events
from metered_realtime.frames import Description, TrackMetadata
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.frames import iter_frames
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
