"""One reader of a track for all peers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from fractions import Fraction

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.relay import MAX_QUEUED, Relay
from tests.sdk.media.tracks import Clock, Scripted, ended, picture, sound


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_nothing_is_read_before_somebody_receives() -> None:
    track = Scripted("video")
    relay = Relay(track)
    reader = relay.open_reader()
    await settle()
    assert track.reads == 0
    assert (relay.kind, relay.id, relay.mime_type) == ("video", track.id, None)
    reader.stop()
    await ended(relay)


async def test_every_reader_gets_the_same_frame_on_the_clock_of_the_relay() -> None:
    track = Scripted("video")
    relay = Relay(track, clock=Clock(10.0))
    readers = [relay.open_reader(), relay.open_reader()]
    receiving = [asyncio.create_task(reader.recv()) for reader in readers]
    await settle()
    track.items.put_nowait(picture(7, time_base=Fraction(1, 25)))
    first, second = await asyncio.gather(*receiving)
    assert first is second
    assert (first.pts, first.time_base) == (900_000, Fraction(1, 90_000))
    await ended(relay)


async def test_a_reader_that_lags_loses_the_oldest_and_is_counted() -> None:
    track = Scripted("video", picture(0))
    relay = Relay(track)
    reader = relay.open_reader()
    await reader.recv()
    for number in range(1, 6):
        track.items.put_nowait(picture(number * 3000))
    await settle()
    newest = [await reader.recv() for _ in range(MAX_QUEUED["video"])]
    assert newest[1].pts - newest[0].pts == 3000
    assert reader.dropped_frames == 5 - MAX_QUEUED["video"]
    reader.stop()
    assert relay.dropped_frames == 5 - MAX_QUEUED["video"]
    await ended(relay)


async def test_the_track_is_read_no_more_when_the_last_reader_stops_and_again_for_the_next() -> None:
    track = Scripted("video", picture(0))
    relay = Relay(track)
    reader = relay.open_reader()
    await reader.recv()
    assert not relay.is_idle
    reader.stop()
    reader.stop()
    await settle()
    assert relay.is_idle
    reads = track.reads
    track.items.put_nowait(picture(3000))
    await settle()
    assert track.reads == reads
    assert await relay.open_reader().recv() is not None
    await ended(relay)


async def test_a_stopped_reader_is_woken() -> None:
    relay = Relay(Scripted("video"))
    reader = relay.open_reader()
    receiving = asyncio.create_task(reader.recv())
    await settle()
    reader.stop()
    with pytest.raises(MediaStreamError):
        await receiving
    with pytest.raises(MediaStreamError):
        await reader.recv()
    await ended(relay)


async def test_the_end_of_the_track_ends_readers_after_what_they_still_hold() -> None:
    relay = Relay(Scripted("video", picture(0), None))
    reader = relay.open_reader()
    assert await reader.recv() is not None
    with pytest.raises(MediaStreamError):
        await reader.recv()
    assert relay.is_ended
    with pytest.raises(MediaStreamError):
        await relay.open_reader().recv()
    await ended(relay)


async def test_a_track_that_raises_is_logged_and_ended(caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay(Scripted("video", RuntimeError("lens cap")))
    with caplog.at_level(logging.ERROR), pytest.raises(MediaStreamError):
        await relay.open_reader().recv()
    assert "lens cap" in caplog.text
    await ended(relay)


async def test_sound_of_any_format_comes_out_as_one() -> None:
    track = Scripted("audio", sound(0, rate=8000, layout="mono", samples=160), sound(0, rate=44_100, samples=882))
    relay = Relay(track)
    reader = relay.open_reader()
    frames = [await reader.recv() for _ in range(2)]
    for frame in frames:
        assert (frame.format.name, frame.layout.name, frame.sample_rate) == ("s16", "stereo", 48_000)
        assert frame.time_base == Fraction(1, 48_000)
    assert frames[1].pts > frames[0].pts
    await ended(relay)


async def test_sound_without_timestamps_follows_its_samples_and_not_its_arrival() -> None:
    clock = Clock()
    track = Scripted("audio", sound(None), sound(None), sound(None))
    relay = Relay(track, clock=clock)
    reader = relay.open_reader()
    stamps = []
    for _ in range(3):
        stamps.append((await reader.recv()).pts)
        clock.now_s += 0.005
    assert [after - before for before, after in itertools.pairwise(stamps)] == [960, 960]
    await ended(relay)


async def test_packets_are_placed_as_well() -> None:
    packet = av.Packet(b"coded")
    packet.pts, packet.time_base = 5, Fraction(1, 25)
    relay = Relay(Scripted("video", packet), clock=Clock(1.0))
    assert (await relay.open_reader().recv()).dts == 90_000
    await ended(relay)
