"""The sender track: what is behind it may change, it never ends before its connection."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.relay import Relay
from metered_realtime.media.source import SenderTrack, SharedSource
from tests.sdk.media.tracks import Clock, Scripted, picture, sound


def packet(pts: int, data: bytes = b"coded") -> Any:
    made = av.Packet(data)
    made.pts = made.dts = pts
    made.time_base = Fraction(1, 90_000)
    return made


def test_cameras_and_relays_are_shared_sources() -> None:
    assert isinstance(EncodedVideoSource(), SharedSource)
    assert isinstance(Relay(Scripted("video")), SharedSource)
    assert not isinstance(Scripted("video"), SharedSource)


async def test_it_waits_while_there_is_nothing_to_send() -> None:
    sender = SenderTrack("video")
    receiving = asyncio.create_task(sender.recv())
    await asyncio.sleep(0)
    assert not sender.is_fed
    frame = picture(0)
    sender.switch(Scripted("video", frame))
    assert sender.is_fed
    assert await receiving is frame


async def test_a_switch_stops_the_source_before_and_goes_on_with_the_next() -> None:
    first, frame = Scripted("video"), picture(0)
    sender = SenderTrack("video")
    sender.switch(first)
    receiving = asyncio.create_task(sender.recv())
    await asyncio.sleep(0)
    sender.switch(Scripted("video", frame))
    first.items.put_nowait(picture(0))  # too late: it is not ours any more
    assert await receiving is frame
    assert first.readyState == "ended"


async def test_the_end_of_a_source_is_not_the_end_of_the_sender() -> None:
    sender = SenderTrack("video")
    sender.switch(Scripted("video", None))
    receiving = asyncio.create_task(sender.recv())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not receiving.done()
    assert not sender.is_fed
    sender.switch(Scripted("video", picture(0)))
    assert await receiving is not None


async def test_stopping_ends_it_and_its_source() -> None:
    source, sender = Scripted("video"), SenderTrack("video")
    sender.switch(source)
    sender.stop()
    assert source.readyState == "ended"
    with pytest.raises(MediaStreamError):
        await sender.recv()


async def test_packets_of_the_first_source_are_passed_as_they_are() -> None:
    shared, sender = packet(500), SenderTrack("video")
    sender.switch(Scripted("video", shared))
    assert await sender.recv() is shared


async def test_packets_of_a_later_source_continue_the_timeline_in_a_copy() -> None:
    clock = Clock()
    sender = SenderTrack("video", clock=clock)
    sender.switch(Scripted("video", packet(500_000)))
    await sender.recv()
    clock.now_s += 0.5
    shared = packet(7, b"other")
    sender.switch(Scripted("video", shared, packet(3007)))
    moved = await sender.recv()
    assert (moved.pts, moved.time_base, bytes(moved)) == (545_000, Fraction(1, 90_000), b"other")
    assert shared.pts == 7
    assert (await sender.recv()).pts == 548_000


async def test_sound_is_counted_in_its_own_rate() -> None:
    sender = SenderTrack("audio")
    sender.switch(Scripted("audio", sound(960)))
    assert (await sender.recv()).pts == 960


async def test_a_receiver_that_cannot_decode_is_heard_by_a_source_that_can_help() -> None:
    sender = SenderTrack("video")
    sender.request_key_frame()
    source = EncodedVideoSource()
    sender.switch(source.open_reader())
    source.push(AccessUnit(b"key", 0, is_key=True))
    await sender.recv()
    sender.request_key_frame()
    assert (await sender.recv()).is_keyframe
    assert source.stats().replays == 1
    sender.switch(Scripted("video", picture(0)))
    sender.request_key_frame()
    sender.await_key_frame()
    sender.stop()


async def test_a_receiver_that_waits_for_a_key_frame_is_heard_by_a_source_that_can_make_one() -> None:
    asked: list[int] = []
    now_s = 100.0
    source = EncodedVideoSource(on_key_frame_wanted=lambda: asked.append(1), clock=lambda: now_s)
    sender = SenderTrack("video")
    sender.await_key_frame()
    sender.switch(source.open_reader())
    recv = asyncio.create_task(sender.recv())
    await asyncio.sleep(0)
    source.push(AccessUnit(b"key", 0, is_key=True))
    await recv
    before = len(asked)
    now_s += 10.0
    sender.await_key_frame()
    assert len(asked) == before + 1
    sender.stop()
