"""The selected path: lost, back, expired, replaced by another pair."""

from __future__ import annotations

import asyncio
import os
import struct

import pytest

from metered_realtime.ice_consent import ConsentTimings
from metered_realtime.media.rtp_image import Run
from metered_realtime.media_path import MediaPath, RelayPath, UdpPath
from tests.sdk.ice_ends import (
    LOOPBACK,
    QUICK,
    TIMEOUT_S,
    End,
    closing,
    connect,
    exchange,
    pair,
    restart,
    restarted,
)


async def test_a_lost_path_is_told_once_and_so_is_its_return():
    one, other = pair(consent=QUICK)
    async with closing(one, other):
        await connect(one, other)
        restore = one.drop_all()
        await one.until(lambda: "lost" in one.told)
        await asyncio.sleep(5 * QUICK.retry_s)
        restore()
        await one.until(lambda: "back" in one.told)
        assert one.told[1:] == ["lost", "back"]
        await exchange(one, other)
        assert one.ice.unsent == 0


async def test_sending_ends_when_consent_expires_and_a_restart_brings_it_back():
    one, other = pair(consent=ConsentTimings(interval_s=0.02, retry_s=0.02, lost_s=0.05, expires_s=0.2))
    async with closing(one, other):
        await connect(one, other)
        restore = one.drop_all()
        await one.until(lambda: "lost" in one.told)
        while not one.ice.unsent:
            await one.ice.send(b"into the dark")
            await asyncio.sleep(0.01)
        restore()
        await restart(one, other)
        await restarted(one, other)
        while (got := await other.ice.recv()) != b"again":
            assert got == b"into the dark"
            await one.ice.send(b"again")


async def test_the_other_addresses_are_tried_when_the_path_is_lost():
    one, other = pair(addresses=lambda: LOOPBACK[:2], consent=QUICK)
    async with closing(one, other):
        await connect(one, other)
        dead = one.ice._nominated[1].protocol
        dead.datagram_received = lambda data, addr: None
        await one.until(lambda: len(one.paths) > 1)
        await other.until(lambda: other.ice.selected_pair.remote_address == one.ice.selected_pair.local_address)
        assert one.ice._nominated[1].protocol is not dead
        await exchange(one, other)


async def test_a_socket_that_is_gone_is_a_lost_path_at_once():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        one.ice._nominated[1].protocol.transport.abort()
        await one.until(lambda: "lost" in one.told)
        await one.ice.send(b"nowhere")
        assert one.ice.unsent == 1
        await restart(one, other)
        await restarted(one, other)
        await exchange(one, other)


async def test_there_is_no_way_out_for_media_before_a_path_nor_after_the_end():
    one, other = pair()
    async with closing(one, other):
        assert one.ice.outlet() is None
        await connect(one, other)
        assert one.ice.outlet() is not None
    assert one.ice.outlet() is None


async def arrives(outlet: MediaPath | None, other: End) -> bool:
    """Send three packets, two of them as a run, and tell whether all came."""
    assert outlet is not None
    sent = [bytes([0x80 + number]) * 8 for number in range(3)]
    assert outlet.send_one(sent[0])
    assert outlet.send_run(memoryview(b"".join(sent[1:])), Run(0, 16, 8, 2, struct.pack("H", 8)))
    async with asyncio.timeout(TIMEOUT_S):
        return [await other.ice.recv() for _ in sent] == sent


async def test_media_leaves_through_a_socket_of_its_own_that_ends_with_the_path():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        outlet = one.ice.outlet()
        assert isinstance(outlet, UdpPath)
        assert one.ice.outlet() is outlet
        assert await arrives(outlet, other)
        await restart(one, other)
        await restarted(one, other)
        after = one.ice.outlet()
        assert after is not outlet
        assert await arrives(after, other)
        assert outlet.send_one(b"\x80 through the one of before")
        assert outlet.refused == 1


async def test_media_finds_its_way_where_no_file_descriptor_is_left(monkeypatch: pytest.MonkeyPatch):
    def exhausted(fd: int) -> int:
        raise OSError(24, os.strerror(24))

    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        monkeypatch.setattr(os, "dup", exhausted)
        outlet = one.ice.outlet()
        assert isinstance(outlet, RelayPath)
        assert await arrives(outlet, other)


async def test_media_has_no_way_out_once_the_socket_is_gone():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        assert one.ice.outlet() is not None
        one.ice._nominated[1].protocol.transport.abort()
        await one.until(lambda: "lost" in one.told)
        assert one.ice.outlet() is None


async def test_media_has_no_way_out_once_consent_has_expired():
    one, other = pair(consent=ConsentTimings(interval_s=0.02, retry_s=0.02, lost_s=0.05, expires_s=0.2))
    async with closing(one, other):
        await connect(one, other)
        assert one.ice.outlet() is one.ice.outlet() is not None
        one.drop_all()
        async with asyncio.timeout(TIMEOUT_S):
            while one.ice.outlet() is not None:
                await asyncio.sleep(0.01)
        assert one.ice._path.is_expired
