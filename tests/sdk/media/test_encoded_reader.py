from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.encoded_reader import (
    MAX_REPLAY_INTERVAL_S,
    REPLAY_INTERVAL_S,
    EncodedReader,
    SharedUnit,
    stamped_copy,
)

BASE = Fraction(1, 90_000)


def shared(pts: int, *, key: bool = False, arrived_s: float = 1.0) -> SharedUnit:
    return SharedUnit(b"abc", pts, key, arrived_s)


def reader(*units: SharedUnit) -> EncodedReader:
    return EncodedReader(
        "yard",
        "video/H264",
        joined=lambda _: units,
        left=lambda _: None,
        key_wanted=lambda _: asked.append(1),
        key_awaited=lambda: awaited.append(1),
    )


asked: list[int] = []
awaited: list[int] = []


async def test_what_is_read_says_when_it_arrived_and_what_still_waits() -> None:
    one = reader(shared(0, key=True, arrived_s=5.0), shared(3000, arrived_s=5.5))
    assert (one.arrived_s, one.backlog_units, one.id, one.mime_type) == (None, 0, "yard", "video/H264")
    await one.recv()
    assert (one.arrived_s, one.backlog_units) == (5.0, 1)
    await one.recv()
    assert (one.arrived_s, one.backlog_units) == (5.5, 0)


async def test_a_key_frame_replaces_what_is_left_of_the_starting_burst() -> None:
    one = reader(shared(0, key=True), shared(1), shared(2))
    await one.recv()
    one.offer(shared(9, key=True))
    assert (await one.recv()).pts == 9
    assert one.dropped_units == 0


async def test_a_replay_is_not_given_too_often_nor_into_a_burst_nor_of_nothing() -> None:
    group = (shared(0, key=True), shared(3000))
    one = reader(*group)
    await one.recv()
    assert not one.replay(group, 10.0), "the newcomer's burst still runs"
    await one.recv()
    assert not one.replay((), 10.0)
    assert one.replay(group, 10.0)
    assert [(await one.recv()).pts for _ in range(2)] == [3001, 3002]
    assert not one.replay(group, 10.0 + REPLAY_INTERVAL_S / 2)
    assert one.replay(group, 10.0 + REPLAY_INTERVAL_S)
    assert (await one.recv()).pts == 3003


async def test_a_receiver_whom_replays_do_not_help_gets_them_ever_more_seldom() -> None:
    group = (shared(0, key=True),)
    one = reader(*group)
    await one.recv()
    given = []
    for tick in range(10 * 40):
        if one.replay(group, tick / 10):
            given.append(tick / 10)
            await one.recv()
    assert given == [0.0, 1.0, 3.0, 7.0, 15.0, 23.0, 31.0, 39.0]
    later_s = 39.0 + 2 * MAX_REPLAY_INTERVAL_S
    assert one.replay(group, later_s)
    await one.recv()
    assert one.replay(group, later_s + REPLAY_INTERVAL_S)


async def test_only_a_reader_that_reads_may_ask() -> None:
    asked.clear()
    one = reader(shared(0, key=True))
    one.request_key_frame()
    await one.recv()
    one.request_key_frame()
    one.stop()
    one.request_key_frame()
    assert asked == [1]


def test_a_copy_leaves_the_shared_packet_as_it_is() -> None:
    packet = shared(5, key=True).packet
    copy = stamped_copy(packet, 7, BASE)
    assert (packet.pts, copy.pts, copy.dts, bytes(copy), copy.is_keyframe) == (5, 7, 7, b"abc", True)


async def test_who_reads_between_two_pictures_of_the_starting_burst_hears_of_the_end() -> None:
    one = reader(shared(0, key=True), shared(1), shared(2))
    await one.recv()
    reading = asyncio.create_task(one.recv())
    await asyncio.sleep(0)  # it is in the pause that paces the burst
    one.stop()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(reading, 5)


async def test_all_who_read_packets_share_one() -> None:
    unit = shared(9, key=True)
    one, other = reader(unit), reader(unit)
    assert await one.recv() is await other.recv()
    assert (unit.packet.pts, unit.packet.time_base, bytes(unit.packet)) == (9, BASE, b"abc")
